// The form for the outcome of a test on YouTube. The lab stores the outcome as an experiment, and the page keeps it with its
// comparison.

import { keep } from "./comparisons.js";
import { byId, image, line } from "./dom.js";
import { sayProblem } from "./for_operators.js";
import { currentKey, NO_KEY } from "./key.js";
import { storeExperiment } from "./service.js";
import { ranked } from "./words.js";

const MOST_VARIANTS = 3;
const VIDEO_ID = /^[\w-]{11}$/;

let comparison = null;
let opened = 0; // How often the form was opened. An answer to an earlier form is not shown in the present form.
let stored = () => {};
let urls = []; // The object URLs of the pictures in the form.

export function openOutcome(chosen) {
  comparison = chosen;
  opened += 1;
  byId("outcome-send").disabled = false;
  byId("outcome-form").reset();
  sayProblem("outcome-problem", "");
  const given = chosen.outcome; // What a person gave before. The lab replaces all of it, so the form begins with all of it.
  byId("outcome-again").hidden = !given;
  byId("outcome-channel").value = given?.channel_id ?? chosen.answer.channel?.channel_id ?? chosen.question.channel;
  byId("outcome-video").value = given?.video_id ?? "";
  byId("outcome-started").value = given?.started_on ?? "";
  byId("outcome-ended").value = given?.ended_on ?? "";
  if (given) byId("outcome-result").value = given.outcome;
  const best = ranked({ answer: chosen.answer, entries: chosen.pictures }).map(({ entry }) => entry);
  for (const url of urls) URL.revokeObjectURL(url);
  urls = best.map((entry) => URL.createObjectURL(entry.file));
  // An older version of this page kept neither the tested pictures nor their shares.
  const shares = new Map(given?.tested?.map(({ name, share }) => [name, share]) ?? best.slice(0, 2).map(({ name }) => [name, ""]));
  byId("outcome-variants").replaceChildren(...best.map((entry, row) => variant(entry, urls[row], { share: shares.get(entry.name), won: entry.name === given?.winner })));
  byId("outcome").showModal();
}

// `share`: the share of watch time of a tested picture as it was written, or undefined for a picture that was not tested.
function variant({ name }, url, { share: given, won }) {
  const row = line("li", "", "variant");
  const [label, box] = [document.createElement("label"), document.createElement("input")];
  box.type = "checkbox";
  box.checked = given !== undefined;
  box.name = name;
  label.append(box, image(url), line("span", name));
  const [shareLabel, share] = [line("label", ""), document.createElement("input")];
  share.type = "text";
  share.inputMode = "decimal";
  share.className = "share";
  share.value = given ?? "";
  shareLabel.append(line("span", `Share of ${name} in %`, "visually-hidden"), share, line("span", "%"));
  const [winnerLabel, winner] = [document.createElement("label"), document.createElement("input")];
  winner.type = "radio";
  winner.name = "outcome-winner";
  winner.value = name;
  winner.checked = won;
  winner.addEventListener("change", () => (box.checked = true)); // The winner was tested, so its box is ticked too.
  winnerLabel.append(winner, line("span", "won"), line("span", `: ${name}`, "visually-hidden"));
  row.append(label, shareLabel, winnerLabel);
  return row;
}

// Return the id of a video that is given by its id or by any link to it.
export function videoId(text) {
  const given = text.trim();
  if (VIDEO_ID.test(given)) return given;
  let url;
  try {
    url = new URL(/^https?:/.test(given) ? given : `https://${given}`);
  } catch {
    return given;
  }
  const parts = url.pathname.split("/").filter(Boolean);
  const found = [url.searchParams.get("v"), ...parts].find((part) => part !== null && VIDEO_ID.test(part));
  return found ?? given;
}

// Return the experiment and its files. Throws an error that says which field is wrong.
function experiment() {
  const tested = [...byId("outcome-variants").children]
    .map((row) => ({
      name: row.querySelector("input[type=checkbox]").name,
      tested: row.querySelector("input[type=checkbox]").checked,
      share: row.querySelector(".share").value.trim().replace(",", "."),
      won: row.querySelector("input[type=radio]").checked,
    }))
    .filter((row) => row.tested);
  if (tested.length < 2 || tested.length > MOST_VARIANTS) throw new Error("Mark the two or three pictures that YouTube tested.");
  const given = tested.filter((row) => row.share !== "");
  if (given.some((row) => !/^\d+(\.\d+)?$/.test(row.share))) throw new Error("Write each share of watch time as a number, such as 46.1.");
  if (given.length > 0 && given.length < tested.length) throw new Error("Give the share of each tested picture, or give no share.");
  const outcome = byId("outcome-result").value;
  const winner = tested.findIndex((row) => row.won) + 1;
  if (outcome === "winner" && winner === 0 && given.length === 0) throw new Error("Mark the picture that won.");
  const ended = byId("outcome-ended").value;
  const facts = {
    channel_id: byId("outcome-channel").value.trim(),
    video_id: videoId(byId("outcome-video").value),
    started_on: byId("outcome-started").value,
    ...(ended ? { ended_on: ended } : {}),
    outcome,
    ...(outcome === "winner" && winner > 0 ? { winner } : {}),
    variants: tested.map((row) => (row.share === "" ? {} : { watch_time_share: Number(row.share) })),
  };
  for (const [field, text] of [
    ["channel_id", "Give the id of your channel, which begins with UC."],
    ["video_id", "Give the link or the id of the video."],
    ["started_on", "Give the first day of the test."],
  ]) {
    if (!facts[field]) throw new Error(text);
  }
  const files = tested.map((row) => comparison.pictures.find((picture) => picture.name === row.name).file);
  return { facts, files, tested: tested.map(({ name, share }) => ({ name, share })) };
}

async function send() {
  if (!currentKey()) throw new Error(`${NO_KEY} The field for the key is in the form of Compare.`);
  const about = comparison; // A person may open the form for another comparison before the answer arrives.
  const { facts, files, tested } = experiment();
  const answer = await storeExperiment(facts, files);
  const outcome = {
    outcome: answer.outcome,
    winner: answer.winner === null ? null : tested[answer.winner - 1].name,
    channel_id: answer.channel_id,
    video_id: answer.video_id,
    started_on: answer.started_on,
    ended_on: answer.ended_on,
    tested,
    experiment_id: answer.experiment_id,
  };
  await keep({ ...about, outcome });
}

export function wireOutcome(callback) {
  stored = callback;
  byId("outcome-cancel").addEventListener("click", () => byId("outcome").close());
  byId("outcome-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    sayProblem("outcome-problem", "");
    byId("outcome-send").disabled = true;
    const mine = opened;
    try {
      await send();
      if (mine === opened) byId("outcome").close();
      stored();
    } catch (error) {
      if (mine === opened) sayProblem("outcome-problem", error.message);
    } finally {
      if (mine === opened) byId("outcome-send").disabled = false;
    }
  });
}

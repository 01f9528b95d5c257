// The part "Lab": what the service serves, how old it is, and what does not work.

import { byId, capital, line, moment } from "./dom.js";
import { currentKey } from "./key.js";
import { labState } from "./service.js";
import { nicheName } from "./words.js";

// The first part of a release's id is the moment at which it was published.
const PUBLISHED = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/;

const CHANNELS = {
  future: "The future of known channels",
  new_channels: "Unseen channels",
  adapted: "Unseen channels with an adapter",
};
const QUESTIONS = {
  one_video: "Pictures of one video",
  one_title: "Pictures under one title",
  package: "Packages of a title and a picture",
};

// Request the sizes, the skill and the links, which need the API key. The other parts are shown without the API key.
export async function drawDetails() {
  if (!currentKey()) return note("Sizes, skill and links need the API key: give it in Compare, or open the link that the lab's owner sent you.");
  try {
    const lab = await labState();
    const rows = Object.entries(lab.libraries).map(([niche, library]) => libraryRow(nicheName(niche), library));
    byId("lab-libraries").replaceChildren(...rows);
    byId("lab-skills").replaceChildren(...skillRows(lab.model.skills));
    byId("lab-model").textContent = modelWords(lab.model);
    byId("lab-links").replaceChildren(...links(lab.links));
    byId("lab-details").hidden = false;
    note("");
  } catch (error) {
    note(`Sizes, skill and links could not be read. ${error.message}`);
  }
}

function note(text) {
  byId("lab-note").textContent = text;
  byId("lab-note").hidden = !text;
}

function libraryRow(name, library) {
  const day = library.newest_video === null ? "–" : new Date(`${library.newest_video}T12:00`).toLocaleDateString(undefined, { dateStyle: "medium" });
  const made = library.made_at === null ? "–" : moment(library.made_at);
  const words = [library.held && `Held: ${library.held}.`, library.changed > 0 && `${library.changed} changed since it was built.`];
  return tableRow(name, [number(library.videos), number(library.winners), day, made, words.filter(Boolean).join(" ") || "–"]);
}

function skillRows(skills) {
  if (skills.length === 0) return [tableRow("Not evaluated", ["–", "–", "–"])];
  return skills.map(({ question, measured_on: split, auc, low, high, pairs }) => {
    const range = low === null ? "" : ` (${Math.round(100 * low)} to ${Math.round(100 * high)})`;
    const proven = low !== null && low > 0.5 ? "better than chance" : "not shown to be better than chance";
    return tableRow(`${QUESTIONS[question] ?? question}: ${(CHANNELS[split] ?? split).toLowerCase()}`, [`${Math.round(100 * auc)} of 100${range}`, number(pairs), proven]);
  });
}

function modelWords({ release, made_at: made, videos, channels_adapted: channels, reason }) {
  if (release === null) return capital(reason ?? "no model is served");
  const facts = [made && `made ${moment(made)}`, videos && `trained on ${number(videos)} videos`, channels && `with adapters for ${number(channels)} ${channels === 1 ? "channel" : "channels"}`];
  return `${capital(facts.filter(Boolean).join(", ") || release)}.`;
}

function links({ dagster, mlflow }) {
  const known = [["Dagster: assets, checks and runs", dagster], ["MLflow: the models and their figures", mlflow]].filter(([, url]) => url !== null);
  if (known.length === 0) return [line("li", "Neither Dagster nor MLflow of this lab is known here, or this key may not see them: `thumblab up` starts both and prints their addresses.", "soft")];
  return known.map(([name, url]) => {
    const item = document.createElement("li");
    const link = line("a", name);
    link.href = url;
    link.target = "_blank";
    link.rel = "noreferrer noopener";
    item.append(link, line("small", ` ${url}`));
    return item;
  });
}

function tableRow(name, cells) {
  const node = document.createElement("tr");
  const heading = line("th", name);
  heading.scope = "row";
  node.append(heading, ...cells.map((text) => line("td", text)));
  return node;
}

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

// Draw the state of the lab, which is an answer of /health.
export function drawLab(state) {
  const rows = Object.entries(state.indices).map(([niche, slot]) => row(`Library of ${nicheName(niche)}`, slot));
  byId("lab-releases").replaceChildren(row("Ranking model", state.model), ...rows);
  const facts = [
    ["Ready to rank", state.ready ? "yes" : "not yet"],
    ["Encoders", withReason(state.encoders)],
    ["Sub-scores", state.meter.missing.length > 0 ? `${state.meter.state}. ${capital(state.meter.missing.join("; "))}.` : withReason(state.meter)],
    ["Database", withReason(state.database).replace("not_asked", "not asked yet")],
    ["Kept predictions", state.predictions.state === "off" ? "off" : `${withReason(state.predictions)}, ${state.predictions.kept} kept`],
    ["Made of", state.library_note ?? "videos of YouTube, or a catalogue that was imported"],
  ];
  byId("lab-facts").replaceChildren(...facts.map(fact));
}

function row(name, slot) {
  const refused = slot.refused ? ` ${capital(slot.refused.release ?? "a release")} was refused: ${slot.refused.reason}` : "";
  const state = { serving: "served", loading: "being loaded", none: "none yet" }[slot.state];
  return tableRow(name, [`${capital(state)}.${refused}`, published(slot.release), slot.release ?? "–"]);
}

function published(release) {
  const parts = PUBLISHED.exec(release ?? "");
  if (parts === null) return "–";
  const [, year, month, day, hour, minute, second] = parts;
  return moment(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const withReason = ({ state, reason }) => (reason ? `${state}: ${reason}` : state);

function fact([name, value]) {
  const node = document.createElement("div");
  node.append(line("dt", name), line("dd", value));
  return node;
}

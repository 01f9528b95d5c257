// The history: the comparisons that this browser keeps, newest first, and the outcomes of their tests on YouTube.

import { drop, dropAll, keep, keepInPlaceOf, MOST_BYTES, MOST_COMPARISONS, stored } from "./comparisons.js";
import { button, byId, bytes, image, isolated, line, moment, say } from "./dom.js";
import { openOutcome, wireOutcome } from "./outcome.js";
import { channelOf, nicheName, packagePlace, placeOf, ranked, rankedPackages, verdict } from "./words.js";

let reopened = () => {};
let lastId = null; // The id of the comparison on the page. A live answer replaces it.
let urls = []; // The object URLs of the pictures in the list.
let drawing = 0;
let keeping = Promise.resolve(); // The comparison that is being stored.

export function onReopen(callback) {
  reopened = callback;
}

// Keep a comparison. With `live`, it replaces the comparison before it. Otherwise each pause while a person types a title would
// add a comparison.
export function keepInHistory(comparison, live) {
  keeping = keeping.then(() => keepNow(comparison, live));
}

async function keepNow({ question, entries, answer, note, at }, live) {
  const pictures = entries.map(({ name, file, title }) => ({ name, file, title }));
  const comparison = { question, pictures, answer, note, at };
  try {
    const { id, deleted } = live && lastId !== null ? await keepInPlaceOf(lastId, comparison) : await keep(comparison);
    lastId = id;
    if (!byId("view-history").hidden) drawHistory(); // The person has opened the history before the answer arrived.
    say("kept", deleted > 0 ? `The history was full: ${deleted} of its oldest comparisons were deleted.` : "");
  } catch (error) {
    say("kept", `This comparison is not in the history, because the browser could not store it (${error.message || error.name}).`);
  }
}

export async function drawHistory() {
  const turn = (drawing += 1);
  let all;
  await keeping;
  try {
    all = await stored();
  } catch (error) {
    byId("comparisons").replaceChildren();
    byId("clear").hidden = true;
    byId("history-size").textContent = `This browser cannot keep a history for this page (${error.message || error.name}). A private window may be the cause.`;
    return;
  }
  if (turn !== drawing) return; // A later call draws a newer list.
  for (const url of urls) URL.revokeObjectURL(url);
  urls = [];
  const size = all.reduce((sum, one) => sum + one.bytes, 0);
  byId("history-size").textContent =
    all.length === 0
      ? "Nothing is kept yet. Each ranking is kept here, in this browser only."
      : `${all.length === 1 ? "1 comparison" : `${all.length} comparisons`} with ${bytes(size)}, in this browser only. The oldest are deleted beyond ${MOST_COMPARISONS} comparisons or ${bytes(MOST_BYTES)}.`;
  byId("clear").hidden = all.length === 0;
  const restoreFocus = focusInList();
  byId("comparisons").replaceChildren(...all.map(item));
  restoreFocus();
}

// Return a function that moves the focus to the same button of the same comparison after the list was drawn again.
function focusInList() {
  const focused = document.activeElement.closest("#comparisons button");
  if (focused === null) return () => {};
  const { id } = focused.closest(".past").dataset;
  const place = [...focused.closest(".past").querySelectorAll("button")].indexOf(focused);
  return () => document.querySelector(`.past[data-id="${id}"]`)?.querySelectorAll("button")[place].focus();
}

function item(comparison) {
  const { question, answer, pictures, at } = comparison;
  const node = line("li", "", "panel past");
  node.dataset.id = comparison.id;
  const more = (question.titles ?? []).length - 1;
  const heading = line("h3", more > 0 ? `${question.title} (and ${more} more ${more === 1 ? "title" : "titles"})` : question.title);
  const channel = channelOf(comparison);
  const facts = [nicheName(answer.niche), channel && isolated(channel), moment(at)].filter(Boolean).join(" · ");
  const strip = line("ul", "", "strip");
  for (const { entry, place } of withPlaces(answer, pictures)) {
    const url = URL.createObjectURL(entry.file);
    urls.push(url);
    const picture = document.createElement("li");
    picture.append(image(url, entry.name), line("span", place));
    strip.append(picture);
  }
  const actions = line("div", "", "actions");
  const named = (text, act, className = "quiet") => {
    const node = button(text, className, act);
    node.setAttribute("aria-label", `${text}: ${question.title}, ${moment(at)}`);
    return node;
  };
  actions.append(
    named("Open again", () => reopen(comparison)),
    named(comparison.outcome ? "Correct the outcome" : "Add what YouTube showed", () => openOutcome(comparison)),
    named("Delete", () => remove(comparison.id)),
  );
  node.append(heading, line("p", facts, "soft"), line("p", verdict(answer)[1], "past-verdict"), strip);
  if (comparison.outcome) node.append(line("p", outcomeWords(comparison.outcome), "outcome"));
  node.append(actions);
  return node;
}

// Return the pictures with their places, the best first. With several titles, the place of a picture is the place of its best
// package.
function withPlaces(answer, pictures) {
  const pairs = ranked({ answer, entries: pictures });
  if (!answer.packages) return pairs.map((pair) => ({ ...pair, place: placeOf(pair.thumbnail, answer) }));
  const packages = rankedPackages(answer);
  const best = ({ thumbnail }) => packages.findIndex((one) => one.thumbnail === thumbnail.id);
  return pairs
    .map((pair) => ({ ...pair, at: best(pair) < 0 ? packages.length : best(pair) }))
    .sort((a, b) => a.at - b.at)
    .map((pair) => ({ ...pair, place: packages[pair.at]?.rank ? `${packagePlace(packages[pair.at])} of ${packages.length} packages` : "Not ranked" }));
}

const OUTCOMES = { performed_the_same: "the variants performed the same", inconclusive: "the test was inconclusive" };

function outcomeWords({ outcome, winner, video_id, experiment_id }) {
  const what = outcome === "winner" ? `${winner} won` : OUTCOMES[outcome];
  return `On YouTube, video ${video_id}: ${what}. Stored in the lab as experiment ${experiment_id}.`;
}

function reopen(comparison) {
  lastId = null; // A live answer to a changed question is a new comparison. The old one stays.
  reopened(comparison);
}

async function remove(id) {
  await drop(id);
  if (lastId === id) lastId = null;
  await drawHistory();
  byId("history-title").focus();
}

export function wireHistory() {
  wireOutcome(() => {
    lastId = null; // A comparison with an outcome is never replaced.
    drawHistory();
  });
  byId("clear").addEventListener("click", () => byId("confirm").showModal());
  byId("confirm-no").addEventListener("click", () => byId("confirm").close());
  byId("confirm-yes").addEventListener("click", async () => {
    byId("confirm").close();
    await dropAll();
    lastId = null;
    await drawHistory();
    byId("history-title").focus();
  });
}

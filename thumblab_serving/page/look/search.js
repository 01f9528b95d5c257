// Search the map: titles in the browser, and by meaning, by picture or by video with the service.

import { byId, isolated, say } from "../dom.js";
import { sentence } from "../for_operators.js";
import { searchable } from "../map/points.js";
import { similar } from "../map/service.js";

const PAUSE_MS = 200; // Titles are searched after a pause in typing.
const K = 60;
const ID = /^[A-Za-z0-9_-]{11}$/;
const HELP = {
  titles: "Words of titles. A title is found if it contains all of them. The search runs while you type.",
  meaning: "Words for the topic of a video or the look of its thumbnail. The lab compares them with the pictures if its encoder can encode texts, and otherwise with the titles.",
  video: "A link to a video on YouTube, or its id. Thumbnails like the thumbnail of this video are found.",
};

let asked = 0; // The number of the newest search. The answers of older searches are dropped.
let pausing = null;

// `lab`: {state, changed(reason), failed(error, id)}.
export function wireSearch(lab) {
  const inWhat = () => byId("search-in").value;
  byId("search-in").addEventListener("change", () => {
    byId("search-help").textContent = HELP[inWhat()];
    if (inWhat() === "titles") byTitle(lab);
  });
  byId("search-help").textContent = HELP[inWhat()];
  byId("search").addEventListener("input", () => {
    clearTimeout(pausing);
    if (inWhat() === "titles") pausing = setTimeout(() => byTitle(lab), PAUSE_MS);
  });
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(pausing);
    const text = byId("search").value.trim();
    if (inWhat() === "titles") byTitle(lab);
    else if (text === "") clearSearch(lab);
    else if (inWhat() === "meaning") ask(lab, () => similar({ text }, filters(lab.state)), (answer) => meaningWords(text, answer), true);
    else byVideo(lab, text);
  });
  byId("search-clear").addEventListener("click", () => {
    clearSearch(lab);
    byId("search").focus();
  });
}

// End the search. Answers that arrive later are dropped.
export function clearSearch(lab) {
  asked += 1;
  byId("search").value = "";
  for (const id of ["search-problem", "search-note"]) say(id, "");
  busy(false);
  lab.state.found = null;
  lab.changed("search");
}

// Drop the answers that arrive later, because another map is loaded.
export function forgetAnswers() {
  asked += 1;
  busy(false);
  for (const id of ["search-problem", "search-note"]) say(id, "");
}

// `isTyped`: see `ask`.
export function byVideoId(lab, id, title, isTyped = false) {
  return ask(lab, () => similar({ video_id: id }, filters(lab.state)), () => `like the thumbnail of “${isolated(title)}”`, isTyped);
}

// Return the fields of `/v1/similar` for the filters of the page.
export function filters({ niche, after, before }) {
  const fields = { k: K, diversity: 0 };
  if (niche !== "all") fields.niche = niche;
  if (after) fields.published_after = after;
  if (before) fields.published_before = before;
  return fields;
}

function byTitle(lab) {
  asked += 1;
  busy(false);
  for (const id of ["search-problem", "search-note"]) say(id, "");
  const text = byId("search").value.trim();
  const parts = searchable(text).split(/\s+/).filter(Boolean);
  lab.state.found = parts.length === 0 ? null : { kind: "titles", parts, words: `with “${text}” in the title` };
  lab.changed("search");
}

function byVideo(lab, text) {
  const id = idOf(text, lab.state.points);
  if (id === null) {
    asked += 1;
    busy(false);
    say("search-problem", "This is neither a link to a video nor the id of a video. A link looks like https://www.youtube.com/watch?v=… ");
    return;
  }
  byVideoId(lab, id, titleOf(lab.state.points, id), true);
}

function titleOf(points, id) {
  const row = points?.find(id) ?? -1;
  return row < 0 ? id : points.title(row);
}

// Return the id that a link or an id names, or null. The ids of a demo look different from YouTube's.
export function idOf(text, points) {
  if (ID.test(text) || points?.find(text) >= 0) return text; // The tiles of a large map may not have arrived yet.
  let link;
  try {
    link = new URL(text);
  } catch {
    return null;
  }
  if (!["http:", "https:"].includes(link.protocol)) return null;
  const inPath = /^\/(?:shorts\/|live\/|embed\/)?([A-Za-z0-9_-]{11})$/.exec(link.pathname)?.[1];
  const inQuery = link.searchParams.get("v");
  return inPath ?? (ID.test(inQuery) || points?.find(inQuery) >= 0 ? inQuery : null);
}

function meaningWords(text, { query }) {
  return `by “${text}”, compared with the ${query.matched_by === "picture" ? "pictures" : "titles"}`;
}

// Send the search to the service, and show what it found. Return its items, or null if a newer search has begun or there was an
// error. `isTyped`: whether the search field has what is searched for. If not, its text is of an earlier search, and is removed.
// The service finds a limited number of videos, so a search is sent again when a filter changes. `isAgain`: whether it is such a
// search, which leaves the field and the region as they are.
export async function ask(lab, request, wordsOf, isTyped = false, isAgain = false) {
  clearTimeout(pausing);
  asked += 1;
  const mine = asked;
  for (const id of ["search-problem", "search-note"]) say(id, "");
  busy(true);
  try {
    const answer = await request();
    if (mine !== asked) return null;
    busy(false);
    lab.state.found = { kind: "similar", items: answer.items, words: wordsOf(answer), again: () => ask(lab, request, wordsOf, isTyped, true) };
    if (!isTyped && !isAgain) byId("search").value = "";
    say("search-note", answer.degraded.map((each) => sentence(each)).join(" "));
    lab.changed(isAgain ? "filter" : "search");
    return answer.items;
  } catch (error) {
    if (mine !== asked) return null;
    busy(false);
    lab.failed(error, "search-problem");
    return null;
  }
}

function busy(on) {
  byId("search-busy").hidden = !on;
}

// The comparison: the question, the request to the service, and whether the answer on the page is outdated.

import { drawAnswer } from "./answer.js";
import { byId, say } from "./dom.js";
import { sayProblem } from "./for_operators.js";
import { currentKey, NO_KEY, showKeyField } from "./key.js";
import { find } from "./known_channels.js";
import { noteOfLab, rememberVisit, showLab } from "./lab.js";
import { loadPictures } from "./library.js";
import { chooseNiche } from "./niche_menu.js";
import { pictures, restore } from "./pictures.js";
import { rank } from "./service.js";
import { rememberAsked } from "./last_asked.js";
import { inputOf, restoreTitles, titles, wireTitles } from "./titles.js";
import { otherNiche } from "./words.js";

const PAUSE_MS = 900; // The page ranks again this long after a change, so that not every letter of a title sends a request.
const LIVE = "thumblab-live"; // localStorage keeps under this name whether the page ranks again by itself.
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;
const BLANKS = /[\u115f\u1160\u2800\u3164\uffa0]/g; // These letters and this symbol have no visible shape.

let current = null; // The comparison on the page: {question, entries, answer, note, at}.
let asking = null; // The AbortController of the request that is in progress.
let pause = null;
let incomplete = ""; // The sentence on the page about what is missing in the form.
let answered = () => {};

export const comparison = () => current;

// Call `callback` with each new comparison, and with whether the page sent the request by itself.
export function onAnswer(callback) {
  answered = callback;
}

export function question() {
  return {
    title: byId("title").value.trim(),
    titles: titles(),
    niche: byId("niche").value,
    channel: byId("channel").value.trim(),
  };
}

const keyOf = (asked, entries) => JSON.stringify([asked, entries.map((entry) => [entry.url, entry.title])]);

export function isOutdated() {
  return current !== null && keyOf(current.question, current.entries) !== keyOf(question(), pictures());
}

export function markIfOutdated() {
  const outdated = isOutdated();
  byId("outdated").hidden = !outdated;
  byId("result").classList.toggle("outdated", outdated);
  clearTimeout(pause);
  if (outdated && byId("live").checked) pause = setTimeout(askAgainLive, PAUSE_MS);
  if (incomplete && firstInvalidField()?.[1] !== incomplete) sayProblem("problem", (incomplete = ""));
  warnOfNiche();
}

// Show a note if the niche in the form is not the niche of the channel.
export function warnOfNiche() {
  const { channel, niche } = question();
  // The list of channels has no @handles and no links. The answer on the page says which channel such a name is.
  const answered = channel && current?.question.channel === channel ? find(current.answer.channel?.channel_id) : null;
  say("niche-note", channel ? otherNiche(find(channel) ?? answered, niche) : "");
}

function askAgainLive() {
  // An incomplete form is not sent. The note that the answer is outdated stays.
  if (isOutdated() && firstInvalidField() === null) ask(true);
}

export function submit(event) {
  event.preventDefault();
  sayProblem("problem", (incomplete = ""));
  const invalid = firstInvalidField();
  if (invalid) {
    invalid[0].focus();
    sayProblem("problem", (incomplete = invalid[1]));
    return;
  }
  ask(false);
}

async function ask(live) {
  clearTimeout(pause);
  asking?.abort();
  const mine = (asking = new AbortController());
  byId("go").disabled = !live;
  sayProblem("problem", "");
  byId("status").textContent = "Measuring and ranking the thumbnails…";
  const [asked, entries] = [question(), pictures()];
  try {
    const answer = await rank(asked, entries, mine.signal);
    showKeyField(false);
    rememberAsked(asked, answer.channel?.title ?? null);
    present({ question: asked, entries, answer, note: noteOfLab(), at: new Date().toISOString() }, live);
    rememberVisit();
    showLab(); // The result is not awaited, because /health may load a release and then takes long.
    answered(current, live);
  } catch (error) {
    // A request that was given up may also fail with another error, while its answer is read.
    if (!mine.signal.aborted) sayProblem("problem", error.message);
  } finally {
    if (asking === mine) {
      asking = null;
      byId("go").disabled = false;
      byId("status").textContent = "";
    }
  }
}

function present(made, quiet) {
  current = made;
  drawAnswer(made, quiet);
  markIfOutdated();
  loadPictures(made.answer).then(() => document.dispatchEvent(new Event("library-pictures")));
}

// Show a comparison of the history again, with its question and its pictures in the form. A comparison of an older
// version of the page has one title.
export function reopen({ question: kept, pictures: stored, answer, note, at }) {
  const asked = { title: kept.title, titles: kept.titles ?? [kept.title], niche: kept.niche, channel: kept.channel };
  asking?.abort();
  current = null;
  restoreTitles(asked.titles);
  chooseNiche(byId("niche"), asked.niche);
  say("niche-gone", "");
  byId("channel").value = asked.channel;
  restore(stored);
  sayProblem("problem", "");
  present({ question: asked, entries: pictures(), answer, note, at }, false);
}

const isVisible = (text) => VISIBLE.test(text.replace(BLANKS, ""));

// Return the first invalid field and what to do about it, or null.
function firstInvalidField() {
  const { titles: given, channel } = question();
  const blank = given.findIndex((title) => !isVisible(title));
  if (blank === 0) return [inputOf(0), "Give the title of the video."];
  if (blank > 0) return [inputOf(blank), `Give title ${blank + 1}, or remove it.`];
  const again = given.findIndex((title, row) => given.indexOf(title) < row);
  if (again > 0) return [inputOf(again), `Titles ${given.indexOf(given[again]) + 1} and ${again + 1} are the same; change or remove one.`];
  if (channel && !isVisible(channel)) {
    return [byId("channel"), "Give the channel's name, its @handle, a link to it or its id; or leave the field empty."];
  }
  const unseen = pictures().find(({ title }) => title && !isVisible(title));
  if (unseen) return [byId("own-titles"), `The title of the picture ${unseen.name} has no visible character; change or empty it.`];
  if (pictures().length < 2) return [byId("files"), "Choose at least two thumbnails to compare."];
  if (!currentKey()) return [byId("key"), NO_KEY];
  return null;
}

export function followChanges() {
  wireTitles(markIfOutdated);
  byId("form").addEventListener("submit", submit);
  byId("again").addEventListener("click", submit);
  byId("live").checked = remembered();
  byId("live").addEventListener("change", () => {
    try {
      localStorage.setItem(LIVE, byId("live").checked ? "on" : "off");
    } catch {
      // If the browser stores nothing for this page, the choice holds until the page is closed.
    }
    markIfOutdated();
  });
  for (const kind of ["input", "change"]) byId("form").addEventListener(kind, markIfOutdated);
  byId("niche").addEventListener("change", () => {
    byId("niche").dataset.chosen = "yes";
    say("niche-gone", "");
  });
}

function remembered() {
  try {
    return localStorage.getItem(LIVE) === "on";
  } catch {
    return false;
  }
}

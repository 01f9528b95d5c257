// What the lab has: the notes that concern every answer, the niches with a library, and what is missing before anything can be
// ranked.

import { byId, line, say } from "./dom.js";
import { forCreator, namesCommand, operatorsFold, sentence, withoutCommands } from "./for_operators.js";
import { drawLab } from "./lab_view.js";
import { fillNiches, goneWords, isNicheName, nicheOfAddress } from "./niche_menu.js";
import { health } from "./service.js";
import { nicheName } from "./words.js";

const ASK_AGAIN_MS = 3000;
const SEEN = "thumblab-seen"; // localStorage remembers under this name that somebody has read the introduction.

let missing = []; // What the service lacks for every measurement. It is shown once, and not with every answer.
let note = ""; // What the library is made of, where it does not come from YouTube.
let model = null; // Whether the service serves a model. Null until the service has answered.
let libraries = null; // The niches that have a library. Null until the service has answered.
let waiting = null;
let asked = 0; // The number of the newest request. The answers of older requests are dropped, so that only one request is repeated.

let changed = () => {};

export const missingOfLab = () => missing;

export const hasModel = () => model !== false;

// Whether the lab has a library, so that it can propose a niche. True until the service has answered.
export const hasLibrary = () => libraries === null || libraries.length > 0;

// Each answer keeps this note, so that no export of it can pass for a result on real thumbnails.
export const noteOfLab = () => note;

export function onLabShown(callback) {
  changed = callback;
}

// Request the state of the service, and show it. Until the service can rank, repeat the request every few seconds. If the service
// does not answer, no notes are shown, because each ranking says what was missing.
export async function showLab() {
  clearTimeout(waiting);
  asked += 1;
  const mine = asked;
  try {
    const state = await health();
    if (mine !== asked) return;
    missing = state.meter.missing;
    libraries = Object.keys(state.indices).filter((niche) => state.indices[niche].release !== null);
    model = state.model.release !== null;
    note = state.library_note ?? "";
    drawNotes([note, ...missing.map(withoutCommands)].filter(Boolean), missing.filter(namesCommand));
    drawNiches(Object.keys(state.indices));
    drawSetup(state);
    drawLab(state);
    changed();
    if (!state.ready) waiting = setTimeout(showLab, ASK_AGAIN_MS);
  } catch {
    if (mine !== asked) return;
    missing = [];
    drawNotes([], []);
    changed();
    waiting = setTimeout(showLab, ASK_AGAIN_MS);
  }
}

// The notes are drawn again only if they have changed, because a person may have opened the fold.
function drawNotes(texts, ofOperator) {
  const shown = JSON.stringify([texts, ofOperator]);
  if (byId("notes").dataset.shown === shown) return;
  byId("notes").dataset.shown = shown;
  const items = texts.map((text) => line("li", text === note ? text : `${sentence(text)} Everything else is measured.`));
  const fold = operatorsFold(ofOperator);
  if (fold) {
    const item = line("li", "");
    item.append(fold);
    items.push(item);
  }
  byId("notes").replaceChildren(...items);
  byId("notes").hidden = items.length === 0;
}

// Show beside each niche whether it has a library. Choose a niche with a library at the beginning.
function drawNiches(niches) {
  const menu = byId("niche");
  const first = menu.dataset.known !== "yes";
  const gone = fillNiches(menu, niches) ?? (first ? noNicheOfAddress() : null);
  fillNiches(byId("channel-niche"), niches);
  byId("channel-niche").options[0].textContent = hasLibrary() ? "Let the lab propose one" : "Choose one";
  say("channel-niche-none", hasLibrary() ? "" : "The lab cannot propose a niche, because it has no library yet.");
  menu.dataset.known = "yes";
  if (gone !== null) delete menu.dataset.chosen;
  for (const option of menu.options) {
    option.textContent = nicheName(option.value) + (libraries.includes(option.value) ? "" : " (no library yet)");
  }
  if ((first || gone !== null) && libraries.length > 0 && !libraries.includes(menu.value) && menu.dataset.chosen !== "yes") {
    menu.value = libraries[0];
  }
  if (gone !== null) say("niche-gone", `${goneWords(gone)} Its niches are ${niches.map(nicheName).join(", ")}. ${nicheName(menu.value)} is chosen now.`);
  const named = libraries.map(nicheName).join(", ");
  byId("libraries").textContent = named ? `This lab has a library of: ${named}.` : "This lab has no library yet.";
}

// Return what the address gives as a niche, if no niche can have this name.
function noNicheOfAddress() {
  const given = nicheOfAddress();
  return given !== null && !isNicheName(given) ? given : null;
}

// Show what is missing before anything can be ranked, and the shortest way to get it.
function drawSetup(state) {
  const steps = [
    [state.encoders.state === "warm" && state.meter.state === "warm", "The service has loaded its encoders.", state.encoders.reason ?? state.meter.reason ?? "The encoders are being loaded."],
    [libraries.length > 0, "A library of at least one niche.", refusal(Object.values(state.indices)) || "There is no library yet."],
    [state.model.release !== null, "A ranking model.", refusal([state.model]) || (state.model.state === "loading" ? "The model is being loaded." : "There is no model yet.")],
  ];
  if (steps.every(([done]) => done)) steps.push([state.ready, "A first answer, which the service gives itself.", state.rehearsal.reason ?? "The answer is being made."]);
  byId("setup").hidden = state.ready;
  byId("setup-steps").replaceChildren(...steps.map(([done, name, reason]) => step(done, name, reason)));
  byId("setup-way").hidden = libraries.length > 0 && state.model.release !== null;
}

function refusal(slots) {
  const refused = slots.find((slot) => slot.refused !== null && slot.release === null);
  return refused ? `It was refused: ${refused.refused.reason}` : "";
}

function step(done, name, reason) {
  const item = line("li", "", done ? "done" : "open");
  item.append(line("span", done ? "✓" : "○", "mark"), line("span", `${done ? "There: " : "Missing: "}${name}`));
  item.querySelector(".mark").setAttribute("aria-hidden", "true");
  if (!done) item.append(line("small", forCreator(reason))); // The part Lab has the whole reason.
  return item;
}

// --- the introduction, which is open at the first visit ---

export function welcome() {
  let seen = false;
  try {
    seen = localStorage.getItem(SEEN) !== null;
  } catch {
    // If the browser stores nothing for this page, the introduction is open at every visit.
  }
  byId("welcome").open = !seen;
}

export function rememberVisit() {
  byId("welcome").open = false;
  try {
    localStorage.setItem(SEEN, "yes");
  } catch {
    // See the comment in `welcome`.
  }
}

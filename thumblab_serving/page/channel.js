// The part "My channel": give exports of YouTube Studio, follow the import, and go on to the comparison.

import { chosenColumns, hideColumns, showColumns } from "./channel_columns.js";
import { drawImport, drawKnown } from "./channel_view.js";
import { button, byId, bytes, capital, line, say } from "./dom.js";
import { currentKey, onKeyGiven, showKeyField } from "./key.js";
import { showLab } from "./lab.js";
import { addChannel, channelImport, knownChannels } from "./service.js";
import { NICHES } from "./words.js";

const POLL_MS = 1000;
const FOLLOWED = "thumblab-channel-import"; // sessionStorage keeps the id of the import under this name.
const EXPORT = /\.(zip|csv)$/i;
const MOST_FILES = 20; // The service takes as many, see `MOST_EXPORTS` in `schemas/channels.py`.
const MOST_BYTES = 32 * 2 ** 20;

let chosen = [];
let current = null; // The import on the page, as the service described it last.
let asking = null; // The timer of the next question about the import.
let refused = null; // The id of the import for which the service refused the key. A new key lets the page follow it again.
let sending = false;
let compare = () => {};

// Choose those files that are exports. Return whether there are any.
export function takeExports(files) {
  const exports = files.filter((file) => EXPORT.test(file.name));
  if (exports.length === 0) return false;
  choose(exports);
  const others = files.length - exports.length;
  if (others > 0) say("channel-problem", `Left out: ${others} of the files, which are no .zip and no .csv file.`);
  return true;
}

export function showChannel() {
  drawKnownChannels();
  const id = remembered();
  if (id !== null && current === null && currentKey()) follow(id);
}

export function wireChannel(onCompare) {
  compare = onCompare;
  byId("channel-niche").append(...Object.entries(NICHES).map(([value, name]) => new Option(name, value)));
  byId("exports").addEventListener("change", (event) => {
    if (event.target.files.length > 0 && !takeExports([...event.target.files])) {
      say("channel-problem", "That is no .zip and no .csv file. Choose the file as YouTube Studio gave it.");
    }
    event.target.value = ""; // Without this, a removed file could not be chosen again.
  });
  byId("channel-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  onKeyGiven(goOn);
  byId("compare-for-channel").addEventListener("click", () => compareFor(current.imported.channel_id, current.imported.niche));
}

function choose(files) {
  // After an import has ended, or the page was loaded again, the columns may be chosen before the export is given again.
  if (chosen.length > 0) hideColumns();
  const names = new Set(files.map((file) => file.name));
  // The same file again replaces the one before, because its owner may have exported it anew.
  chosen = [...chosen.filter((file) => !names.has(file.name)), ...files];
  say("channel-problem", "");
  drawChosen();
}

function drawChosen() {
  byId("exports-chosen").replaceChildren(
    ...chosen.map((file) => {
      const item = line("li", "", "file");
      const remover = button("Remove", "quiet", () => {
        chosen = chosen.filter((other) => other !== file);
        drawChosen();
        byId("exports").focus();
      });
      remover.setAttribute("aria-label", `Remove ${file.name}`);
      item.append(line("span", file.name), line("small", bytes(file.size)), remover);
      return item;
    }),
  );
}

// Return the id of the first invalid field and what to do about it, or null.
function firstInvalid() {
  if (chosen.length === 0) return ["exports", "Choose the export of YouTube Studio, or drop it on the page."];
  if (chosen.length > MOST_FILES) return ["exports", `At most ${MOST_FILES} files are taken at once; remove some.`];
  const size = chosen.reduce((sum, file) => sum + file.size, 0);
  if (size > MOST_BYTES) return ["exports", `The files have ${bytes(size)}; at most ${bytes(MOST_BYTES)} are taken at once.`];
  if (!byId("channel-niche").value) return ["channel-niche", "Choose the niche of your channel."];
  if (!currentKey()) return ["channel-key", "Give the API key; `thumblab key` prints it."];
  return null;
}

async function send() {
  if (sending) return;
  say("channel-problem", "");
  const invalid = firstInvalid();
  if (invalid) {
    byId(invalid[0]).focus();
    say("channel-problem", invalid[1]);
    return;
  }
  sending = true;
  byId("learn").disabled = true;
  const given = { name: byId("channel-name").value.trim(), niche: byId("channel-niche").value, columns: chosenColumns() };
  try {
    const started = await addChannel(chosen, given);
    showKeyField(false);
    hideColumns();
    remember(started.id);
    show(started);
    byId("learning-title").focus();
    follow(started.id);
  } catch (error) {
    say("channel-problem", error.message);
    byId("learn").disabled = false;
  } finally {
    sending = false;
  }
}

// Ask for the import until it has ended.
async function follow(id) {
  clearTimeout(asking);
  const hadKeyRefused = refused !== null;
  refused = null;
  let answer;
  try {
    answer = await channelImport(id);
  } catch (error) {
    if (error.status === 404) {
      remember(null);
      byId("learn").disabled = false;
      if (current !== null && goesOn(current)) say("learning-now", `${capital(error.message)}.`);
    } else if (error.status === 401) {
      refused = id;
      say("channel-problem", error.message);
      byId("learn").disabled = false;
    } else {
      say("learning-now", `${error.message} Asking again.`);
      asking = setTimeout(() => follow(id), 3 * POLL_MS);
    }
    return;
  }
  if (hadKeyRefused) {
    say("channel-problem", "");
    showKeyField(false);
    drawKnownChannels();
  }
  const wasGoingOn = current !== null && goesOn(current);
  show(answer);
  if (goesOn(answer)) asking = setTimeout(() => follow(id), POLL_MS);
  else if (wasGoingOn) ended(answer);
}

function goOn() {
  if (refused === null) return;
  byId("learn").disabled = true; // The Enter key, which gives the key, would also send the form.
  follow(refused);
}

const goesOn = ({ state }) => state === "queued" || state === "running";

function show(answer) {
  current = answer;
  byId("learn").disabled = goesOn(answer);
  drawImport(answer, (tables) => showColumns(tables, "Choose the columns that are wrong, then give the export again and press the button."));
}

function ended(answer) {
  showLab(); // A first model may have been trained.
  drawKnownChannels();
  if (answer.state === "done") {
    chosen = [];
    drawChosen();
    byId("learning-title").focus();
    return;
  }
  if (answer.needs === "columns") {
    const again = chosen.length > 0 ? "then press the button again." : "choose the export once more, then press the button.";
    showColumns(answer.unrecognised, `The lab did not recognise every column. Choose them, ${again}`);
  } else if (answer.needs === "name") byId("channel-name").focus();
  else if (answer.needs === "niche") byId("channel-niche").focus();
  else byId("learning-title").focus();
}

async function drawKnownChannels() {
  if (!currentKey()) return;
  try {
    const { channels } = await knownChannels();
    drawKnown(channels, compareFor);
  } catch {
    byId("known").hidden = true; // The list is an extra. What went wrong shows where something is sent.
  }
}

function compareFor(channelId, niche) {
  byId("channel").value = channelId;
  if (niche in NICHES) {
    byId("niche").value = niche;
    byId("niche").dataset.chosen = "yes";
  }
  compare();
  byId("channel").dispatchEvent(new Event("input", { bubbles: true })); // An answer on the page is now outdated.
  byId("title").focus();
}

function remember(id) {
  if (id === null) sessionStorage.removeItem(FOLLOWED);
  else sessionStorage.setItem(FOLLOWED, id);
}

const remembered = () => sessionStorage.getItem(FOLLOWED);

// The part "My channel": give exports of YouTube Studio, follow the import, and go on to the comparison.

import { chosenColumns, hideColumns, hideColumnsOfOthers, showColumns } from "./channel_columns.js";
import { isExportOf } from "./channel_files.js";
import { asksForColumns, drawImport, drawKnown, lost } from "./channel_view.js";
import { button, byId, bytes, line, say } from "./dom.js";
import { sayProblem, sentence, withoutCommands } from "./for_operators.js";
import { currentKey, NO_KEY, onKeyGiven, showKeyField } from "./key.js";
import { askForChannels, find, learnt, nameOf } from "./known_channels.js";
import { hasLibrary, hasModel, showLab } from "./lab.js";
import { chooseNiche, unchooseNiche } from "./niche_menu.js";
import { openForm } from "./niches/form.js";
import { FOLLOWED_MS } from "./niches/service.js";
import { addChannel, channelImport, channelImports } from "./service.js";
import { forgetForTab, keepForTab, keptForTab } from "./tab_memory.js";
import { NICHES, nicheName } from "./words.js";

const POLL_MS = 2000; // A key with a limit of 60 requests per minute can also send other requests meanwhile.
const FOLLOWED = "thumblab-channel-import"; // The tab keeps the id of the import under this name.
const EXPORT = /\.(zip|csv)$/i;
const NO_EXPORT = "An export is a .zip or .csv file: when you download it in YouTube Studio, choose Comma-separated values (.csv).";
const NEWS_MS = 60 * 60 * 1000; // An import that began within this time is shown again, even if it has ended.
const MOST_FILES = 20; // The limit of the service, see `MOST_EXPORTS` in `schemas/channels.py`.
const MOST_BYTES = 32 * 2 ** 20;

let chosen = [];
let current = null; // The import on the page, as in the last answer of the service.
let asking = null; // The timer of the next request for the state of the import.
let following = 0; // The number of the newest call of `follow`. An older call stops.
let keyRefused = false; // Whether the page shows that its key was refused.
let keyOfCurrent = null; // The key with which the service last described the import on the page.
let refused = null; // The id of the import for which the service refused the key. A new key lets the page follow it again.
let sending = false;
let sent = null; // What this page sent for an import: {id, name, niche}, or null.
let suggested = false; // Whether the niche in the form was proposed or made for the exports of the import on the page.
let compare = () => {};

// Choose those files that are exports. Return whether there are any.
export function takeExports(files) {
  const exports = files.filter((file) => EXPORT.test(file.name));
  if (exports.length === 0) return false;
  choose(exports);
  const others = files.length - exports.length;
  if (others > 0) sayProblem("channel-problem", `Left out: ${others} of the files, which are not .zip or .csv files.`);
  return true;
}

// Show that none of the files is an export.
export function refuseOthers(files) {
  sayProblem("channel-problem", `Left out: ${files.map((file) => file.name).slice(0, 3).join(", ")}. ${NO_EXPORT}`);
}

export function showChannel() {
  drawKnownChannels();
  followOwn();
}

// Follow an import of this key, even if it was begun in another tab, or in a tab that is closed.
export async function followOwn() {
  if (!currentKey() || sending || (current !== null && goesOn(current))) return;
  let imports;
  try {
    imports = await channelImports();
  } catch {
    imports = []; // The page shows an error only when the person sends something.
  }
  if (sending || (current !== null && goesOn(current))) return;
  const shown = current?.id ?? remembered();
  const own = imports.find(goesOn) ?? imports.find(({ id }) => id === shown) ?? imports.find(isNews);
  const id = own?.id ?? (current === null ? shown : null);
  if (id !== null && id !== current?.id && id !== refused) {
    remember(id);
    follow(id);
  }
}

const isNews = ({ created_at: since }) => Date.now() - Date.parse(since) < NEWS_MS;

export function wireChannel(onCompare) {
  compare = onCompare;
  byId("channel-niche").append(...Object.entries(NICHES).map(([value, name]) => new Option(name, value)));
  byId("exports").addEventListener("change", (event) => {
    if (event.target.files.length > 0 && !takeExports([...event.target.files])) {
      refuseOthers([...event.target.files]);
    }
    event.target.value = ""; // Without this, a removed file could not be chosen again.
  });
  byId("channel-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  onKeyGiven(goOn);
  onKeyGiven(checkKey);
  document.addEventListener("visibilitychange", () => document.hidden || followOwn());
  byId("compare-for-channel").addEventListener("click", compareForLearnt);
  byId("niche-from-export").addEventListener("click", makeNiche);
  byId("columns-from-export").addEventListener("click", askForColumns);
  byId("channel-niche").addEventListener("change", () => {
    suggested = false;
    say("channel-niche-why", "");
  });
}

function choose(files) {
  if (!suggested) say("channel-niche-why", "");
  const names = new Set(files.map((file) => file.name));
  // A new file replaces a chosen file of the same name, because it may be a newer export.
  chosen = [...chosen.filter((file) => !names.has(file.name)), ...files];
  sayProblem("channel-problem", "");
  drawChosen();
}

function drawChosen() {
  // After an import has ended, or the page was loaded again, the columns may be chosen before the export is given again.
  hideColumnsOfOthers(chosen);
  // The next channel may be in another niche, and a channel that the lab knows would be moved to the niche in the form.
  if (suggested && !isExportOf(current, chosen)) {
    suggested = false;
    unchooseNiche(byId("channel-niche"));
    say("channel-niche-why", "");
  }
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
  if (chosen.length > MOST_FILES) return ["exports", `At most ${MOST_FILES} files can be sent at once; remove some.`];
  const size = chosen.reduce((sum, file) => sum + file.size, 0);
  if (size > MOST_BYTES) return ["exports", `The files have ${bytes(size)}; at most ${bytes(MOST_BYTES)} can be sent at once.`];
  if (!byId("channel-niche").value && !hasLibrary()) return ["channel-niche", "Choose the niche of your channel: the lab has no library yet, so it cannot propose one."];
  if (!currentKey()) return ["channel-key", NO_KEY];
  return null;
}

async function send() {
  if (sending) return;
  sayProblem("channel-problem", "");
  const invalid = firstInvalid();
  if (invalid) {
    byId(invalid[0]).focus();
    sayProblem("channel-problem", invalid[1]);
    return;
  }
  sending = true;
  byId("learn").disabled = true;
  const given = { name: byId("channel-name").value.trim(), niche: byId("channel-niche").value, columns: chosenColumns() };
  try {
    const started = await addChannel(chosen, given);
    showKeyField(false);
    hideColumns();
    say("channel-niche-why", "");
    remember(started.id);
    sent = { id: started.id, name: given.name, niche: given.niche };
    show(started);
    byId("learning-title").focus({ preventScroll: true });
    byId("learning").scrollIntoView({ block: "start" });
    follow(started.id);
  } catch (error) {
    sayProblem("channel-problem", error.message);
    byId("learn").disabled = false;
  } finally {
    sending = false;
  }
}

// Request the state of the import again and again until the import has ended.
async function follow(id) {
  clearTimeout(asking);
  const turn = (following += 1);
  const hadKeyRefused = refused !== null;
  refused = null;
  let answer;
  try {
    answer = await channelImport(id);
    if (turn !== following) return;
  } catch (error) {
    if (turn !== following) return;
    if (error.status === 404) {
      remember(null);
      byId("learn").disabled = false;
      if (current === null || !goesOn(current)) return;
      show(lost(current, withoutCommands(error.message), keyOfCurrent === currentKey()));
      ended(current);
    } else if (error.status === 401) {
      refused = id;
      sayProblem("channel-problem", error.message);
      byId("learn").disabled = false;
    } else {
      say("learning-now", `${sentence(withoutCommands(error.message))} Asking again.`);
      asking = setTimeout(() => follow(id), 2 * POLL_MS);
    }
    return;
  }
  if (hadKeyRefused) {
    sayProblem("channel-problem", "");
    showKeyField(false);
    drawKnownChannels();
  }
  keyOfCurrent = currentKey();
  const wasGoingOn = current !== null && goesOn(current);
  show(answer);
  if (goesOn(answer)) asking = setTimeout(() => follow(id), POLL_MS);
  else if (wasGoingOn) ended(answer);
}

// Request once the channels that the form offers. The answer also shows whether the service accepts the key.
export async function checkKey() {
  try {
    await askForChannels();
  } catch (error) {
    if (error.status !== 401) return; // The form also works without the list.
    keyRefused = true;
    for (const id of ["problem", "channel-problem"]) sayProblem(id, error.message);
    return;
  }
  if (keyRefused) {
    keyRefused = false;
    for (const id of ["problem", "channel-problem"]) sayProblem(id, "");
    showKeyField(false);
  }
  followOwn();
  document.dispatchEvent(new Event("channels-known"));
}

function goOn() {
  if (refused === null) return;
  byId("learn").disabled = true; // Otherwise, Enter in the field of the API key would also send the form.
  follow(refused);
}

const goesOn = ({ state }) => state === "queued" || state === "running";

function show(answer) {
  current = answer;
  byId("learn").disabled = goesOn(answer);
  byId("nav-learning").hidden = !goesOn(answer);
  if (answer.needs === "niche") propose(answer.proposal);
  drawImport(answer, { hasModel: hasModel(), asked: sent?.id === answer.id ? sent.niche : "", inForm: byId("channel-niche").value }, (tables) => offerColumns(tables, "Choose the columns that are wrong, then give the export again and press the button."));
}

function ended(answer) {
  showLab(); // The import may have trained a first model, so the notes about the lab are updated.
  drawKnownChannels();
  if (answer.state === "done") {
    emptyForm(answer);
    byId("learning-title").focus();
    return;
  }
  if (asksForColumns(answer)) askForColumns();
  else if (answer.needs === "name") byId("channel-name").focus();
  else if (answer.needs === "niche") byId("channel-niche").focus();
  else byId("learning-title").focus();
}

// Take what belongs to an import that is done out of the form. The next export may be of another channel, which must not get the
// name or the niche of this one. Exports that the person has chosen meanwhile stay.
function emptyForm(done) {
  chosen = chosen.filter((file) => !isExportOf(done, [file]));
  const { name, niche } = sent?.id === done.id ? sent : {};
  if (name && byId("channel-name").value.trim() === name) byId("channel-name").value = "";
  if (niche && byId("channel-niche").value === niche) unchooseNiche(byId("channel-niche"));
  drawChosen();
}

function askForColumns() {
  const again = chosen.length > 0 ? "then press the button again." : "choose the export once more, then press the button.";
  offerColumns(current.unrecognised, `The lab did not recognise every column. Choose them, ${again}`);
}

// Offer the columns of the import on the page, unless other exports are chosen: the columns would be sent with those.
function offerColumns(tables, why) {
  if (chosen.length === 0 || isExportOf(current, chosen)) {
    showColumns(current, tables, why);
    return;
  }
  sayProblem("channel-problem", `The columns are those of ${current.files[0]}. Choose this export first, and remove the others.`);
  byId("exports").focus();
}

// Choose the niche that the lab proposes, and say why. The person confirms it with the button, or chooses another one. Change
// nothing if the person has already chosen a niche, or exports of another import.
function propose(proposal) {
  if (byId("channel-niche").value && !suggested) return;
  if (chosen.length > 0 && !isExportOf(current, chosen)) return;
  const niche = proposal?.niche ?? null;
  if (niche !== null) suggest(niche);
  // The message below the form may be outside a phone's screen, so the form says the same in short.
  const none = proposal ? "No niche is proposed. Choose one, or make a new one below." : "";
  say("channel-niche-why", niche === null ? none : `Proposed: ${sentence(withoutCommands(proposal.reason))}`);
}

function suggest(niche) {
  chooseNiche(byId("channel-niche"), niche);
  suggested = true;
}

// A person adds a niche for the channel. The form begins with texts from the titles of the export.
function makeNiche() {
  openForm(null, { searches: current.proposal.searches }, (niche) => {
    suggest(niche.name);
    say("channel-niche-why", `${nicheName(niche.name)} is added, and chosen for your channel.`);
    byId("channel-niche").focus();
    setTimeout(showLab, FOLLOWED_MS); // The menus of niches would lose the new niche if they were filled earlier.
  });
}

async function drawKnownChannels() {
  if (!currentKey()) return;
  try {
    await askForChannels();
    document.dispatchEvent(new Event("channels-known"));
    drawKnown(learnt(), compareFor);
  } catch {
    byId("known").hidden = true; // The list is optional, so its error is not shown.
  }
}

// The list of channels may be older than the import. It is then requested again, because only a newer list has the title of the
// channel.
async function compareForLearnt() {
  const { channel_id: id, niche } = current.imported;
  if (find(id) === null) await askForChannels().catch(() => {}); // Without the list, the field shows the id.
  compareFor(id, niche);
}

function compareFor(channelId, niche) {
  byId("channel").value = nameOf(channelId);
  chooseNiche(byId("niche"), niche);
  compare();
  byId("channel").dispatchEvent(new Event("input", { bubbles: true })); // An answer on the page is now outdated.
  byId("title").focus();
}

function remember(id) {
  if (id === null) forgetForTab(FOLLOWED);
  else keepForTab(FOLLOWED, id);
}

const remembered = () => keptForTab(FOLLOWED);

// Connect the parts of the page of people.

import { byId, say } from "../dom.js";
import { currentKey, onKeyGiven, showKeyField, takeKey } from "../key.js";
import { drawChanges } from "./changes.js";
import { NONE, closeCluster, drawCluster, faces, isNone, openCluster, wireCluster } from "./cluster.js";
import { retryCrops } from "./crops.js";
import { askForKey, done, failed, focusOn, hasKey, settleFocus } from "./feedback.js";
import { cancel, closeForm, focusField, formIsOpen, wireForms } from "./forms.js";
import { wireKeys } from "./keys.js";
import { forgetKnown } from "./known.js";
import { chosenClusters, unmergeOne, wireOperations } from "./operations.js";
import { showPicture, wirePicture } from "./picture.js";
import { drawFigures, wireRuns } from "./runs.js";
import { drawSheets, sheets, wireSheets } from "./sheets.js";
import { keyOf } from "./words.js";

const CLUSTER = /^#cluster=([0-9a-f]{12}|none)$/; // The address names the open cluster, so that the browser can go back.
const NEEDS = {
  s: "Open a cluster and select faces first",
  v: "Open a cluster and select faces first",
  x: "Open a cluster and select faces first",
  u: "There is nothing to undo",
  n: "There is no cluster to name here",
  m: "There is no cluster to merge here",
};

let isLoaded = false;
let loads = 0; // The number of the newest call of `load`.
let shown = null; // The key of the cluster that is shown, or null while the list is shown.
let lastOpen = null; // The key of the cluster that was open last. Its sheet gets the focus when the list is shown again.

const wanted = () => CLUSTER.exec(location.hash)?.[1] ?? null;
const list = () => (byId("cluster").hidden ? sheets : faces);
const toList = () => list().focus() || focusOn(byId("cluster").hidden ? "list-title" : "cluster-title");

// --- loading ---

// `asked`: whether a person has started the loading. If not, a missing key is no error: the field for the key is enough.
async function load(asked = true) {
  if (!asked && !currentKey()) return askForKey();
  if (!hasKey()) return;
  const mine = ++loads;
  try {
    await Promise.all([drawFigures(), drawChanges(unmergeOne)]);
    if (mine !== loads) return; // A newer call, perhaps with another key, decides what is shown.
    showKeyField(false);
    say("problem", "");
    byId("retry").hidden = true;
    byId("browse").hidden = false;
    const first = !isLoaded;
    isLoaded = true;
    await route(!first);
    retryCrops();
    settleFocus(() => formIsOpen() && focusField(), () => !first && toList());
  } catch (error) {
    if (mine !== loads) return;
    byId("retry").hidden = error.status === 401 || error.status === 403;
    failed(error);
  }
}

// Show what the address names: the list, or a cluster. `moves`: whether the focus moves there.
async function route(moves = true) {
  const key = wanted();
  shown = key;
  if (key === null) return showList(moves);
  try {
    await showCluster(key, moves);
  } catch (error) {
    if (error.status === 404) await leave();
    throw error;
  }
}

// Show a cluster, and return whether it is shown. If the address has changed when the answer arrives, a person has gone
// elsewhere, and the cluster is not shown.
async function showCluster(key, moves = false) {
  let drawn = false;
  try {
    drawn = await drawCluster(key);
  } catch (error) {
    if (wanted() === key) throw error;
  }
  if (!drawn || wanted() !== key) return false;
  const isNew = byId("cluster").hidden || lastOpen !== key;
  byId("list").hidden = true;
  byId("cluster").hidden = false;
  lastOpen = key;
  drawBar();
  if (moves && isNew) focusOn("cluster-title");
  else settleFocus(toList);
  return true;
}

async function showList(moves) {
  const wasOpen = !byId("cluster").hidden;
  try {
    await drawSheets();
  } catch (error) {
    if (wanted() === null) throw error;
  }
  if (wanted() !== null) return; // A person has opened a cluster meanwhile.
  byId("list").hidden = false;
  byId("cluster").hidden = true;
  closeCluster();
  drawBar();
  if (wasOpen && moves) sheets.focus(lastOpen) || focusOn("list-title");
}

// Show the lab again after a change. `key`: the cluster that gets the focus, if it is in the list.
async function refresh(key = null) {
  forgetKnown();
  drawFigures().catch(() => {}); // The figures are drawn again after the next change.
  try {
    await drawChanges(unmergeOne);
    if (wanted() === null) await drawSheets();
    else if ((await showCluster(wanted())) && openCluster() !== null) {
      follow(keyOf(openCluster().cluster_id));
      if (openCluster().faces === 0 && openCluster().name === null) await leave();
    }
  } catch (error) {
    const status = error.status;
    if (status !== 404) throw Object.assign(new Error(`The change was made, but the page could not be drawn again: ${error.message}`), { status });
    await leave();
  }
  drawBar();
  const isListed = key !== null && byId("cluster").hidden && sheets.items.some((item) => item.key === key);
  // A person may write into another field by now, from which the focus must not be taken.
  settleFocus(() => isListed && sheets.focus(key), toList);
}

// A merged cluster has the id of the one that it was merged into.
function follow(key) {
  if (key !== wanted()) history.replaceState(null, "", `#cluster=${key}`);
  [shown, lastOpen] = [key, key];
}

// Go back to the list, because the open cluster is gone.
async function leave() {
  history.replaceState(null, "", location.pathname);
  shown = null;
  await showList(true);
}

function open(key) {
  if (wanted() !== key) location.hash = `cluster=${key}`;
  else if (byId("cluster").hidden || lastOpen !== key) route().catch(failed); // It could not be shown before.
  else focusOn("cluster-title");
}

function back() {
  if (wanted() !== null) location.hash = "";
  else route().catch(failed); // The list could not be shown before.
}

function escape() {
  if (formIsOpen()) cancel();
  else if (list().selected.size > 0) {
    list().select([]);
    done("Nothing is selected");
  } else if (!byId("cluster").hidden) back();
}

// --- the buttons ---

// Show the buttons of the view, with labels for the present selection.
function drawBar() {
  const inList = byId("cluster").hidden;
  const selected = list().selected.size;
  const isEmpty = list().items.length === 0;
  for (const id of ["back", "split", "move", "not"]) byId(`do-${id}`).hidden = inList;
  byId("do-not").hidden ||= isNone();
  for (const id of ["name", "merge"]) byId(`do-${id}`).hidden = !inList && isNone();
  for (const id of ["open", "select", "split", "move", "not"]) byId(`do-${id}`).disabled = isEmpty;
  for (const id of ["name", "merge"]) byId(`do-${id}`).disabled = chosenClusters().length === 0;
  byId("do-name").disabled ||= chosenClusters().length > 1;
  write("do-open", inList ? "Open" : "Picture");
  write("do-select", list().selected.has(list().current) ? "Unselect" : "Select");
  write("do-merge", inList && selected > 1 ? `Merge ${selected}` : "Merge into…");
  const count = !inList && selected > 0 ? ` ${selected}` : "";
  write("do-split", `Split off${count}`);
  write("do-move", `Move${count} to…`);
  write("do-not", `Not this person${count && ` (${selected})`}`);
  const all = faces.selected.size === faces.items.length;
  byId("select-all").textContent = all ? "Select none" : "Select all";
}

function write(id, text) {
  const first = byId(id).firstChild;
  if (first.textContent !== `${text} `) first.textContent = `${text} `;
}

const changed = () => sheets !== null && faces !== null && drawBar();

wireSheets({ open: (cluster) => open(cluster.key), changed });
wireCluster({ open: showPicture, changed });
wireForms(toList);
wirePicture(() => settleFocus(toList));
wireOperations({ onChanged: refresh, onOpen: open });
wireKeys({ escape, formIsOpen, unavailable: (key) => done(NEEDS[key]) });
byId("do-back").addEventListener("click", back);
byId("do-open").addEventListener("click", () => list().open(list().items[list().place]));
byId("do-select").addEventListener("click", () => list().toggle());
byId("show-none").addEventListener("click", () => open(NONE));
byId("retry").addEventListener("click", () => load());
byId("key-field").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
window.addEventListener("hashchange", () => {
  takeKey(); // A link with a key must not close an open form.
  if (wanted() === shown) return;
  closeForm();
  done("");
  if (isLoaded) route().catch(failed);
});
takeKey();
onKeyGiven(load);
wireRuns(() => isLoaded && refresh().catch(failed));
load(false);

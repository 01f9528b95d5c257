// The two forms of the page: the name of a cluster, and the choice of another cluster. One of them is open at a time.

import { byId, line, say } from "../dom.js";
import { sentence } from "../for_operators.js";
import { crop } from "./crops.js";
import { done, focusOn } from "./feedback.js";
import { found, knownPeople, nameKey } from "./known.js";
import { listClusters } from "./service.js";
import { keyOf, sizeOf } from "./words.js";

const PAUSE_MS = 200;
const MOST = 8; // The maximum number of clusters that are offered at once.

let open = null; // {form, submit} of the open form, or null.
let closed = () => {};
let offered = []; // The clusters of the target form.
let pausing = null;
let asked = 0; // The number of the newest search. The answers of older searches are dropped.
let offeredFor = null; // The search text for which the offered clusters were found, or null.
let announced = null; // The name of a known person, if the page shows that these faces will join this person. Otherwise null.

export const formIsOpen = () => open !== null;

// Return three functions for the form that is open now. `isOpen` returns whether this form is still open. `close` closes this
// form, but no form that was opened later. `announce` stores the name of the person whom these faces will join.
export function openForm() {
  const mine = open;
  const isOpen = () => mine !== null && mine === open;
  return { isOpen, close: () => isOpen() && closeForm(), announce: (name) => isOpen() && (announced = name) };
}

// `onClosed` is called when a person closes a form.
export function wireForms(onClosed) {
  closed = onClosed;
  for (const id of ["name-form", "target-form"]) byId(id).addEventListener("submit", submit);
  for (const id of ["name-cancel", "target-cancel"]) byId(id).addEventListener("click", cancel);
  byId("name").addEventListener("input", hint);
  byId("name-remove").addEventListener("click", () => open.remove());
  byId("target-text").addEventListener("input", () => {
    clearTimeout(pausing);
    pausing = setTimeout(search, PAUSE_MS);
  });
}

export function closeForm() {
  clearTimeout(pausing);
  asked += 1;
  [pausing, offeredFor, announced] = [null, null, null];
  if (open !== null) byId(open.form).hidden = true;
  open = null;
}

// Move the focus into the open form.
export const focusField = () => ["name", "target-text"].some(focusOn);

export function cancel() {
  closeForm();
  closed();
}

function submit(event) {
  event.preventDefault();
  if (open !== null) open.submit();
}

function show(form, of, parts) {
  closeForm();
  done("");
  open = { form, ...parts };
  const pictures = line("span", "", "form-faces");
  pictures.append(...of.pictures.slice(0, 6).map(crop));
  byId(form === "name-form" ? "name-of" : "target-of").replaceChildren(pictures, line("span", of.words));
  byId(form).hidden = false;
}

// --- the name ---

// Ask for the name of a cluster. `save(name, merge)` and `remove()` do what the person chose. `merge`: whether the page has shown
// that these faces will join another person.
export function askForName(cluster, { save, remove }) {
  const entered = () => {
    const name = byId("name").value.trim();
    if (name) return save(name, announced === name);
    say("name-problem", "Write the name of the person.");
    byId("name").focus();
  };
  show("name-form", { pictures: cluster.samples, words: `${cluster.name ?? "Unknown"}: ${sizeOf(cluster)}` }, { cluster, submit: entered, remove });
  byId("name").value = cluster.name ?? "";
  byId("name-remove").hidden = cluster.name === null;
  say("name-problem", "");
  byId("name-hint").textContent = "";
  byId("name").focus();
  byId("name").select();
  offerNames();
}

async function offerNames() {
  const people = await knownPeople().catch(() => []); // Without the list, the field offers no names.
  byId("names").replaceChildren(...people.map(({ name }) => new Option(name, name)));
  hint();
}

// Show in advance that two clusters with the same name become one cluster.
async function hint() {
  const people = await knownPeople().catch(() => []);
  if (open?.form !== "name-form") return;
  const wanted = nameKey(byId("name").value);
  const same = people.find(({ name }) => nameKey(name) === wanted);
  const isOther = same !== undefined && keyOf(same.cluster_id) !== keyOf(open.cluster.cluster_id);
  const text = byId("name").value.trim();
  if (isOther) announced = text;
  // The service may have announced this person while the list of known people was read. Then the announcement holds.
  else if (announced !== text) announced = null;
  byId("name-hint").textContent = isOther ? `“${same.name}” is known already. These faces will join that person.` : "";
}

// --- another cluster ---

// Ask for a cluster. `words` and `pictures` show the purpose. `clusters`: the clusters to choose from. The first of them is
// chosen at the beginning. Without `clusters`, a person can search all clusters, except those whose keys are in `without`.
// `go(cluster)` is called with the chosen cluster.
export function askForCluster({ words, pictures, button, clusters = null, without = [], go }) {
  const entered = async () => {
    const [mine, text] = [open, byId("target-text").value];
    if (offeredFor !== text) await search();
    // A person may have closed the form meanwhile, or written something else. An error is shown already.
    if (mine !== open || offeredFor !== text || byId("target-text").value !== text) return;
    const value = document.querySelector("#targets input:checked")?.value ?? (offered.length === 1 && byId("target-text").value ? offered[0].key : null);
    const target = offered.find(({ key }) => key === value);
    if (target) return go(target.cluster);
    say("target-problem", "Choose a cluster, or find another cluster.");
    (document.querySelector("#targets input") ?? byId("target-text")).focus();
  };
  show("target-form", { pictures, words }, { submit: entered, without });
  byId("target-legend").textContent = words;
  byId("target-go").textContent = button;
  byId("target-text").value = "";
  byId("target-search").hidden = clusters !== null;
  say("target-problem", "");
  offer(clusters ?? [], clusters === null ? null : "");
  if (clusters === null) {
    byId("target-text").focus();
    search();
  } else {
    document.querySelector("#targets input").checked = true;
    document.querySelector("#targets input").focus();
  }
}

async function search() {
  clearTimeout(pausing);
  pausing = null;
  asked += 1;
  const mine = asked;
  try {
    const entered = byId("target-text").value;
    const text = entered.trim();
    const { clusters, total } = text ? { clusters: await found(text), total: 0 } : await listClusters("all", MOST + 1, 0);
    if (mine !== asked || open?.form !== "target-form") return;
    offer(clusters.filter(({ cluster_id: id }) => !open.without.includes(keyOf(id))).slice(0, MOST), entered, total - open.without.length);
  } catch (error) {
    if (mine === asked && open?.form === "target-form") say("target-problem", sentence(error.message));
  }
}

// `all`: the number of all clusters, if `clusters` are only the largest of them.
function offer(clusters, text, all = 0) {
  offeredFor = text;
  const chosen = document.querySelector("#targets input:checked")?.value;
  offered = clusters.map((cluster) => ({ key: keyOf(cluster.cluster_id), cluster }));
  byId("targets").replaceChildren(...offered.map(({ key, cluster }) => drawn(key, cluster, key === chosen)));
  if (all > clusters.length && clusters.length > 0) {
    byId("target-none").textContent = `These are the ${clusters.length} largest of ${all.toLocaleString("en")} clusters. Enter a name, or the id of an unknown cluster, to find another one.`;
    return;
  }
  byId("target-none").textContent = clusters.length > 0 || byId("target-search").hidden ? "" : !byId("target-text").value ? "There is no other cluster." : "Nobody has this name. An unknown cluster is found by its id.";
}

function drawn(key, cluster, isChosen) {
  const label = line("label", "", "target");
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "target", value: key, checked: isChosen });
  const words = line("span", "");
  words.append(line("b", cluster.name ?? "Unknown"), line("small", `${sizeOf(cluster)} · ${cluster.cluster_id}`));
  label.append(radio, ...cluster.samples.slice(0, 1).map(crop), words);
  return label;
}

// Return some faces of each of these clusters, as its pictures in the form.
export const facesOf = (clusters) => clusters.flatMap(({ samples }) => samples.slice(0, clusters.length > 1 ? 1 : 6));

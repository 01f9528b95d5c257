// The operations of a person on clusters and faces.

import { byId } from "../dom.js";
import { sentence } from "../for_operators.js";
import { drawChanges, latestChange } from "./changes.js";
import { faces, isNone, openCluster } from "./cluster.js";
import { attempt, done, focusOn } from "./feedback.js";
import { askForCluster, askForName, facesOf, openForm } from "./forms.js";
import { forgetKnown } from "./known.js";
import { KNOWN_NAME, label, merge, move, notThisPerson, undo, unlabel, unmerge } from "./service.js";
import { sheets } from "./sheets.js";
import { changeWords, keyOf, plural, who } from "./words.js";

let refresh = async () => {};
let goTo = () => {};

// `onChanged(key)` shows the lab again after a change. `key`: the cluster that should have the focus, if it is listed.
export function wireOperations({ onChanged, onOpen }) {
  [refresh, goTo] = [onChanged, onOpen];
  for (const [id, act] of Object.entries({ name, merge: mergeChosen, split, move: moveChosen, not, undo: undoLatest })) {
    byId(`do-${id}`).addEventListener("click", act);
  }
}

const isList = () => byId("cluster").hidden;

// Return the clusters that an operation is about.
export function chosenClusters() {
  if (isList()) return sheets.chosen;
  return openCluster() === null ? [] : [openCluster()];
}

// --- clusters ---

function name() {
  const [cluster, ...others] = chosenClusters();
  if (!cluster || others.length > 0) return done("Select one cluster to name it");
  askForName(cluster, {
    save: (text, mayMerge) => attemptIn("name-problem", (form) => saveName(cluster, text, mayMerge, form)),
    remove: () => attemptIn("name-problem", (form) => removeName(cluster, form)),
  });
}

// Do what a person entered in the open form. A form that is opened before the answer arrives is not changed.
async function attemptIn(problemId, work) {
  const form = openForm();
  const isDone = await attempt(() => work(form), problemId, form.isOpen);
  if (!isDone && form.isOpen() && !byId("key-field").checkVisibility()) focusOn("name");
}

async function saveName(cluster, text, mayMerge, form) {
  const named = await label(cluster.cluster_id, text, mayMerge).catch((error) => {
    if (error.type !== KNOWN_NAME) throw error;
    // The list of known people is older than this name, or the service compares the name in another way than the page.
    forgetKnown();
    form.announce(text);
    throw new Error(`${sentence(error.message)} Save the name again, and these faces will join that person.`);
  });
  form.close();
  const joined = keyOf(named.cluster_id) !== keyOf(cluster.cluster_id);
  await refresh(keyOf(named.cluster_id));
  done(joined ? `Merged into ${who(named)}, who had this name already. It has ${plural(named.faces, "face")} now` : `Named ${who(named)}`);
}

async function removeName(cluster, form) {
  const unnamed = await unlabel(cluster.cluster_id);
  form.close();
  await refresh(keyOf(unnamed.cluster_id));
  done(`Took the name “${cluster.name}” away. The faces stay together`);
}

function mergeChosen() {
  const chosen = chosenClusters();
  if (chosen.length === 0) return done("There is no cluster to merge");
  const isOne = chosen.length === 1;
  // A named cluster is offered first, so that its name stays.
  const clusters = isOne ? null : [...chosen].sort((a, b) => (b.name !== null) - (a.name !== null));
  askForCluster({
    pictures: facesOf(chosen),
    words: isOne ? `Merge ${who(chosen[0])} into` : `Merge these ${chosen.length} clusters into`,
    button: "Merge",
    clusters,
    without: isOne ? [keyOf(chosen[0].cluster_id)] : [],
    go: (into) => attemptIn("target-problem", (form) => mergeInto(chosen, into, form)),
  });
}

// The service merges two clusters at a time. If it refuses one of several, the earlier merges stay, and the page says so.
async function mergeInto(chosen, into, form) {
  const others = chosen.filter(({ cluster_id: id }) => keyOf(id) !== keyOf(into.cluster_id));
  let merged = into;
  for (const [count, cluster] of others.entries()) {
    try {
      merged = await merge(cluster.cluster_id, merged.cluster_id);
    } catch (error) {
      if (count === 0) throw error;
      form.close();
      await refresh(keyOf(merged.cluster_id));
      throw Object.assign(new Error(`${count} of ${others.length} clusters were merged into ${who(merged)}, and the next merge failed: ${error.message}`), { status: error.status });
    }
  }
  form.close();
  sheets.unselect(chosen.map(({ cluster_id: id }) => keyOf(id)));
  await refresh(keyOf(merged.cluster_id));
  done(`Merged ${plural(others.length + 1, "cluster")}. ${who(merged).replace(/^./, (first) => first.toUpperCase())} has ${plural(merged.faces, "face")} now`);
}

// --- faces ---

function chosenFaces() {
  const chosen = isList() ? [] : faces.chosen;
  if (chosen.length === 0) done("Open a cluster and select faces first");
  return chosen;
}

const idsOf = (chosen) => chosen.map(({ face_id: id }) => id);

async function split() {
  const chosen = chosenFaces();
  if (chosen.length === 0) return;
  await attempt(async () => {
    const made = await move(idsOf(chosen), null);
    faces.unselect(idsOf(chosen));
    await refresh();
    done(`Put ${plural(chosen.length, "face")} into a new cluster`, () => goTo(keyOf(made.cluster_id)));
  });
}

function moveChosen() {
  const chosen = chosenFaces();
  if (chosen.length === 0) return;
  askForCluster({
    pictures: idsOf(chosen),
    words: `Move ${plural(chosen.length, "face")} to`,
    button: "Move",
    without: openCluster() === null ? [] : [keyOf(openCluster().cluster_id)],
    go: (to) => attemptIn("target-problem", (form) => moveTo(chosen, to, form)),
  });
}

async function moveTo(chosen, to, form) {
  const grown = await move(idsOf(chosen), to.cluster_id);
  form.close();
  faces.unselect(idsOf(chosen));
  await refresh();
  done(`Moved ${plural(chosen.length, "face")} to ${who(grown)}`);
}

async function not() {
  const chosen = chosenFaces();
  if (chosen.length === 0) return;
  if (isNone()) return done("These faces are in no cluster, so they belong to nobody already");
  const cluster = openCluster();
  await attempt(async () => {
    let taken = 0;
    try {
      for (const face of chosen) {
        await notThisPerson(face.face_id, cluster.cluster_id);
        taken += 1;
      }
    } finally {
      if (taken > 0) await refresh();
    }
    done(`Said that ${taken === 1 ? "a face is" : `${taken} faces are`} not ${who(cluster)}. The lab never puts ${taken === 1 ? "it" : "them"} back by itself`);
  });
}

// --- taking back ---

async function undoLatest() {
  const change = latestChange();
  if (change === null) return done("There is nothing to undo");
  await attempt(async () => {
    try {
      await undo(change.change_id);
    } catch (error) {
      if (error.status === 409) await drawChanges(unmergeOne); // Somebody else has changed something since.
      throw error;
    }
    await refresh();
    done(`Undone: ${changeWords(change)}`);
  });
}

export async function unmergeOne(change) {
  await attempt(async () => {
    const back = await unmerge(change.change_id);
    await refresh(keyOf(back.cluster_id));
    done(`Took the merge back. ${who(back).replace(/^./, (first) => first.toUpperCase())} has ${plural(back.faces, "face")} again`, () => goTo(keyOf(back.cluster_id)));
  });
}

// One cluster with its faces, or the faces that are in no cluster.

import { byId, line, percent, say } from "../dom.js";
import { crop } from "./crops.js";
import { failed, newest, staysAt } from "./feedback.js";
import { Listbox } from "./listbox.js";
import { readCluster, unassigned } from "./service.js";
import { sizeOf } from "./words.js";

export const NONE = "none"; // Used in place of the id of a cluster for the faces that are in no cluster.
const PART = 48;
const MOST = 1000;

export let faces = null;
let opened = null; // The cluster in the service's last answer. Null while the list or the faces in no cluster are shown.
let openedId = null;
let hasMore = false;
let asked = 0; // The number of the newest request for a cluster. The answers of older requests are dropped.

export const openCluster = () => opened;
export const isNone = () => openedId === NONE;

export function wireCluster({ open, changed }) {
  faces = new Listbox(byId("faces"), { draw, mark: JSON.stringify, open, changed });
  byId("more-faces").addEventListener("click", more);
  byId("select-all").addEventListener("click", () => {
    const all = faces.selected.size === faces.items.length;
    faces.select(all ? [] : faces.items.map(({ key }) => key));
  });
}

export function closeCluster() {
  asked += 1;
  [opened, openedId, hasMore] = [null, null, false];
  faces.select([]);
  faces.show([]);
}

// Draw a cluster. If the cluster is drawn already, request as many faces as are shown. Return whether it was drawn. It is not
// drawn if another cluster or the list was requested meanwhile. Throws an error with status 404 if the cluster is gone.
export async function drawCluster(id) {
  asked += 1;
  const mine = asked;
  const same = id === openedId;
  const wanted = same ? Math.min(MOST, Math.max(PART, faces.items.length)) : PART;
  const answer = await newest(part(id, wanted, 0), () => mine === asked);
  if (answer === null) return false;
  const [cluster, found] = answer;
  if (!same) {
    faces.select([]);
    faces.show([]);
  }
  [opened, openedId] = [cluster, id];
  show(found);
  return true;
}

async function part(id, limit, offset) {
  if (id === NONE) return [null, (await unassigned(limit, offset)).faces];
  const cluster = await readCluster(id, limit, offset);
  return [cluster, cluster.members];
}

async function more() {
  const [next, id, mine, from] = [faces.items.length, openedId, asked, document.activeElement];
  try {
    const answer = await newest(part(id, PART, next), () => mine === asked && id === openedId);
    if (answer === null) return;
    const [cluster, found] = answer;
    opened = cluster;
    const known = new Set(faces.items.map(({ key }) => key));
    show([...faces.items, ...found.filter(({ face_id: id }) => !known.has(id))], found.length === PART);
    if (staysAt(from)) faces.focus(faces.items[next]?.key);
  } catch (error) {
    failed(error);
  }
}

// The service does not count the faces in no cluster. So after a full answer, there may be more faces.
function show(found, full = found.length > 0 && found.length % PART === 0) {
  hasMore = opened === null ? full : found.length < opened.faces;
  const total = opened === null ? (hasMore ? -1 : found.length) : opened.faces;
  faces.show(found.map((face) => ({ key: face.face_id, ...face })), total);
  byId("cluster-title").textContent = opened === null ? "Faces in no cluster" : (opened.name ?? "Unknown");
  byId("more-faces").hidden = !hasMore;
  byId("more-faces").textContent = opened === null ? "Show more" : `Show more (${(opened.faces - found.length).toLocaleString("en")} left)`;
  byId("select-all").hidden = found.length < 2;
  say("cluster-facts", facts(found));
}

function facts(found) {
  if (opened === null) return found.length === 0 ? "Every face is in a cluster." : "The lab found no cluster for these faces. Select faces, and move them or put them into a new cluster.";
  const pinned = opened.pinned > 0 ? ` · ${opened.pinned === opened.faces ? "all" : opened.pinned} put here by a person` : "";
  return `${sizeOf(opened)}${pinned}${opened.is_owner ? " · runs the channel" : ""} · ${opened.cluster_id}`;
}

function draw(face) {
  const words = line("span", "", "visually-hidden");
  words.textContent = `Face ${face.face_id.slice(0, 6)}, quality ${percent(face.quality)}${face.pinned ? ", put here by a person" : ""}`;
  const nodes = [crop(face.face_id), words];
  if (face.pinned) {
    const pin = line("span", "●", "pin");
    pin.title = "Put here by a person";
    pin.setAttribute("aria-hidden", "true");
    nodes.push(pin);
  }
  return nodes;
}

// The list of clusters as contact sheets, the largest first.

import { byId, line } from "../dom.js";
import { crop } from "./crops.js";
import { failed, newest, staysAt } from "./feedback.js";
import { found } from "./known.js";
import { Listbox } from "./listbox.js";
import { listClusters } from "./service.js";
import { keyOf, plural, sizeOf } from "./words.js";

const PART = 24;
const MOST = 1000; // The maximum number of clusters in one answer of the service.
const PAUSE_MS = 250; // The list is searched after a pause in typing.

let shown = PART;
let asked = 0; // The number of the newest request. The answers of older requests are dropped.
let pausing = null;

export let sheets = null;

export function wireSheets({ open, changed }) {
  sheets = new Listbox(byId("sheets"), { draw, mark: JSON.stringify, open, changed });
  for (const input of document.querySelectorAll("input[name=kind]")) input.addEventListener("change", begin);
  byId("search").addEventListener("input", () => {
    clearTimeout(pausing);
    pausing = setTimeout(begin, PAUSE_MS);
  });
  byId("more-sheets").addEventListener("click", more);
}

const kind = () => document.querySelector("input[name=kind]:checked").value;

// Show the list from its beginning, because the search has changed.
async function begin() {
  shown = PART;
  sheets.select([]);
  try {
    await drawSheets();
  } catch (error) {
    failed(error);
  }
}

async function more() {
  const [next, from] = [sheets.items.length, document.activeElement];
  shown += PART;
  try {
    if ((await drawSheets()) && staysAt(from)) sheets.focus(sheets.items[next]?.key);
  } catch (error) {
    shown -= PART;
    failed(error);
  }
}

// Request as many clusters as are shown, and draw them again. Selected clusters that are still listed stay selected. Return
// whether the clusters were drawn. They are not drawn if the list was requested again meanwhile.
export async function drawSheets() {
  asked += 1;
  const mine = asked;
  const text = byId("search").value.trim();
  const answer = await newest(text ? matching(text) : largest(), () => mine === asked);
  if (answer === null) return false;
  const { clusters, total } = answer;
  sheets.show(clusters.map((cluster) => ({ key: keyOf(cluster.cluster_id), ...cluster })), total);
  const left = total - clusters.length;
  byId("more-sheets").hidden = left <= 0;
  byId("more-sheets").textContent = `Show more (${left.toLocaleString("en")} left)`;
  byId("list-count").textContent = total === 0 ? "" : `${clusters.length.toLocaleString("en")} of ${plural(total, "cluster")}, the largest first.`;
  byId("list-empty").hidden = total > 0;
  byId("list-empty").textContent = emptyWords(text);
  return true;
}

async function largest() {
  const clusters = [];
  let total = 0;
  do {
    const part = await listClusters(kind(), Math.min(shown - clusters.length, MOST), clusters.length);
    clusters.push(...part.clusters);
    total = part.total;
    if (part.clusters.length === 0) break;
  } while (clusters.length < Math.min(shown, total));
  return { clusters, total };
}

async function matching(text) {
  const all = (await found(text)).filter((cluster) => kind() === "all" || cluster.kind === kind());
  return { clusters: all.slice(0, shown), total: all.length };
}

function emptyWords(text) {
  if (text) return "Nobody has this name, and no cluster has this id.";
  if (kind() === "person") return "Nobody has a name yet. Open an unknown cluster and name it.";
  return kind() === "unknown" ? "No unknown cluster is left." : "There are no clusters yet. Find faces, then group them.";
}

function draw(cluster) {
  const strip = line("span", "", "strip-of-faces");
  strip.append(...cluster.samples.map(crop));
  const words = line("span", "", "sheet-words");
  words.append(
    line("span", cluster.name ?? "Unknown", cluster.name === null ? "sheet-name is-unknown" : "sheet-name"),
    line("span", sizeOf(cluster), "sheet-size"),
    line("small", `${cluster.is_owner ? "runs the channel · " : ""}${cluster.cluster_id}`),
  );
  return [strip, words];
}

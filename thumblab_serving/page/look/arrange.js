// Compute what the map shows, from the filters, the search and the region: which points stand out, their colours and their order.

import { plural } from "../people/words.js";
import { dayOf } from "../map/points.js";
import { LANDMARK, ranks } from "../map/ranks.js";
import { coloured, packed, QUIET } from "../map/scales.js";

// How much a point stands out now: it is hidden, quiet, usual or chosen.
export const [HIDDEN, REST, MEANT, CHOSEN] = [0, 1, 2, 3];
const PLACED_BY = 5; // The mark "you are here" is placed between this number of nearest thumbnails.
const COMPARED = 20;
const STEPS = 30; // The steps of the iteration that computes this place.

// Return the model of the map, see `MapCanvas.show`, with the rows that the search found and the rows in the region.
export function arrange(state, dark) {
  const { points, cells, clusters, atlas } = state;
  const admitted = admits(points, state);
  const found = state.found === null ? null : foundRows(state, admitted);
  const region = state.region === null ? null : regionRows(state, admitted);
  const visible = new Uint8Array(points.length);
  const chosen = region ?? found?.rows ?? null;
  for (let row = 0; row < points.length; row += 1) if (admitted(row)) visible[row] = chosen === null ? MEANT : REST;
  if (chosen !== null) for (const row of chosen) visible[row] = CHOSEN;
  const { colours, legend } = coloured(state.colour, points, clusters.filter(({ level }) => level === 0), dark);
  const quiet = packed(QUIET[dark ? "dark" : "light"]);
  const rank = ranks(points, clusters, found?.rows ?? []);
  const landmarks = [];
  rank.forEach((value, row) => value <= LANDMARK && landmarks.push(row));
  const order = new Int32Array(points.length);
  let count = 0;
  let rest = 0;
  for (const part of [REST, MEANT, CHOSEN]) {
    for (let row = 0; row < points.length; row += 1) {
      if (visible[row] !== part) continue;
      if (part === REST) colours[row] = quiet;
      order[count++] = row;
    }
    if (part === REST) rest = count;
  }
  const byCluster = new Map(clusters.filter(({ level }) => level === 0).map((cluster) => [cluster.id, cluster]));
  const names = [0, 1].map((level) => clusters.filter((each) => each.level === level).sort((a, b) => b.videos - a.videos));
  return {
    points, cells, atlas, clusters, visible, order, count, meant: count - rest, colours, legend, byCluster, rank, landmarks,
    names: names[1].length > 0 ? names : [names[0], names[0]],
    showNames: state.showNames,
    own: state.ownChannel ? points.ofChannel(state.ownChannel) : [],
    marks: state.marks.map((mark) => ({ ...mark, ...placeOf(points, mark.items) })).filter(({ x }) => x !== undefined),
    found, region: state.region === null ? null : { ...state.region, rows: region },
    filtered: () => Array.from({ length: points.length }, (_, row) => row).filter(admitted),
  };
}

function admits(points, { after, before }) {
  if (!after && !before) return () => true;
  const first = after ? dayOf(after) : -Infinity;
  const last = before ? dayOf(before) : Infinity;
  return (row) => points.published_day[row] >= first && points.published_day[row] <= last;
}

// Return {rows, similarity, absent}: the rows of the videos that were found, and how many of them the map lacks.
function foundRows({ points, found }, admitted) {
  if (found.kind === "titles") {
    const rows = [];
    points.searched.forEach((title, row) => found.parts.every((part) => title.includes(part)) && admitted(row) && rows.push(row));
    return { rows, similarity: null, absent: 0 };
  }
  const similarity = new Map();
  for (const item of found.items) {
    const row = points.find(item.video_id);
    if (row >= 0 && admitted(row)) similarity.set(row, item.similarity);
  }
  return { rows: [...similarity.keys()], similarity, absent: found.items.filter(({ video_id: id }) => points.find(id) < 0).length };
}

function regionRows({ points, cells, region }, admitted) {
  if (region.polygon) return cells.inside(region.polygon).filter(admitted);
  const column = region.level === 0 ? points.cluster : points.fine_cluster;
  const rows = [];
  column.forEach((id, row) => id === region.id && admitted(row) && rows.push(row));
  return rows;
}

// Return the place of a picture between the nearest thumbnails: the point with the least weighted sum of distances to them
// (Weiszfeld's algorithm). If one thumbnail is far from the others, this point stays near the others, unlike a mean. Return {} if
// the map has none of the thumbnails.
export function placeOf(points, items) {
  const near = items.map((item) => ({ ...item, row: points.find(item.video_id) })).filter(({ row }) => row >= 0).slice(0, COMPARED);
  if (near.length === 0) return {};
  const [most, least] = [near[0].similarity, near.at(-1).similarity];
  const nearest = near.slice(0, PLACED_BY).map(({ row, similarity }) => {
    const share = most > least ? (similarity - least) / (most - least) : 1;
    return { x: points.x[row], y: points.y[row], weight: Math.max(share ** 2, 0.01), row };
  });
  const centre = (weightOf) => {
    const sum = nearest.reduce((total, each) => total + weightOf(each), 0);
    return ["x", "y"].map((axis) => nearest.reduce((total, each) => total + weightOf(each) * each[axis], 0) / sum);
  };
  let [x, y] = centre(({ weight }) => weight);
  for (let step = 0; step < STEPS; step += 1) [x, y] = centre((each) => each.weight / Math.max(Math.hypot(each.x - x, each.y - y), 1e-6));
  const distances = nearest.map((each) => Math.hypot(each.x - x, each.y - y)).sort((a, b) => a - b);
  return { x, y, rows: nearest.map(({ row }) => row), spread: distances[distances.length >> 1] };
}

// Return a sentence about what the map shows.
export function countWords(model, { found }, total) {
  const all = plural(total, "video");
  const shown = model.points.length < total ? `A sample of ${model.points.length.toLocaleString("en")} of ${all} is loaded here; zoom in for the others` : all;
  if (found === null) return `${shown}.`;
  const absent = model.found.absent > 0 ? ` ${plural(model.found.absent, "more was", "more were")} found that this map does not show.` : "";
  const count = model.found.rows.length;
  return `${count === 0 ? "No video is" : plural(count, "video is", "videos are")} found ${found.words}. ${shown}.${absent}`;
}

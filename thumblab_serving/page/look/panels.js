// The parts beside the map that show what the search found and what the videos of a region have in common.

import { byId, isolated, line, percent, say } from "../dom.js";
import { plural } from "../people/words.js";
import { medians, sampled, shared } from "./region.js";
import { ordered, Sheet } from "./sheet.js";

const PART_OF_LIST = 50;
const FAR_APART = 0.12; // A part of the map's width. If the nearest thumbnails are farther than this from "you are here", the place is only approximate.
const ORDERS = { best: "Most similar first", multiple: "Largest outlier multiple first", views: "Most views per hour first", newest: "Newest first" };

let found = null;
let region = null;
let list = null;
let similarity = null;

export function wirePanels() {
  const likeness = (row) => (similarity?.has(row) ? `${percent(similarity.get(row))} similar` : "");
  found = new Sheet("found-list", "found-more", { extra: likeness });
  region = new Sheet("region-list", "region-more");
  list = new Sheet("list", "list-more", { extra: likeness });
}

// Show what the search found, see `arrange`. If it found nothing, only the sentence above the map says so.
export function drawFound(model, words) {
  byId("found").hidden = model.found === null || model.found.rows.length === 0;
  similarity = model.found?.similarity ?? null;
  if (model.found === null) return found.show(model, []);
  const { rows } = model.found;
  byId("found-title").textContent = `${plural(rows.length, "video")} ${words}`;
  found.show(model, similarity === null ? ordered(model.points, rows, "multiple") : rows);
}

// Show what the videos of a region have in common.
export function drawRegion(model) {
  byId("region").hidden = model.region === null;
  if (model.region === null) return region.show(model, []);
  const { points } = model;
  const { rows, words } = model.region;
  byId("region-title").textContent = `${words}: ${plural(rows.length, "video")}`;
  byId("region-empty").hidden = rows.length > 0;
  const inside = new Set(rows);
  const [here, rest] = [sampled(rows), sampled(model.filtered().filter((row) => !inside.has(row)))];
  const sentences = rows.length === 0 ? [] : shared(points, here, rest);
  byId("region-shares").replaceChildren(...sentences.map((text) => line("li", text)));
  const table = byId("region-medians");
  table.replaceChildren(
    ...medians(points, here, rest).map(({ words: name, here: value, rest: others, isShare }) => {
      const row = line("tr", "");
      const head = line("th", name);
      head.scope = "row";
      row.append(head, line("td", written(value, isShare)), line("td", written(others, isShare)));
      return row;
    }),
  );
  byId("region-facts").hidden = rows.length === 0;
  region.show(model, ordered(points, rows, "multiple"));
}

function written(value, isShare) {
  if (!Number.isFinite(value)) return "not known";
  if (isShare) return String(Math.round(100 * value));
  return Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

// Show the videos as a list: those of the region, else those that were found, else all that the filters admit.
export function drawList(model) {
  const [rows, what] = listed(model);
  const isRanked = model.region === null && similarity !== null;
  byId("order").querySelector("option[value=best]").hidden = !isRanked;
  if (isRanked && !byId("order").dataset.chosen) byId("order").value = "best";
  if (!isRanked && byId("order").value === "best") byId("order").value = "multiple";
  const by = byId("order").value;
  byId("list-title").textContent = `${plural(rows.length, "video")} ${what}`;
  list.show(model, ordered(model.points, rows, by), PART_OF_LIST);
}

function listed(model) {
  if (model.region !== null) return [model.region.rows, `in ${model.region.words.charAt(0).toLowerCase()}${model.region.words.slice(1)}`];
  if (model.found !== null) return [model.found.rows, "found"];
  return [model.filtered(), "on this map"];
}

export function fillOrders() {
  byId("order").replaceChildren(...Object.entries(ORDERS).map(([value, text]) => new Option(text, value)));
  byId("order").value = "multiple";
}

// Show in words where a picture lies on the map.
export function sayPlace(model, mark) {
  const placed = model.marks.find(({ url }) => url === mark.url);
  if (!placed) {
    say("place", `${mark.name} cannot be placed: this map has none of the thumbnails that are most similar to it.`);
    return null;
  }
  const { points, byCluster } = model;
  const groups = placed.rows.map((row) => byCluster.get(points.cluster[row])).filter(Boolean);
  const [group, count] = mostOften(groups);
  const near = placed.rows.slice(0, 3).map((row) => `“${isolated(points.title(row))}”`).join(", ");
  const where = group && count > placed.rows.length / 2 ? ` Most of its nearest thumbnails are in the group ${group.label.slice(0, 3).join(", ")}.` : " Its nearest thumbnails are in different groups, or in no group.";
  const rough = placed.spread > FAR_APART ? " The nearest thumbnails lie far apart on the map, so the place is only approximate." : "";
  say("place", `${mark.name} lies nearest to ${near}.${where}${rough}`);
  return placed;
}

function mostOften(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), [null, 0]);
}

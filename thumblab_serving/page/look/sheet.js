// Videos as a contact sheet: small pictures with titles and facts. Each opens its video.

import { byId, isolated, line } from "../dom.js";
import { nicheName } from "../words.js";
import { dateOf } from "../map/points.js";

const PART = 24;

// Return the facts of a video in words.
export function factsOf(points, row, clusters = null) {
  const multiple = points.outlier_multiple[row];
  const perHour = points.views_per_hour[row];
  const day = points.published_day[row];
  const niche = points.niches.length > 1 ? points.niche(row) : "";
  const cluster = clusters?.get(points.cluster[row])?.label.slice(0, 2).join(", ");
  return [
    isolated(points.channel(row)),
    nicheName(niche),
    Number.isFinite(multiple) ? `${multiple.toFixed(1)}× its channel's usual` : "",
    Number.isFinite(perHour) ? `${perHour < 10 ? perHour.toFixed(1) : Math.round(perHour).toLocaleString("en")} views per hour` : "",
    Number.isFinite(day) ? dateOf(day) : "",
    cluster ? `group: ${cluster}` : "",
  ].filter(Boolean);
}

export const addressOf = (id) => `#video=${encodeURIComponent(id)}`;

// A list of videos that is shown in parts.
export class Sheet {
  // `list` and `more` are the ids of the list and of the button that shows more. `extra(row)` is a further fact, or "".
  constructor(list, more, { extra = () => "" } = {}) {
    Object.assign(this, { list: byId(list), more: byId(more), extra, rows: [], model: null });
    this.more.addEventListener("click", () => this.#append(true));
  }

  // Show these rows in their order, from the beginning.
  show(model, rows, part = PART) {
    Object.assign(this, { model, rows, part });
    this.list.replaceChildren();
    this.#append(false);
  }

  #append(moves) {
    const from = this.list.children.length;
    const nodes = this.rows.slice(from, from + this.part).map((row) => this.#item(row));
    this.list.append(...nodes);
    const left = this.rows.length - from - nodes.length;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show more (${left.toLocaleString("en")} left)`;
    this.list.hidden = this.rows.length === 0;
    if (moves) nodes[0]?.querySelector("a").focus();
  }

  #item(row) {
    const { points, atlas, byCluster } = this.model;
    const item = line("li", "");
    const link = line("a", "", "video");
    link.href = addressOf(points.id(row));
    const picture = line("span", "", "tile-frame");
    if (points.tile[row] >= 0 && atlas.levels.length > 0) picture.append(atlas.canvas(points.tile[row]));
    else picture.append(line("span", "no picture", "soft"));
    const words = line("span", "", "video-words");
    words.append(line("span", points.title(row), "video-title"), line("small", [this.extra(row), ...factsOf(points, row, byCluster)].filter(Boolean).join(" · ")));
    link.append(picture, words);
    item.append(link);
    return item;
  }
}

// Draw the small pictures again that could not be drawn before.
export function redrawTiles() {
  for (const node of document.querySelectorAll("canvas.tile")) node.redraw?.();
}

// Return the rows in the order that a person chose.
export function ordered(points, rows, by) {
  const keys = {
    multiple: (row) => -(Number.isFinite(points.outlier_multiple[row]) ? points.outlier_multiple[row] : -1),
    views: (row) => -(Number.isFinite(points.views_per_hour[row]) ? points.views_per_hour[row] : -1),
    newest: (row) => -(Number.isFinite(points.published_day[row]) ? points.published_day[row] : -1e9),
  };
  const key = keys[by];
  if (!key) return rows;
  const values = rows.map(key);
  return Array.from(rows.keys()).sort((a, b) => values[a] - values[b]).map((place) => rows[place]);
}

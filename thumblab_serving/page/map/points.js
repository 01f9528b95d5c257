// The points of a map: one for each video, with its facts. They come from one Arrow file, or from several tiles.

import { undirected } from "../dom.js";
import { SUB_SCORES } from "../words.js";
import { ArrowError } from "./arrow.js";

const TEXTS = ["video_id", "title", "channel", "niche"];
const NEEDED = ["x", "y", "video_id", "title", "channel"];
const NUMBERS = ["published_day", "outlier_multiple", "views_per_hour", "cluster", "fine_cluster", "tile", ...Object.keys(SUB_SCORES)];
const UNKNOWN = { cluster: -1, fine_cluster: -1, tile: -1 }; // The value in a column that the release lacks. Columns without an entry here have NaN.
const UNKNOWN_DAY = -(2 ** 31); // The value for a video whose day of publication is not known.
const DAY_MS = 86_400_000;

export class Points {
  // `tables`: what `readArrow` returned for each file. Throws an `ArrowError` if a column is missing that every map needs.
  constructor(tables) {
    this.tables = tables;
    this.starts = [];
    this.length = 0;
    for (const { rows } of tables) {
      this.starts.push(this.length);
      this.length += rows;
    }
    const has = (name) => tables.every(({ columns }) => columns.has(name));
    const lacking = NEEDED.filter((name) => !has(name));
    if (lacking.length > 0) throw new ArrowError(`The map lacks the column ${lacking.join(" and ")}. Make the map again.`);
    this.missing = [...NUMBERS, "niche"].filter((name) => !has(name));
    for (const name of TEXTS.filter(has)) {
      if (tables.some(({ columns }) => ArrayBuffer.isView(columns.get(name)))) throw new ArrowError(`The column ${name} of the map has no texts.`);
    }
    for (const name of ["x", "y", ...NUMBERS]) this[name] = this.#numbers(name, this.missing.includes(name));
    for (const place of [this.x, this.y]) if (!place.every((value) => value >= 0 && value <= 1)) throw new ArrowError("The map is damaged: a video lies outside of it. Make the map again.");
    this.published_day = Float64Array.from(this.published_day, (day) => (day === UNKNOWN_DAY ? NaN : day));
    this.niches = this.#niches();
  }

  #numbers(name, isMissing) {
    if (isMissing) {
      const none = new Float32Array(this.length);
      return none.fill(UNKNOWN[name] ?? NaN);
    }
    const parts = this.tables.map(({ columns }) => columns.get(name));
    if (parts.some((part) => !ArrayBuffer.isView(part))) throw new ArrowError(`The column ${name} of the map has no numbers.`);
    if (parts.length === 1) return parts[0];
    const all = new (parts[0]?.constructor ?? Float32Array)(this.length);
    parts.forEach((part, number) => all.set(part, this.starts[number]));
    return all;
  }

  // Return the niches of the map, each once.
  #niches() {
    if (this.missing.includes("niche")) return [];
    return [...new Set(this.tables.flatMap(({ columns }) => columns.get("niche").words ?? []))].sort();
  }

  #text(name, row) {
    let number = this.starts.length - 1;
    while (this.starts[number] > row) number -= 1;
    return this.tables[number].columns.get(name)?.at(row - this.starts[number]) ?? "";
  }

  id(row) {
    return this.#text("video_id", row);
  }

  title(row) {
    return undirected(this.#text("title", row));
  }

  channel(row) {
    return undirected(this.#text("channel", row));
  }

  niche(row) {
    return this.missing.includes("niche") ? "" : this.#text("niche", row);
  }

  // Return the age of a video in days, or NaN.
  age(row) {
    return Math.max(0, today() - this.published_day[row]);
  }

  // Return the row of a video, or -1.
  find(id) {
    this.rowsById ??= new Map(Array.from({ length: this.length }, (_, row) => [this.id(row), row]));
    return this.rowsById.get(id) ?? -1;
  }

  // Return all titles in the form in which they are searched.
  get searched() {
    this.searchedTitles ??= Array.from({ length: this.length }, (_, row) => searchable(this.title(row)));
    return this.searchedTitles;
  }

  // Return the rows whose channel has this title.
  ofChannel(title) {
    const wanted = searchable(title);
    const rows = [];
    if (wanted) for (let row = 0; row < this.length; row += 1) if (searchable(this.channel(row)) === wanted) rows.push(row);
    return rows;
  }
}

export const today = () => Math.floor(Date.now() / DAY_MS);
export const dayOf = (date) => Math.floor(Date.parse(`${date}T00:00:00Z`) / DAY_MS);
export const dateOf = (day) => new Date(day * DAY_MS).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
export const searchable = (text) => text.normalize("NFKC").toLowerCase().trim();

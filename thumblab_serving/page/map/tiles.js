// A large map is loaded in parts: the tiles that are in sight, in the level that suits the magnification.

import { ArrowError, readArrow } from "./arrow.js";
import { tileOf } from "./service.js";

const AT_ONCE = 6;
const KEPT = 80; // The maximum number of tiles in memory.
const LEAST_SIDE = 450; // The least width of a tile on the screen, in CSS pixels.

export class TileLoader {
  // `about`: the list of tiles of the map. `changed(tables)` is called with the tables of the tiles that are in sight.
  constructor(niche, about, release, { changed, failed }) {
    Object.assign(this, { niche, about, release, changed, failed });
    this.levels = about.levels.map(({ tiles, complete }) => ({ complete, tiles: new Map(tiles.map((tile) => [`${tile.x} ${tile.y}`, tile])) }));
    this.total = about.levels.at(-1).tiles.reduce((sum, { rows }) => sum + rows, 0);
    this.loaded = new Map();
    this.asked = 0; // The number of the newest call of `look`. Older calls show nothing.
    this.shown = "";
    this.complete = false;
  }

  // Load the tiles in sight of the camera, and show them.
  async look(camera) {
    this.asked += 1;
    const mine = this.asked;
    const wanted = this.#wanted(camera);
    const key = wanted.map(({ key }) => key).join(",");
    if (key === this.shown) return;
    try {
      for (let start = 0; start < wanted.length; start += AT_ONCE) {
        await Promise.all(wanted.slice(start, start + AT_ONCE).map((tile) => this.#load(tile)));
        if (mine !== this.asked) return; // Another part of the map is in sight meanwhile.
      }
    } catch (error) {
      if (mine === this.asked) this.failed(error);
      return;
    }
    this.shown = key;
    this.complete = this.levels[wanted[0]?.level]?.complete ?? false;
    this.changed(wanted.map((tile) => this.loaded.get(tile.key)));
    this.#forget(new Set(wanted.map((tile) => tile.key)));
  }

  #wanted(camera) {
    const level = Math.max(0, Math.min(this.levels.length - 1, Math.floor(Math.log2(camera.scale / LEAST_SIDE))));
    const side = 2 ** level;
    const { left, top, right, bottom } = camera.sight(camera.width / 8);
    const clamp = (value) => Math.max(0, Math.min(side - 1, Math.floor(value * side)));
    const wanted = [];
    for (let y = clamp(top); y <= clamp(bottom); y += 1) {
      for (let x = clamp(left); x <= clamp(right); x += 1) {
        if (this.levels[level].tiles.has(`${x} ${y}`)) wanted.push({ level, x, y, key: `${level}/${x}/${y}` });
      }
    }
    return wanted;
  }

  async #load({ level, x, y, key }) {
    if (this.loaded.has(key)) return;
    const { buffer, release } = await tileOf(this.niche, level, x, y);
    if (this.release && release && release !== this.release) throw new ArrowError("A new map was published meanwhile. Reload the page to see it.");
    this.loaded.set(key, readArrow(buffer));
  }

  #forget(needed) {
    for (const key of this.loaded.keys()) {
      if (this.loaded.size <= KEPT) return;
      if (!needed.has(key)) this.loaded.delete(key);
    }
  }

  close() {
    this.asked += 1;
  }
}

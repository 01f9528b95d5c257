// The small pictures of the map. A page of an atlas contains many pictures. A page is loaded when one of its pictures is shown.

import { atlasPage } from "./service.js";

const AT_ONCE = 4;
const KEPT = 32; // The maximum number of pages in memory. A page of the largest pictures has 9 MB.
const ON_MAP = 16; // The map shows pictures of the best level that needs at most this number of pages.
const MOST_WAITING = 64; // Pages that were asked for before the latest pages of this number are no longer in sight.
const SHA256 = /^[0-9a-f]{64}$/;

export class Atlas {
  // `about`: the service's answer about the atlases of the map. `arrived` is called when a page can be drawn.
  constructor(niche, about, arrived) {
    this.niche = niche;
    this.arrived = arrived;
    this.levels = [...(about?.levels ?? [])].filter(isWhole).sort((a, b) => a.tile_width - b.tile_width);
    this.pages = new Map(); // The page by its name: an ImageBitmap, or null while it is loaded, or "failed".
    this.waiting = [];
    this.running = 0;
    this.closed = false;
  }

  // Choose the pages for the pictures that the map shows now, so that they fit into memory together. Otherwise the pages
  // would displace each other, and be loaded again and again.
  prepare(tiles, width) {
    let number = this.#wanted(width);
    const pages = (level) => new Set(tiles.map((tile) => this.#name(level, tile)));
    let names = pages(number);
    while (number > 0 && names.size > ON_MAP) names = pages((number -= 1));
    this.plan = { number, names: new Set([...names].slice(0, KEPT)) };
  }

  // Draw a picture of the map, perhaps from a page of another level while the better one is loaded. Return whether it could
  // be drawn.
  draw(context, tile, x, y, width, height) {
    const { number, names } = this.plan;
    if (names.has(this.#name(number, tile))) this.#ask(this.#name(number, tile));
    return this.#paint(context, tile, x, y, width, height, number) !== null;
  }

  // Return a canvas that shows a picture, and draws it when its page arrives.
  canvas(tile, width = 128, height = 72) {
    const node = document.createElement("canvas");
    [node.width, node.height] = [width, height];
    node.className = "tile";
    node.setAttribute("aria-hidden", "true"); // The title beside the picture names the video.
    const number = this.#wanted(width);
    let isDone = false;
    node.redraw = () => {
      if (isDone) return; // The page of a finished picture may have left the memory.
      this.#ask(this.#name(number, tile));
      isDone = this.#paint(node.getContext("2d"), tile, 0, 0, width, height, number) === number;
    };
    node.redraw();
    return node;
  }

  // Return the number of the level whose pictures are at least so wide, or of the level with the widest.
  #wanted(width) {
    const number = this.levels.findIndex((level) => level.tile_width >= width);
    return number === -1 ? this.levels.length - 1 : number;
  }

  #name(number, tile) {
    const { columns, rows, pages } = this.levels[number];
    return pages[Math.floor(tile / (columns * rows))];
  }

  // Draw a picture from the best page that is loaded: of the level with this number, else of the next better or lower one.
  // Return the number of its level, or null.
  #paint(context, tile, x, y, width, height, number) {
    let best = null;
    for (let each = 0; each < this.levels.length; each += 1) {
      const page = this.pages.get(this.#name(each, tile));
      if (page instanceof ImageBitmap && (best === null || each <= number)) best = { each, page };
    }
    if (best === null) return null;
    const { columns, rows, tile_width: w, tile_height: h } = this.levels[best.each];
    const place = tile % (columns * rows);
    context.drawImage(best.page, (place % columns) * w, Math.floor(place / columns) * h, w, h, x, y, width, height);
    return best.each;
  }

  #ask(name) {
    const page = this.pages.get(name);
    if (name !== undefined && page === undefined) {
      this.pages.set(name, null);
      this.waiting.push(name);
      if (this.waiting.length > MOST_WAITING) this.pages.delete(this.waiting.shift());
      this.#next();
    } else if (page instanceof ImageBitmap) {
      this.pages.delete(name); // The page that was used last is at the end.
      this.pages.set(name, page);
    }
  }

  #next() {
    while (this.running < AT_ONCE && this.waiting.length > 0 && !this.closed) {
      const name = this.waiting.pop(); // The pictures in sight were requested last, so their page is loaded first.
      this.running += 1;
      this.#load(name).finally(() => {
        this.running -= 1;
        this.#next();
      });
    }
  }

  async #load(name) {
    try {
      const page = await createImageBitmap(await atlasPage(this.niche, name));
      if (this.closed) return page.close();
      this.pages.set(name, page);
      this.#forget();
    } catch {
      this.pages.set(name, "failed"); // The points stay, and have their titles.
    }
    if (!this.closed) this.arrived();
  }

  #forget() {
    const loaded = [...this.pages].filter(([, page]) => page instanceof ImageBitmap);
    for (const [name, page] of loaded.slice(0, Math.max(0, loaded.length - KEPT))) {
      this.pages.delete(name);
      page.close();
    }
  }

  // Return how many pages could not be loaded.
  get failures() {
    return [...this.pages.values()].filter((page) => page === "failed").length;
  }

  close() {
    this.closed = true;
    for (const page of this.pages.values()) if (page instanceof ImageBitmap) page.close();
    this.pages.clear();
  }
}

function isWhole({ tile_width: width, tile_height: height, columns, rows, pages }) {
  return [width, height, columns, rows].every((value) => Number.isInteger(value) && value > 0) && pages.every((name) => SHA256.test(name));
}

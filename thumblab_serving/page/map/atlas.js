// The small pictures of the map. A page of an atlas contains many pictures. A page is loaded when one of its pictures is shown.

import { atlasPage } from "./service.js";

const AT_ONCE = 4;
const KEPT = 48; // The maximum number of pages in memory. A page of the largest pictures has 9 MB.
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

  // Draw a picture. Return whether it could be drawn, perhaps from a page of a smaller level while a better one is loaded.
  draw(context, tile, x, y, width, height, ratio = 1) {
    const found = tile < 0 ? null : this.#best(tile, width * ratio);
    if (found === null) return false;
    const { level, page } = found;
    const place = tile % (level.columns * level.rows);
    const [column, line] = [place % level.columns, Math.floor(place / level.columns)];
    const { tile_width: w, tile_height: h } = level;
    context.drawImage(page, column * w, line * h, w, h, x, y, width, height);
    return true;
  }

  // Return a canvas that shows a picture, and draws it when its page arrives.
  canvas(tile, width = 128, height = 72) {
    const node = document.createElement("canvas");
    [node.width, node.height] = [width, height];
    node.className = "tile";
    node.setAttribute("aria-hidden", "true"); // The title beside the picture names the video.
    node.redraw = () => this.draw(node.getContext("2d"), tile, 0, 0, width, height);
    node.redraw();
    return node;
  }

  #best(tile, width) {
    const wanted = this.levels.findIndex((level) => level.tile_width >= width);
    const start = wanted === -1 ? this.levels.length - 1 : wanted;
    let best = null;
    for (let number = 0; number < this.levels.length; number += 1) {
      const level = this.levels[number];
      const name = level.pages[Math.floor(tile / (level.columns * level.rows))];
      if (name === undefined) continue;
      const page = number === start ? this.#ask(name) : this.pages.get(name);
      if (page instanceof ImageBitmap && (best === null || number <= start)) best = { level, page };
    }
    return best;
  }

  #ask(name) {
    const page = this.pages.get(name);
    if (page === undefined) {
      this.pages.set(name, null);
      this.waiting.push(name);
      this.#next();
    } else if (page instanceof ImageBitmap) {
      this.pages.delete(name); // The page that was used last is at the end.
      this.pages.set(name, page);
    }
    return page;
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
    let loaded = [...this.pages].filter(([, page]) => page instanceof ImageBitmap);
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

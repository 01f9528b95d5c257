// Paint points into the pixels of a canvas. The processor does this in a few milliseconds for 100,000 points, on any machine.
// Without a graphics card, WebGL needs thirty to a hundred times as long (see docs/library-page.md).

const EDGE = 0.75; // The soft edge of a point, in pixels.
const TINY = 2; // A smaller point has no soft edge. There are many such points, and mixing colours takes most of the time.

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: true });
    this.discs = new Map();
  }

  resize(width, height) {
    [this.canvas.width, this.canvas.height] = [width, height];
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  // Paint the rows of `order`, in this order. `colours` [rows] are 0xAABBGGRR. `ratio`: pixels of the canvas in a CSS pixel.
  paint({ points: { x, y }, order, count, colours }, camera, radius, ratio) {
    const { width, height } = this.canvas;
    const pixels = this.pixels;
    pixels.fill(0);
    const disc = this.#disc(radius * ratio, width);
    const { full, edge, alpha, reach } = disc;
    const [covered, around] = [full.length, edge.length];
    const scale = camera.scale * ratio;
    const left = camera.x - camera.width / 2 / camera.scale;
    const top = camera.y - camera.height / 2 / camera.scale;
    const [most, lowest] = [width - reach - 1, height - reach - 1];
    for (let place = 0; place < count; place += 1) {
      const row = order[place];
      const px = ((x[row] - left) * scale) | 0;
      const py = ((y[row] - top) * scale) | 0;
      if (px < reach || py < reach || px > most || py > lowest) continue;
      const at = py * width + px;
      const colour = colours[row];
      for (let n = 0; n < covered; n += 1) pixels[at + full[n]] = colour;
      for (let n = 0; n < around; n += 1) {
        const below = pixels[at + edge[n]];
        // Over an empty pixel, the edge is transparent. Over another point, the edge is mixed with the colour of that point.
        pixels[at + edge[n]] = below >>> 24 === 255 ? mixed(below, colour, alpha[n]) : ((alpha[n] << 24) | (colour & 0xffffff)) >>> 0;
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // Return which pixels a point covers, as distances from its middle in a canvas of this width.
  #disc(radius, width) {
    const key = `${radius} ${width}`;
    if (this.discs.has(key)) return this.discs.get(key);
    const reach = Math.ceil(radius + EDGE);
    const disc = { full: [], edge: [], alpha: [], reach };
    for (let dy = -reach; dy <= reach; dy += 1) {
      for (let dx = -reach; dx <= reach; dx += 1) {
        const cover = Math.min(1, (radius + EDGE / 2 - Math.hypot(dx, dy)) / EDGE);
        if (cover >= (radius < TINY ? 0.5 : 0.999)) disc.full.push(dy * width + dx);
        else if (radius >= TINY && cover > 0.05) {
          disc.edge.push(dy * width + dx);
          disc.alpha.push(Math.round(cover * 255));
        }
      }
    }
    if (this.discs.size > 50) this.discs.clear();
    const packed = { full: Int32Array.from(disc.full), edge: Int32Array.from(disc.edge), alpha: Int32Array.from(disc.alpha), reach };
    this.discs.set(key, packed);
    return packed;
  }
}

// Return `above` over `below`, both opaque, where `above` covers `alpha` of 255.
function mixed(below, above, alpha) {
  const rest = 255 - alpha;
  const redBlue = ((below & 0xff00ff) * rest + (above & 0xff00ff) * alpha) >>> 8;
  const green = ((below & 0x00ff00) * rest + (above & 0x00ff00) * alpha) >>> 8;
  return ((0xff << 24) | (redBlue & 0xff00ff) | (green & 0x00ff00)) >>> 0;
}

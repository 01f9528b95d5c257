// The part of the map that is in sight. A place on the map is (x, y), each from 0 to 1. A place on the canvas is in CSS pixels.

const MARGIN = 0.06; // Part of the canvas that stays free around the whole map.
const CLOSEST = 400; // The largest magnification of the whole map.

export class Camera {
  constructor() {
    Object.assign(this, { x: 0.5, y: 0.5, scale: 1, least: 1, width: 1, height: 1 });
    this.box = { left: 0, top: 0, right: 1, bottom: 1 };
  }

  // Set the size of the canvas. The place of the map in the middle stays in the middle.
  resize(width, height) {
    const zoom = this.zoom;
    Object.assign(this, { width: Math.max(1, width), height: Math.max(1, height) });
    this.#measure();
    this.scale = this.least * zoom;
    this.#limit();
  }

  // Set the rectangle in which the points are, and show all of it.
  show(box) {
    this.box = box;
    this.#measure();
    this.whole();
  }

  whole() {
    this.scale = this.least;
    this.x = (this.box.left + this.box.right) / 2;
    this.y = (this.box.top + this.box.bottom) / 2;
  }

  // Show a part of the map, but at most `most` times as large as the whole map.
  fit({ left, top, right, bottom }, most = 12) {
    this.x = (left + right) / 2;
    this.y = (top + bottom) / 2;
    const scale = (1 - 2 * MARGIN) * Math.min(this.width / Math.max(right - left, 1e-9), this.height / Math.max(bottom - top, 1e-9));
    this.scale = Math.max(this.least, Math.min(scale, this.least * most));
    this.#limit();
  }

  #measure() {
    const { left, top, right, bottom } = this.box;
    const across = this.width / Math.max(right - left, 0.01);
    this.least = (1 - 2 * MARGIN) * Math.min(across, this.height / Math.max(bottom - top, 0.01));
  }

  get zoom() {
    return this.scale / this.least;
  }

  toCanvas(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  toMap(px, py) {
    return [(px - this.width / 2) / this.scale + this.x, (py - this.height / 2) / this.scale + this.y];
  }

  // Return the rectangle of the map that is in sight, with a margin in CSS pixels.
  sight(margin = 0) {
    const [left, top] = this.toMap(-margin, -margin);
    const [right, bottom] = this.toMap(this.width + margin, this.height + margin);
    return { left, top, right, bottom };
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.#limit();
  }

  // Magnify by `factor`, so that the place of the map at (px, py) stays there.
  zoomAt(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toMap(px, py);
    this.scale = Math.max(this.least, Math.min(this.scale * factor, this.least * CLOSEST));
    this.x = x - (px - this.width / 2) / this.scale;
    this.y = y - (py - this.height / 2) / this.scale;
    this.#limit();
  }

  // Move the camera back if no part of the map would be in sight.
  #limit() {
    this.x = Math.max(this.box.left, Math.min(this.x, this.box.right));
    this.y = Math.max(this.box.top, Math.min(this.y, this.box.bottom));
  }
}

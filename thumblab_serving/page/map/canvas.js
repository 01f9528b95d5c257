// The map itself: points, small pictures where there is room, and over them names of groups, marks and the lasso.

import { Camera } from "./camera.js";
import { LANDMARK } from "./ranks.js";
import { drawOverlay, FINE_FROM } from "./overlay.js";
import { Painter } from "./painter.js";

const MOST_RATIO = 2; // With more pixels for each CSS pixel, a map looks the same and takes longer to draw.
const MOST_PICTURES = 220;
const ALL_FROM = 8; // From this magnification on, all points may show their pictures.
const MOST_CANDIDATES = 6_000; // With more points in sight, choosing the pictures takes too long.
const CROWDED = 0.6; // With less room for each point, in CSS pixels, the first points are smaller.
const FIELDS = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => [dx, dy]));
const WIDTHS = [[24, 128], [8, 96], [3, 72], [0, 56]]; // Pairs of a magnification, and the width in CSS pixels that pictures have from this magnification on.

const isIn = ({ left, top, right, bottom }, x, y) => x >= left && x <= right && y >= top && y <= bottom;

export class MapCanvas {
  constructor(frame, points, overlay) {
    Object.assign(this, { frame, overlay, camera: new Camera(), painter: new Painter(points) });
    this.context = overlay.getContext("2d");
    this.model = null;
    this.lasso = null; // The places of a lasso that is being drawn, in CSS pixels.
    this.crosshair = false;
    this.hovered = -1;
    this.shown = []; // The pictures on the map: {row, x, y, width, height} in CSS pixels.
    this.moved = () => {};
    this.frames = null; // The times of frames in milliseconds while a benchmark measures them, or null.
    new ResizeObserver(() => this.resize()).observe(frame);
  }

  // Show a model, see `arrange`.
  show(model) {
    this.model = model;
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    if (width === 0 || height === 0) return;
    this.ratio = Math.min(window.devicePixelRatio || 1, MOST_RATIO);
    const [across, down] = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    this.camera.resize(width, height);
    this.painter.resize(across, down);
    [this.overlay.width, this.overlay.height] = [across, down];
    this.#paint();
    this.moved();
  }

  draw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = null;
      this.#paint();
    });
  }

  // Draw again, because another part of the map is in sight.
  move() {
    this.draw();
    this.moved();
  }

  #paint() {
    if (!this.ratio || this.model === null) return;
    const start = performance.now();
    this.painter.paint(this.model, this.camera, this.radius, this.ratio);
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.context.clearRect(0, 0, this.camera.width, this.camera.height);
    this.#placePictures();
    drawOverlay(this);
    this.frames?.push(performance.now() - start);
  }

  // The radius of a point in CSS pixels. It is a part of the room that each point would have if all points were spread evenly.
  // Very many points are small at first: most of them lie over each other, and painting them takes most of the time of a frame.
  get radius() {
    const room = Math.sqrt((this.camera.width * this.camera.height) / Math.max(this.model.count, 1)) / 4;
    return Math.round(2 * Math.max(room < CROWDED ? 1 : 1.5, Math.min(room * this.camera.zoom, 4.5))) / 2;
  }

  // Choose the points that show their pictures: as many as have room, those with the lowest ranks first.
  #placePictures() {
    this.shown = [];
    const { points, cells, visible, rank, landmarks, meant, atlas } = this.model;
    if (atlas.levels.length === 0) return;
    const { camera } = this;
    const landmark = camera.zoom < FINE_FROM ? LANDMARK - 1 : LANDMARK; // The landmarks of small groups come later.
    const width = WIDTHS.find(([zoom]) => camera.zoom >= zoom)[1];
    const height = (width * 9) / 16;
    const sight = camera.sight(width);
    let candidates = [];
    const isMany = meant > MOST_CANDIDATES && cells.count(sight) > MOST_CANDIDATES;
    const admit = (row) => visible[row] > 1 && points.tile[row] >= 0 && candidates.push(row);
    if (isMany) landmarks.filter((row) => isIn(sight, points.x[row], points.y[row])).forEach(admit);
    else cells.within(sight, admit);
    // If pictures would hide most points, only the landmarks and the found videos show a picture.
    const room = (camera.width * camera.height) / (width * height);
    const isCrowded = isMany || (camera.zoom < ALL_FROM && candidates.length > 4 * room);
    if (isCrowded) candidates = candidates.filter((row) => rank[row] <= landmark);
    candidates.sort((a, b) => rank[a] - rank[b]);
    const taken = new Map(); // The pictures by the field of the canvas in which their middle is.
    const [across, down] = [width * (isCrowded ? 1.04 : 1.15), height * (isCrowded ? 1.06 : 1.2)];
    for (const row of candidates) {
      const [px, py] = camera.toCanvas(points.x[row], points.y[row]);
      const [column, line] = [Math.floor(px / across), Math.floor(py / down)];
      const near = FIELDS.flatMap(([dx, dy]) => taken.get(`${column + dx} ${line + dy}`) ?? []);
      if (near.some(([x, y]) => Math.abs(x - px) < across && Math.abs(y - py) < down)) continue;
      taken.set(`${column} ${line}`, [...(taken.get(`${column} ${line}`) ?? []), [px, py]]);
      this.shown.push({ row, x: px - width / 2, y: py - height / 2, width, height });
      if (this.shown.length >= MOST_PICTURES) break;
    }
    atlas.prepare(this.shown.map(({ row }) => points.tile[row]), width * this.ratio);
  }

  // Return the row of the video at a place of the canvas. This is the video of the picture there, or else of the nearest point.
  // Return -1 if there is neither.
  at(px, py, reach = 12) {
    if (this.model === null) return -1;
    const picture = this.shown.findLast(({ x, y, width, height }) => px >= x && px <= x + width && py >= y && py <= y + height);
    if (picture) return picture.row;
    const [x, y] = this.camera.toMap(px, py);
    const { visible } = this.model;
    return this.model.cells.nearest(x, y, reach / this.camera.scale, (row) => visible[row] > 0);
  }
}

// Move the map by mouse, touch and keyboard, and draw a lasso.

const STEP = 80; // The CSS pixels by which a press on an arrow key moves the map.
const TAP = 6; // A pointer that moves less than this is a click or a tap.
const VERTEX = 3; // The lasso gets a corner each time the pointer has moved this far.
const FACTOR = 1.5;

export class Gestures {
  // `on`: {hover(row, x, y), press(row, touched), lasso(polygon), leave()}. Each function is called after the gesture of its
  // name.
  constructor(map, on) {
    Object.assign(this, { map, on, pointers: new Map(), lassoing: false, start: null });
    const { frame } = map;
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) frame.addEventListener(kind, (event) => this.#up(event));
    // Lifting a finger also sends this event. What the finger has shown stays.
    frame.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.pointers.size === 0 && on.leave());
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("keydown", (event) => this.#key(event));
    frame.addEventListener("focus", () => this.#cross(frame.matches(":focus-visible")));
    frame.addEventListener("blur", () => this.#cross(false));
  }

  #cross(on) {
    this.map.crosshair = on;
    this.map.draw();
  }

  #place(event) {
    const box = this.map.frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest("button, a")) return;
    const place = this.#place(event);
    this.map.frame.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, place);
    if (this.pointers.size > 1) {
      this.start = null;
      this.map.lasso = null;
      return;
    }
    this.start = place;
    if (this.lassoing || event.shiftKey) this.map.lasso = [place];
  }

  #move(event) {
    const place = this.#place(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.on.hover(this.map.at(...place), ...place);
      return;
    }
    if (this.pointers.size === 2) this.#pinch(event.pointerId, before, place);
    else if (this.map.lasso !== null) {
      const [x, y] = this.map.lasso.at(-1);
      if (Math.hypot(place[0] - x, place[1] - y) >= VERTEX) this.map.lasso.push(place);
      this.map.draw();
    } else if (this.start === null || Math.hypot(place[0] - this.start[0], place[1] - this.start[1]) >= TAP) {
      this.start = null;
      this.on.leave();
      this.map.camera.pan(place[0] - before[0], place[1] - before[1]);
      this.map.move();
    } else return; // Until the pointer has moved enough, it may be a click.
    this.pointers.set(event.pointerId, place);
  }

  // Move and magnify the map by two fingers. As far as possible without turning the map, the places below the fingers stay below
  // them.
  #pinch(id, before, place) {
    const [, other] = [...this.pointers].find(([key]) => key !== id);
    const distance = (one) => Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1]));
    const [x, y] = [(before[0] + other[0]) / 2, (before[1] + other[1]) / 2];
    this.map.camera.zoomAt(distance(place) / distance(before), x, y);
    this.map.camera.pan((place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
    this.map.move();
    this.pointers.set(id, place);
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { lasso } = this.map;
    this.map.lasso = null;
    if (event.type === "pointercancel") return this.map.draw();
    if (lasso !== null && lasso.length > 2) {
      this.on.lasso(lasso.map((place) => this.map.camera.toMap(...place)));
    } else if (this.start !== null && !this.lassoing) this.on.press(this.map.at(...this.start), event.pointerType === "touch", ...this.start);
    this.start = null;
    this.map.draw();
  }

  #wheel(event) {
    const factor = Math.exp(-Math.max(-200, Math.min(200, event.deltaY * (event.deltaMode === 1 ? 20 : 1))) / 300);
    if (factor < 1 && this.map.camera.zoom <= 1.001) return; // The whole map is in sight, so the page scrolls.
    event.preventDefault();
    this.on.leave();
    this.map.camera.zoomAt(factor, ...this.#place(event));
    this.map.move();
  }

  #key(event) {
    if (event.target !== this.map.frame || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 4 * STEP : STEP;
    const pans = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key in pans) this.pan(...pans[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(FACTOR);
    else if (event.key === "-") this.zoom(1 / FACTOR);
    else if (event.key === "0" || event.key === "Home") this.whole();
    else if (event.key === "Enter") this.on.press(this.under(), false);
    else return;
    event.preventDefault();
  }

  pan(dx, dy) {
    this.map.camera.pan(dx, dy);
    this.map.move();
  }

  zoom(factor = FACTOR) {
    this.map.camera.zoomAt(factor);
    this.map.move();
  }

  whole() {
    this.map.camera.whole();
    this.map.move();
  }

  // Return the row of the video below the middle of the canvas.
  under() {
    const { width, height } = this.map.camera;
    return this.map.at(width / 2, height / 2, 40);
  }
}

// Find points by place. The map is divided into square cells, and each cell lists its rows.

const PER_CELL = 8;

export class Cells {
  constructor(x, y) {
    Object.assign(this, { x, y });
    this.side = Math.max(1, Math.min(1024, Math.floor(Math.sqrt(x.length / PER_CELL))));
    const cells = new Int32Array(x.length);
    this.starts = new Int32Array(this.side * this.side + 1);
    for (let row = 0; row < x.length; row += 1) {
      cells[row] = this.#column(y[row]) * this.side + this.#column(x[row]);
      this.starts[cells[row] + 1] += 1;
    }
    for (let cell = 0; cell < this.side * this.side; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.rows = new Int32Array(x.length);
    for (let row = 0; row < x.length; row += 1) this.rows[next[cells[row]]++] = row;
  }

  #column(value) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(value * this.side)));
  }

  // Call `visit(row)` for each point in a rectangle of the map.
  within({ left, top, right, bottom }, visit) {
    for (let line = this.#column(top); line <= this.#column(bottom); line += 1) {
      const from = this.starts[line * this.side + this.#column(left)];
      const to = this.starts[line * this.side + this.#column(right) + 1];
      for (let place = from; place < to; place += 1) {
        const row = this.rows[place];
        if (this.x[row] >= left && this.x[row] <= right && this.y[row] >= top && this.y[row] <= bottom) visit(row);
      }
    }
  }

  // Return about how many points are in a rectangle of the map: all points of the cells that the rectangle touches.
  count({ left, top, right, bottom }) {
    let count = 0;
    for (let line = this.#column(top); line <= this.#column(bottom); line += 1) {
      count += this.starts[line * this.side + this.#column(right) + 1] - this.starts[line * this.side + this.#column(left)];
    }
    return count;
  }

  // Return the row of the nearest point within `radius` for which `admits(row)` is true, or -1.
  nearest(x, y, radius, admits) {
    let best = -1;
    let least = radius * radius;
    this.within({ left: x - radius, top: y - radius, right: x + radius, bottom: y + radius }, (row) => {
      const distance = (this.x[row] - x) ** 2 + (this.y[row] - y) ** 2;
      if (distance > least || !admits(row)) return;
      [best, least] = [row, distance];
    });
    return best;
  }

  // Return the rows inside a polygon, a list of [x, y], by the even-odd rule.
  inside(polygon) {
    const [across, down] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
    const box = { left: Math.min(...across), right: Math.max(...across), top: Math.min(...down), bottom: Math.max(...down) };
    const rows = [];
    this.within(box, (row) => isInside(polygon, this.x[row], this.y[row]) && rows.push(row));
    return rows;
  }
}

function isInside(polygon, x, y) {
  let inside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [[ax, ay], [bx, by]] = [polygon[at], polygon[before]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

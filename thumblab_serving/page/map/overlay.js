// What is drawn over the points: pictures, names of groups, the own channel, "you are here", the region and the lasso.

const FONT = '600 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
export const FINE_FROM = 3; // From this magnification on, the small groups have names too.
const MOST_NAMES = 40;
const SHIFTS = [0, 34, -34]; // The vertical distances in pixels from the middle of a group at which its name may be written.

const overlap = (one, other) => one.left < other.right && one.right > other.left && one.top < other.bottom && one.bottom > other.top;

export function drawOverlay(map) {
  const { context, model } = map;
  const colours = themeColours();
  const taken = [];
  drawPictures(map, colours, taken);
  drawOwn(map, colours);
  drawRegion(map, colours);
  drawNames(map, colours, taken);
  for (const mark of model.marks) drawMark(map, mark, colours);
  if (map.hovered >= 0 && map.hovered < model.points.length) ring(map, map.hovered, 8, colours.text, 3);
  if (map.lasso !== null) outline(context, map.lasso, colours, false);
  if (map.crosshair) cross(map, colours);
}

function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ground: of("panel"), text: of("text"), accent: of("accent"), weak: of("weak"), line: of("edge") };
}

function drawPictures({ context, shown, model }, colours, taken) {
  for (const { row, x, y, width, height } of shown) {
    context.fillStyle = colours.line;
    context.fillRect(x - 1, y - 1, width + 2, height + 2);
    if (!model.atlas.draw(context, model.points.tile[row], x, y, width, height)) {
      context.fillStyle = colours.ground;
      context.fillRect(x, y, width, height);
    }
    // A bar below the picture keeps the colour of the point visible.
    context.fillStyle = `#${[0, 8, 16].map((bits) => ((model.colours[row] >>> bits) & 255).toString(16).padStart(2, "0")).join("")}`;
    context.fillRect(x, y + height - 4, width, 4);
    if (model.visible[row] > 2) {
      context.strokeStyle = colours.accent;
      context.lineWidth = 2;
      context.strokeRect(x - 1, y - 1, width + 2, height + 2);
    }
    taken.push({ left: x, right: x + width, top: y, bottom: y + height });
  }
}

function ring({ context, camera, model }, row, radius, colour, width) {
  const [px, py] = camera.toCanvas(model.points.x[row], model.points.y[row]);
  context.beginPath();
  context.arc(px, py, radius, 0, 2 * Math.PI);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function drawOwn(map, colours) {
  for (const row of map.model.own) {
    if (map.model.visible[row] === 0) continue;
    ring(map, row, 7, colours.ground, 4);
    ring(map, row, 7, colours.weak, 2);
  }
}

function drawRegion({ context, camera, model }, colours) {
  if (model.region?.polygon) outline(context, model.region.polygon.map(([x, y]) => camera.toCanvas(x, y)), colours, true);
}

function outline(context, places, colours, closed) {
  if (places.length < 2) return;
  context.beginPath();
  places.forEach(([x, y], place) => (place === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  if (closed) context.closePath();
  context.lineWidth = 4;
  context.strokeStyle = colours.ground;
  context.stroke();
  context.lineWidth = 2;
  context.setLineDash(closed ? [] : [6, 4]);
  context.strokeStyle = colours.accent;
  context.stroke();
  context.setLineDash([]);
}

// Write the names of groups, the largest first. A name is written only where it hides no other name, and no picture if there is
// room elsewhere.
function drawNames({ context, camera, model }, colours, pictures) {
  if (!model.showNames) return;
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const { left, top, right, bottom } = camera.sight();
  const level = camera.zoom >= FINE_FROM ? 1 : 0;
  const names = [];
  for (const cluster of model.names[level]) {
    if (cluster.x < left || cluster.x > right || cluster.y < top || cluster.y > bottom || names.length >= MOST_NAMES) continue;
    const text = cluster.label.slice(0, 2).join(" · ");
    const half = context.measureText(text).width / 2 + 5;
    const [px, middle] = camera.toCanvas(cluster.x, cluster.y);
    const boxes = SHIFTS.map((shift) => ({ left: px - half, right: px + half, top: middle + shift - 10, bottom: middle + shift + 10 }));
    const isFree = (among) => (box) => !among.some((other) => overlap(box, other));
    const beside = boxes.find(isFree([...pictures, ...names]));
    const box = beside ?? boxes.find(isFree(names));
    if (!text || !box) continue;
    names.push(box);
    const py = box.top + 10;
    if (!beside) {
      context.fillStyle = colours.ground;
      context.fillRect(box.left, box.top, 2 * half, 20);
    }
    context.lineWidth = 5;
    context.strokeStyle = colours.ground;
    context.strokeText(text, px, py);
    context.fillStyle = colours.text;
    context.fillText(text, px, py);
  }
}

function drawMark({ context, camera }, { x, y, picture, words }, colours) {
  const [px, py] = camera.toCanvas(x, y);
  const [width, height] = [96, 54];
  context.beginPath();
  context.moveTo(px, py);
  context.lineTo(px - 9, py - 15);
  context.lineTo(px + 9, py - 15);
  context.closePath();
  context.fillStyle = colours.weak;
  context.fill();
  const [left, top] = [px - width / 2, py - 15 - height];
  context.fillRect(left - 3, top - 21, width + 6, height + 24);
  if (picture) context.drawImage(picture, left, top, width, height);
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colours.ground;
  context.fillText(words, px, top - 10, width);
}

function cross({ context, camera }, colours) {
  const [px, py] = [camera.width / 2, camera.height / 2];
  for (const [width, colour] of [[5, colours.ground], [2, colours.accent]]) {
    context.beginPath();
    context.moveTo(px - 14, py);
    context.lineTo(px + 14, py);
    context.moveTo(px, py - 14);
    context.lineTo(px, py + 14);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

// The views of a video over time as a line, with the moments at which its thumbnail or title changed.

import { line, moment } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [640, 220];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 12, 12, 28];

const shape = (tag, values, text = "") => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
};

// Return a figure with the curve, or null with fewer than two counts. `changes`: the moments at which the thumbnail changed.
export function historyChart(history, changes) {
  const counts = history.filter(({ views }) => views !== null).map((each) => ({ ...each, time: Date.parse(each.observed_at) }));
  if (counts.length < 2) return null;
  const [first, last] = [counts[0].time, counts.at(-1).time];
  const most = Math.max(...counts.map(({ views }) => views), 1);
  const across = (time) => LEFT + ((time - first) / Math.max(last - first, 1)) * (WIDTH - LEFT - RIGHT);
  const down = (views) => HEIGHT - BOTTOM - (views / most) * (HEIGHT - TOP - BOTTOM);
  const marks = changes.map((at) => Date.parse(at)).filter((time) => time > first && time < last);
  const words = `Views from ${moment(counts[0].observed_at)} (${counts[0].views.toLocaleString("en")}) to ${moment(counts.at(-1).observed_at)} (${counts.at(-1).views.toLocaleString("en")}).`;
  const drawing = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${words}${marks.length > 0 ? ` The thumbnail or title changed ${marks.length === 1 ? "once" : `${marks.length} times`}.` : ""}`, class: "chart" });
  for (const views of [0, most / 2, most]) {
    drawing.append(
      shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: down(views), y2: down(views), class: "chart-line" }),
      shape("text", { x: LEFT - 8, y: down(views) + 4, "text-anchor": "end" }, short(views)),
    );
  }
  for (const time of marks) drawing.append(shape("line", { x1: across(time), x2: across(time), y1: TOP, y2: HEIGHT - BOTTOM, class: "chart-change" }));
  // Counts of two definitions of a view cannot be compared, so each definition has its own line.
  for (const era of new Set(counts.map((each) => each.era))) {
    const places = counts.filter((each) => each.era === era).map(({ time, views }) => `${across(time).toFixed(1)},${down(views).toFixed(1)}`);
    drawing.append(shape("polyline", { points: places.join(" "), class: "chart-curve" }));
  }
  const day = (time) => new Date(time).toLocaleDateString(undefined, { dateStyle: "medium" });
  drawing.append(shape("text", { x: LEFT, y: HEIGHT - 8 }, day(first)), shape("text", { x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, day(last)));
  const figure = line("figure", "", "chart-frame");
  figure.append(drawing);
  const eras = new Set(counts.map(({ era }) => era)).size;
  const notes = [marks.length > 0 ? "A dashed line: the thumbnail or title changed." : "", eras > 1 ? "YouTube changed what it counts as a view, so the line is interrupted." : ""].filter(Boolean);
  if (notes.length > 0) figure.append(line("figcaption", notes.join(" "), "soft"));
  return figure;
}

const short = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);

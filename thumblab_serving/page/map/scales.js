// How the points are coloured. A scale maps a fact of a video to a colour, and has a legend that says what the colours mean.

import { nicheName, SUB_SCORES } from "../words.js";

// Each colour has a contrast of 3 or more with the ground of its scheme. The lightness rises or falls along each ramp, so that
// people who cannot distinguish hues can also read it.
const RAMPS = {
  light: { rising: ["#858ca8", "#5f7ea8", "#3b6f99", "#2b5378", "#16294a"], around: ["#1d4ed8", "#5b79b8", "#84888c", "#c2561a", "#7c1d0b"] },
  dark: { rising: ["#5f6f80", "#4f8aa6", "#4fb3b5", "#8fdbb0", "#f2f7c0"], around: ["#7db3ff", "#6f8fb8", "#7f868b", "#f0924a", "#ffd9a0"] },
};
const SETS = {
  light: ["#0f766e", "#b45309", "#6d28d9", "#be185d", "#1d4ed8", "#4d7c0f", "#b91c1c", "#0e7490", "#854d0e", "#86198f", "#475569", "#166534"],
  dark: ["#4fc7b8", "#f0b35a", "#b79cff", "#f78fc0", "#82aaff", "#a8d65c", "#ff9a8f", "#62d0ea", "#dcc06a", "#ea9bf0", "#a9b7c6", "#7ddc9a"],
};
const NOT_KNOWN = { light: "#8d9296", dark: "#6d767b" };
export const QUIET = { light: "#dcdad4", dark: "#30383c" }; // The colour of points that do not stand out now.

const number = (value) => (Math.abs(value) >= 10 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(2)).toString());

const numeric = (name, words) => ({ name, words, value: (points, row) => points[name][row], text: number });

const NUMERIC = {
  outlier_multiple: { ...numeric("outlier_multiple", "Outlier multiple"), log: true, around: 1, text: (value) => `${number(value)}×` },
  views_per_hour: { ...numeric("views_per_hour", "Views per hour"), log: true },
  age: { name: "age", words: "Age", needs: "published_day", value: (points, row) => points.age(row), log: true, least: 1, text: (value) => `${number(value)} days` },
  ...Object.fromEntries(
    Object.entries(SUB_SCORES).map(([name, words]) => [name, { ...numeric(name, words), fixed: [0, 1], text: (value) => String(Math.round(100 * value)) }]),
  ),
};

// Return the names and words of the colourings that this map has.
export function colourings(points, niche) {
  const some = Object.values(NUMERIC).map((each) => [each.name, each.words, !points.missing.includes(each.needs ?? each.name)]);
  some.push(["cluster", "Group", !points.missing.includes("cluster")], ["niche", "Niche", niche === "all" && points.niches.length > 1]);
  return some.filter(([, , isThere]) => isThere).map(([name, words]) => [name, words]);
}

// Return {colours, legend}: a colour for each point (0xAABBGGRR), and what they mean. `clusters` are the coarse clusters.
export function coloured(name, points, clusters, dark) {
  const theme = dark ? "dark" : "light";
  if (name === "cluster" || name === "niche") return bySets(name, points, clusters, theme);
  return byNumber(NUMERIC[name], points, theme);
}

function byNumber(scale, points, theme) {
  const known = [];
  const step = Math.max(1, Math.floor(points.length / 20_000)); // A sample is enough for the ends of the scale.
  for (let row = 0; row < points.length; row += step) {
    const value = scale.value(points, row);
    if (Number.isFinite(value)) known.push(value);
  }
  known.sort((a, b) => a - b);
  const [low, high] = ends(scale, known);
  const place = scale.log ? (value) => Math.log(value) : (value) => value;
  const [from, to] = [place(low), place(high)];
  const table = ramp(RAMPS[theme][scale.around ? "around" : "rising"]);
  const none = packed(NOT_KNOWN[theme]);
  const colours = new Uint32Array(points.length);
  let unknown = 0;
  for (let row = 0; row < points.length; row += 1) {
    const value = scale.value(points, row);
    if (!Number.isFinite(value)) {
      colours[row] = none;
      unknown += 1;
      continue;
    }
    const share = (place(Math.max(value, scale.log ? low : -Infinity)) - from) / (to - from);
    colours[row] = table[Math.max(0, Math.min(255, Math.round(255 * share)))];
  }
  const middle = scale.log ? Math.exp((from + to) / 2) : (low + high) / 2;
  const ticks = known.length === 0 ? [] : [`${scale.text(low)} or less`, scale.text(middle), `${scale.text(high)} or more`];
  if (scale.fixed && known.length > 0) [ticks[0], ticks[2]] = [scale.text(low), scale.text(high)];
  return { colours, legend: { words: scale.words, ramp: RAMPS[theme][scale.around ? "around" : "rising"], ticks, none: unknown > 0 ? NOT_KNOWN[theme] : null } };
}

// Return the values at the two ends of the scale: the fixed values, or the values below and above which 2 % of the points lie.
function ends(scale, known) {
  if (scale.fixed) return scale.fixed;
  const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))] ?? 1;
  let [low, high] = [at(0.02), at(0.98)];
  if (scale.log) {
    const positive = known.find((value) => value > 0) ?? 1;
    low = Math.max(low, scale.least ?? positive);
    high = Math.max(high, low * 1.01);
  } else if (high <= low) high = low + 1;
  if (!scale.around) return [low, high];
  const reach = Math.max(high / scale.around, scale.around / low, 1.5); // The usual value is in the middle of the scale.
  return [scale.around / reach, scale.around * reach];
}

function bySets(name, points, clusters, theme) {
  const set = SETS[theme];
  const colours = new Uint32Array(points.length);
  const none = packed(NOT_KNOWN[theme]);
  if (name === "niche") {
    const byNiche = new Map(points.niches.map((niche, place) => [niche, packed(set[place % set.length])]));
    for (let row = 0; row < points.length; row += 1) colours[row] = byNiche.get(points.niche(row)) ?? none;
    return { colours, legend: { words: "Niche", set: points.niches.map((niche, place) => [set[place % set.length], nicheName(niche)]) } };
  }
  // The largest groups have colours of their own. All others share the colour of points in no group.
  const named = [...clusters].sort((a, b) => b.videos - a.videos).slice(0, set.length);
  const byCluster = new Map(named.map(({ id }, place) => [id, packed(set[place])]));
  for (let row = 0; row < points.length; row += 1) colours[row] = byCluster.get(points.cluster[row]) ?? none;
  const legend = named.map(({ label }, place) => [set[place], label.slice(0, 2).join(", ") || "a group without words"]);
  return { colours, legend: { words: "Group", set: [...legend, [NOT_KNOWN[theme], clusters.length > named.length ? "smaller groups, or none" : "in no group"]] } };
}

// Return 256 colours between the given colours.
function ramp(stops) {
  const parts = stops.map(rgb);
  return Uint32Array.from({ length: 256 }, (_, place) => {
    const at = (place / 255) * (parts.length - 1);
    const [from, share] = [Math.min(Math.floor(at), parts.length - 2), at - Math.min(Math.floor(at), parts.length - 2)];
    return packRgb(parts[from].map((value, channel) => Math.round(value + (parts[from + 1][channel] - value) * share)));
  });
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const packRgb = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
export const packed = (hex) => packRgb(rgb(hex));

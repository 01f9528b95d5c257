// What the videos of a region have in common, compared with all other videos that are shown. The figures describe the videos, and
// prove no cause.

import { SUB_SCORES } from "../words.js";
import { searchable } from "../map/points.js";
import { plural } from "../people/words.js";

const FEWEST = 5; // The number of videos that a comparison needs, in the region and outside.
const Z = 2.64; // The z value of a 95 % interval for six comparisons together, by Bonferroni.
const LEAST = 0.08; // A share that differs from one half by less is not worth a sentence.
const LETTERS = 3; // Shorter words are left out.
const MOST_WORDS = 6;
const FACTS = { outlier_multiple: "Outlier multiple", views_per_hour: "Views per hour", age: "Age in days" };

const MOST_COMPARED = 10_000; // With more videos than this, an even sample is compared. The sample takes a fraction of a second, and the figures hardly differ.

// Return the rows, or an even sample of them.
export function sampled(rows) {
  if (rows.length <= MOST_COMPARED) return rows;
  return Array.from({ length: MOST_COMPARED }, (_, place) => rows[Math.floor((place * rows.length) / MOST_COMPARED)]);
}

const valueOf = (points, name, row) => (name === "age" ? points.age(row) : points[name][row]);

export function median(values) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return NaN;
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const known = (points, name, rows) => rows.map((row) => valueOf(points, name, row)).filter(Number.isFinite);

// Return [{name, words, here, rest}]: the medians of the region and of the rest. A median is NaN if no video has the figure.
export function medians(points, rows, rest) {
  const columns = { ...FACTS, ...SUB_SCORES };
  return Object.entries(columns).map(([name, words]) => ({
    name,
    words,
    isShare: name in SUB_SCORES,
    here: median(known(points, name, rows)),
    rest: median(known(points, name, rest)),
  }));
}

// Return sentences on how the region differs from the rest. The sentence with the clearest difference comes first.
export function shared(points, rows, rest) {
  const sentences = [];
  if (rows.length >= FEWEST && rest.length >= FEWEST) sentences.push(...comparedScores(points, rows, rest));
  sentences.push(...sharedWords(points, rows, rest), ...ofOneChannel(points, rows));
  return sentences;
}

// Compare each sub-score: how often does a picture of the region have a larger value than a picture of the rest? This is the area
// under the ROC curve. Its standard error is that of Hanley and McNeil (1982).
function comparedScores(points, rows, rest) {
  const found = [];
  for (const [name, words] of Object.entries(SUB_SCORES)) {
    const [here, others] = [known(points, name, rows), known(points, name, rest)];
    if (here.length < FEWEST || others.length < FEWEST) continue;
    const share = shareAbove(here, others);
    const [one, two] = [share / (2 - share), (2 * share * share) / (1 + share)];
    const variance = share * (1 - share) + (here.length - 1) * (one - share ** 2) + (others.length - 1) * (two - share ** 2);
    const error = Math.sqrt(variance / (here.length * others.length));
    if (Math.abs(share - 0.5) < Math.max(LEAST, Z * error)) continue;
    found.push({ words, share, medians: [median(here), median(others)].map((value) => Math.round(100 * value)) });
  }
  found.sort((a, b) => Math.abs(b.share - 0.5) - Math.abs(a.share - 0.5));
  return found.map(({ words, share, medians: [here, others] }) => {
    const [more, times] = share > 0.5 ? ["more", share] : ["less", 1 - share];
    return `${words}: ${more} than elsewhere, in ${Math.round(100 * times)} of 100 comparisons of two pictures (median ${here}, elsewhere ${others}).`;
  });
}

// Return the share of all pairs in which the value from the first list is larger. Equal values count as half.
export function shareAbove(values, others) {
  const sorted = Float64Array.from(others).sort();
  let sum = 0;
  for (const value of values) sum += (bound(sorted, value, false) + bound(sorted, value, true)) / 2;
  return sum / (values.length * sorted.length);
}

function bound(sorted, value, after) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (after ? sorted[middle] <= value : sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const wordsOf = (title) => new Set((title.match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).filter((word) => [...word].length > LETTERS));

// Return the words that are in more titles of the region than elsewhere, as a sentence in a list.
function sharedWords(points, rows, rest) {
  const counts = new Map();
  for (const row of rows) for (const word of wordsOf(searchable(points.title(row)))) counts.set(word, (counts.get(word) ?? 0) + 1);
  const often = new Map([...counts].filter(([, count]) => count >= 3 && count >= 0.1 * rows.length));
  if (often.size === 0 || rest.length === 0) return [];
  const elsewhere = new Map();
  for (const row of rest) for (const word of wordsOf(searchable(points.title(row)))) if (often.has(word)) elsewhere.set(word, (elsewhere.get(word) ?? 0) + 1);
  const lifts = [...often].map(([word, count]) => [word, count / rows.length, (elsewhere.get(word) ?? 0) / rest.length]);
  const clear = lifts.filter(([, here, there]) => here > 2 * there).sort((a, b) => b[1] - b[2] - (a[1] - a[2]));
  if (clear.length === 0) return [];
  const told = clear.slice(0, MOST_WORDS).map(([word, here]) => `“${word}” (${Math.round(100 * here)}%)`);
  return [`Words that many of these titles have, and few others: ${told.join(", ")}.`];
}

// If most videos of a region are from one channel, the region shows little about other channels.
function ofOneChannel(points, rows) {
  const counts = new Map();
  for (const row of rows) counts.set(points.channel(row), (counts.get(points.channel(row)) ?? 0) + 1);
  const [channel, most] = [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), ["", 0]);
  const of = `From ${plural(counts.size, "channel")}`;
  return [most > 1 && most >= 0.3 * rows.length ? `${of}; ${Math.round((100 * most) / rows.length)}% are of ${channel}.` : `${of}.`];
}

// Give the answer on the page as files: a picture, a table, and a web page to share.

import { resultImage } from "./result_image.js";
import { resultPage } from "./result_page.js";
import { asked, CONTRIBUTORS, isBest, isWithoutSkill, packagePlace, placeOf, ranked, rankedPackages, shownScore, SUB_SCORES, verdict } from "./words.js";

export const exportsOf = {
  "export-image": async (comparison) => save(await resultImage(comparison), nameOf(comparison, "png")),
  "export-table": async (comparison) => save(table(comparison), nameOf(comparison, "csv")),
  "export-page": async (comparison) => save(await resultPage(comparison), nameOf(comparison, "html")),
};

function nameOf({ question, at }, ending) {
  const title = question.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  return `${title || "thumbnails"}-${at.slice(0, 10)}.${ending}`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser may begin to read the file only after this function has returned.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Return a table with a row for each picture, or for each package of several titles, the best first.
function table(comparison) {
  const { answer } = comparison;
  const facts = asked(comparison);
  const [, heading] = verdict(answer);
  const names = Object.keys(SUB_SCORES);
  const columns = [
    "place", "picture", "chance_to_win", "best_beats_it", "score", "evidence_mean", "similarity",
    "why_compared_with", ...Object.keys(CONTRIBUTORS).map((of) => `why_${of}`), "why",
    ...names, ...names.map((name) => `${name}_niche_percentile`),
    "nearest_winner", "error", "title", "niche", "channel", "ranked_at", "verdict", "model", "index", "note",
  ];
  const rows = rowsOf(comparison).map(({ thumbnail, place, chance, margin, score, why, title }) => [
    place, thumbnail.id, chance, margin, score, thumbnail.evidence_mean, thumbnail.similarity_score,
    why?.against, ...Object.keys(CONTRIBUTORS).map((of) => why?.contributions.find((part) => part.of === of)?.share), why?.summary,
    ...names.map((name) => thumbnail.sub_scores[name]?.value), ...names.map((name) => thumbnail.sub_scores[name]?.niche_percentile),
    thumbnail.neighbours[0]?.title, thumbnail.error, title, answer.niche, facts[2][1], comparison.at, heading,
    answer.releases.model, answer.releases.index, comparison.note,
  ]);
  const text = [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
  // Spreadsheets read a file as UTF-8 only if it begins with this mark.
  return new Blob(["\ufeff", text, "\r\n"], { type: "text/csv;charset=utf-8" });
}

// Return the candidates of the rows, the best first. A package has the measurements of its picture, and its own figures.
function rowsOf(comparison) {
  const { answer, question } = comparison;
  if (!answer.packages) {
    return ranked(comparison).map(({ thumbnail }) => ({
      thumbnail,
      place: placeOf(thumbnail, answer),
      chance: thumbnail.win_probability,
      margin: null,
      score: shownScore(thumbnail, isWithoutSkill(answer)),
      why: thumbnail.why,
      title: thumbnail.title ?? question.title,
    }));
  }
  const packages = rankedPackages(answer).map((one) => ({
    thumbnail: answer.thumbnails.find((thumbnail) => thumbnail.id === one.thumbnail),
    place: packagePlace(one),
    chance: one.win_probability,
    margin: isBest(one, answer) ? null : one.margin,
    score: shownScore(one, answer.packages.verdict === "no_skill"),
    why: one.why ?? (isBest(one, answer) ? answer.packages.why : null), // Older answers have `why` only for the best package.
    title: one.title,
  }));
  const unread = answer.thumbnails.filter(({ error }) => error);
  return [...packages, ...unread.map((thumbnail) => ({ thumbnail, place: placeOf(thumbnail, answer), title: question.title }))];
}

// Return a value as a cell. A spreadsheet would run a text that begins with one of these signs as a formula. Anybody may have
// written the text, for example as the title of a video. So such a text gets an apostrophe in front.
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(Math.round(value * 1e4) / 1e4);
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

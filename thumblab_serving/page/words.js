// What an answer says, in words.

import { isolated, moment, percent } from "./dom.js";
import { titleOf } from "./known_channels.js";

export const SUB_SCORES = {
  clarity: "Clarity",
  prominence: "Prominence",
  contrast: "Contrast",
  emotion: "Emotion",
  hierarchy: "Hierarchy",
  title_match: "Title match",
};

export const NICHES = {
  tech: "Tech",
  gaming: "Gaming",
  education: "Education",
  entertainment: "Entertainment",
  people: "People",
  beauty: "Beauty",
  news: "News",
};

// A lab may have niches that a person added. Such a niche has no name but its key, such as meal-prep.
export const nicheName = (niche) => (Object.hasOwn(NICHES, niche) ? NICHES[niche] : niche.charAt(0).toUpperCase() + niche.slice(1).replaceAll("-", " "));

export const NO_SKILL =
  "The model was not shown to order such pictures better than chance, so it names no winner. Read what was measured, and test the pictures you like.";

const NO_PACKAGE_SKILL =
  "The model was not shown to order packages of a title and a picture better than chance, so it names no best package. Which picture is better under one title is another question: see below.";

export const EVIDENCE = "Mean percentile in the niche of the measurements that every picture has. This mean was not shown to predict views.";

// What contributes to the score of a picture, see the field `why` of an answer.
export const CONTRIBUTORS = {
  picture: "The picture",
  title: "The title",
  match: "Their match",
  channel: "The channel's history",
};

// Return the near-identical group of a candidate, which is empty if the candidate is in no group.
export function groupOf(name, answer) {
  return answer.near_identical.find((group) => group.includes(name)) ?? [];
}

// With several titles, the answer has two questions. This is the first.
export const PACKAGE_QUESTION = "The question: which title with which picture is the best?";

// Return what the cards below the grid of several titles are about.
export function cardsQuestion(answer) {
  const [, heading] = pictureVerdict(answer);
  return `This is a different question than in the grid: which picture is better under this title? ${heading}. The order may differ from the grid.`;
}

// Return the kind of the verdict, its heading and its explanation. With several titles, it is the verdict on the packages.
export function verdict(answer) {
  return answer.packages ? packageVerdict(answer.packages) : pictureVerdict(answer);
}

function packageVerdict({ verdict: sureness, best_title: title, best_thumbnail: thumbnail, confidence }) {
  const best = `“${title}” with ${thumbnail}`;
  const chance = confidence === null ? "" : `Chance to beat the second package: ${percent(confidence)}.`;
  switch (sureness) {
    case "clear":
      return ["", `Best: ${best}`, `A clear lead. ${chance}`];
    case "leaning":
      return ["", `Leaning to ${best}`, `Ahead, but not by much. ${chance}`];
    case "too_close_to_call":
      return ["unsure", "Too close to call", `${best} is first. ${chance} Choose the package you like, or test both.`];
    case "only_one":
      return ["unsure", "Only one package could be ranked", "There is nothing to compare it with."];
    case "no_skill":
      return ["unsure", "No skill here: no best package", NO_PACKAGE_SKILL];
    case "no_verdict":
      return ["none", "No verdict", "Too few of these pictures are like the pictures that the model was trained on."];
    default:
      return ["none", "No picture could be read", "Each card below says why."];
  }
}

function pictureVerdict(answer) {
  const group = groupOf(answer.winner, answer);
  const standsFor = group.length === 0 ? "" : ` It stands for its near-identical group: ${group.join(", ")}.`;
  const chance = answer.confidence === null ? "" : `Chance to beat the second: ${percent(answer.confidence)}.${standsFor}`;
  switch (answer.verdict) {
    case "clear":
      return ["", `${answer.winner} wins`, `A clear lead. ${chance}`];
    case "leaning":
      return ["", `Leaning to ${answer.winner}`, `Ahead, but not by much. ${chance}`];
    case "too_close_to_call":
      if (answer.thumbnails.every((thumbnail) => thumbnail.rank === null || group.includes(thumbnail.id))) {
        return ["unsure", "Too close to call", "The pictures are near-identical. Choose the one you like."];
      }
      return ["unsure", "Too close to call", `${answer.winner} is first. ${chance} Choose the picture you like, or test both.`];
    case "only_one":
      return ["unsure", answer.winner === null ? "Only one could be read" : `Only ${answer.winner} could be ranked`, "There is nothing to compare it with."];
    case "no_skill":
      return ["unsure", answer.ordered_by === null ? "No skill here: not ordered" : "No skill here: ordered by evidence", NO_SKILL];
    case "no_verdict":
      return ["none", "No verdict", "Too few of these pictures are like the pictures that the model was trained on."];
    default:
      return ["none", "No picture could be read", "Each card below says why."];
  }
}

// The reason why an answer is not adapted is not repeated here, because it is one of the `degraded` sentences.
export function adaptation(channel) {
  if (channel === null) return "";
  const name = channel.title ?? titleOf(channel.channel_id);
  if (!channel.adapted) return `Not adapted to ${name}.`;
  return `Adapted to the channel ${name} with ${channel.videos} of its videos.`;
}

// Return the channel of a comparison as people know it: by its title, or else as it was given.
export function channelOf({ question, answer }) {
  return answer.channel?.title ?? titleOf(question.channel || (answer.channel?.channel_id ?? ""));
}

// Return a sentence if the niche of a comparison is not the niche of the channel, or else "".
export function otherNiche(channel, niche) {
  if (!channel?.niche || channel.niche === niche) return "";
  return `The videos of ${channel.title} are in ${nicheName(channel.niche)}, and you compare in ${nicheName(niche)}.`;
}

// Return what was asked and when, as pairs of a name and a value. Every result and every export shows them.
export function asked({ question, answer, at }) {
  const titles = question.titles ?? [question.title];
  return [
    titles.length > 1 ? ["Titles", titles.map((title) => `“${title}”`).join(", ")] : ["Title", question.title],
    ["Niche", nicheName(answer.niche)],
    ["Channel", channelOf({ question, answer }) || "none given"],
    ["Ranked", moment(at)],
  ];
}

// Return the sentence on the skill, or "". If the skill was not shown to be better than chance, `degraded` says so.
export function skillOf(answer) {
  const { verdict: sureness, skill } = answer.packages ?? answer;
  const proven = sureness !== "no_skill" && skill !== null && skill.low !== null && skill.low > 0.5;
  return proven ? skill.summary : "";
}

// Whether the model has no proven skill, so that its order is not used.
export function isWithoutSkill(answer) {
  return answer.verdict === "no_skill" || answer.ordered_by === "evidence";
}

export function placeOf(thumbnail, answer) {
  if (thumbnail.error || thumbnail.rank === null) return "Not ranked";
  return isWithoutSkill(answer) ? `#${thumbnail.rank} by evidence` : `#${thumbnail.rank}`;
}

// Return the pictures of the answer with their files, the best first.
// The answer keeps the order of the request, so they are matched by position.
export function ranked({ answer, entries }) {
  const pairs = answer.thumbnails.map((thumbnail, row) => ({ thumbnail, entry: entries[row] }));
  return pairs.sort((a, b) => (a.thumbnail.rank ?? Infinity) - (b.thumbnail.rank ?? Infinity));
}

// Return the verdict on the pictures under one title in a few words. Return "" for the own title of a picture. Also return "" if
// the model has no proven skill at this question, because the cards say so.
export function underTitle(under) {
  if (!under) return "";
  const chance = under.confidence === null ? "" : ` (${percent(under.confidence)})`;
  const words = {
    clear: `best picture: ${under.winner}${chance}`,
    leaning: `leaning to ${under.winner}${chance}`,
    too_close_to_call: `too close to call between its pictures${chance}`,
  };
  return words[under.verdict] ?? "";
}

// Return the packages of an answer, the best first.
export const rankedPackages = (answer) => [...answer.packages.grid].sort((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity));

// Return the score of a picture or package. Return null if the order does not follow the score, because it would contradict
// the order.
export function shownScore(one, withoutSkill) {
  return withoutSkill ? null : one.score;
}

// Return in a few words why a package has no rank.
export function whyNotRanked({ thumbnail: name }, { packages, thumbnails }) {
  if (thumbnails.find(({ id }) => id === name)?.familiar === false) return "not ranked: unlike every picture that the model was trained on";
  if (packages.verdict === "no_skill") return "not ranked: no proven skill";
  return "not ranked: nothing to compare it with";
}

export const packagePlace = (one) => (one.rank === null ? "Not ranked" : `#${one.rank}`);

// Whether a package is the best of the answer.
export const isBest = (one, { packages }) => one.title === packages.best_title && one.thumbnail === packages.best_thumbnail;

// Return where a sub-score lies, in words.
export function placedIn(sub, niche) {
  if (sub.value === null) return "not measured";
  if (sub.niche_percentile !== null) return `above ${percent(sub.niche_percentile / 100)} of ${nicheName(niche)}`;
  return `${Math.round(sub.value * 100)} of 100, not compared with ${nicheName(niche)}`;
}

// Return the facts on a neighbour, in words.
export function factsOf(near) {
  const multiple = near.outlier_multiple === null ? "" : ` · ${near.outlier_multiple.toFixed(1)}× its channel's usual`;
  const views = Math.round(near.views_per_hour).toLocaleString("en");
  return `${isolated(near.channel)} · ${views} views per hour${multiple} · ${percent(near.similarity)} similar`;
}

export const isWebAddress = (url) => /^https?:\/\//.test(url ?? "");

// Return which words of the title were also read in the picture, as a sentence, or "". Short words are left out, because
// words such as "the" are in most titles.
export function repeated(title, evidence) {
  const read = new Set((evidence.texts ?? []).flatMap((text) => wordsOf(text.text)));
  const both = [...new Set(wordsOf(title))].filter((word) => read.has(word));
  return both.length === 0 ? "" : `The picture repeats the title: ${both.map((word) => `“${word}”`).join(", ")}.`;
}

const wordsOf = (text) => (text.normalize("NFKC").toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).filter((word) => [...word].length > 3);

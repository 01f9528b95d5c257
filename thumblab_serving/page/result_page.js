// Write the answer on the page as one HTML file with its pictures in it. The file runs no script and loads nothing.

import { capital, line, percent } from "./dom.js";
import { blobOf, drawn } from "./drawn_pictures.js";
import { summary } from "./evidence.js";
import { limitOf } from "./for_operators.js";
import { titlesOf } from "./grid.js";
import { planOf } from "./plan.js";
import {
  adaptation, asked, cardsQuestion, factsOf, isWebAddress, isWithoutSkill, PACKAGE_QUESTION, packagePlace, placedIn, placeOf, ranked, repeated,
  shownScore, skillOf, SUB_SCORES, verdict, whyNotRanked,
} from "./words.js";

const WIDTH = 640;
const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE = `
:root { color-scheme: light dark; background: Canvas; --soft: #5b6569; --line: #d5d1c8; }
@media (prefers-color-scheme: dark) { :root { --soft: #a3adb0; --line: #3a4347; } }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; } dd { margin: 0; } dt, small { color: var(--soft); }
ol.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1.5rem; padding: 0; list-style: none; }
.cards > li { border-top: 3px solid var(--line); padding-top: .75rem; }
table { display: block; overflow-x: auto; border-collapse: collapse; } th, td { padding: .4rem .75rem; border: 1px solid var(--line); text-align: left; }
.cards img { display: block; width: 100%; aspect-ratio: 16 / 9; object-fit: cover; border-radius: 8px; }
small { display: block; } h3 { margin: .75rem 0 0; } h4 { margin: 1rem 0 .25rem; } .cards ul { padding-left: 1.1rem; }`;

export async function resultPage(comparison) {
  const { answer } = comparison;
  const page = document.implementation.createHTMLDocument(comparison.question.title);
  page.documentElement.lang = "en";
  page.head.prepend(meta({ charset: "utf-8" }), meta({ "http-equiv": "Content-Security-Policy", content: POLICY }));
  page.head.append(meta({ name: "viewport", content: "width=device-width, initial-scale=1" }));
  const [, heading, explanation] = verdict(answer);
  const main = document.createElement("main");
  main.append(line("h1", heading), line("p", explanation));
  for (const text of [comparison.note, skillOf(answer), adaptation(answer.channel)]) if (text) main.append(line("p", text));
  main.append(facts(asked(comparison)));
  if (answer.packages) main.append(line("h2", "Titles × pictures"), line("p", PACKAGE_QUESTION), ...grid(answer));
  const ofCards = answer.packages?.first_title_limits ?? [];
  const general = answer.degraded.filter((text) => !ofCards.includes(text));
  if (general.length > 0) main.append(line("h2", "What was missing or limits this answer"), limits(general, answer));
  const cards = line("ol", "", "cards");
  for (const { thumbnail, entry } of ranked(comparison)) cards.append(await card(thumbnail, entry, comparison));
  main.append(line("h2", answer.packages ? `The pictures under “${comparison.question.title}”` : "The pictures"));
  if (answer.packages) main.append(line("p", cardsQuestion(answer)));
  if (ofCards.length > 0) main.append(limits(ofCards, answer));
  main.append(cards);
  const plan = planOf(answer);
  if (plan.length > 0) main.append(line("h2", "A test on YouTube"), ...plan.map((text) => line("p", text)));
  const releases = `Model ${answer.releases.model}, index ${answer.releases.index ?? "none"}.`;
  main.append(line("p", `Made with Thumbnail Lab. ${releases} Chances are estimates of a model that was trained on pairs of videos of the same channel.`));
  page.body.append(main);
  // The style is added to the text of the file, because the security policy of this page forbids a style element. The first
  // `</head>` is the end of the head, because all texts are escaped.
  const html = page.documentElement.outerHTML.replace("</head>", () => `<style>${STYLE}</style></head>`);
  return new Blob(["<!doctype html>\n", html], { type: "text/html" });
}

const limits = (texts, answer) => list(texts.map((text) => limitOf(text, answer)).filter(Boolean));

function meta(attributes) {
  const node = document.createElement("meta");
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function facts(pairs) {
  const node = document.createElement("dl");
  for (const [name, value] of pairs) node.append(line("dt", name), line("dd", value));
  return node;
}

function list(texts) {
  const node = document.createElement("ul");
  node.append(...texts.map((text) => line("li", text)));
  return node;
}

// Return the grid of several titles as a table, and what moved the score of the best package.
function grid(answer) {
  const { packages, thumbnails } = answer;
  const table = document.createElement("table");
  const pictures = thumbnails.map(({ id }) => id).filter((id) => packages.grid.some((one) => one.thumbnail === id));
  const head = document.createElement("tr");
  head.append(...["Title", ...pictures].map((text) => heading(text, "col")));
  table.append(head);
  for (const title of titlesOf(packages)) {
    const row = document.createElement("tr");
    const found = pictures.map((id) => packages.grid.find((one) => one.title === title && one.thumbnail === id));
    row.append(heading(title, "row"), ...found.map((one) => line("td", one ? said(one, answer) : "–")));
    table.append(row);
  }
  return [table, ...(packages.why ? [line("p", `Why the best: ${packages.why.summary}`)] : [])];
}

function said(one, answer) {
  if (one.rank === null) return whyNotRanked(one, answer);
  const chance = one.win_probability === null ? "" : `, ${percent(one.win_probability)} chance to be the best`;
  return packagePlace(one) + chance;
}

function heading(text, scope) {
  const node = line("th", text);
  node.scope = scope;
  return node;
}

async function card(thumbnail, entry, { answer, question }) {
  const node = document.createElement("li");
  const picture = await drawn(entry.file, WIDTH);
  if (picture) {
    const shown = document.createElement("img");
    shown.src = await dataUrl(await blobOf(picture, "image/jpeg", 0.85));
    shown.alt = thumbnail.id;
    node.append(shown);
  }
  node.append(line("h3", `${placeOf(thumbnail, answer)} · ${thumbnail.id}`));
  if (entry.title && entry.title !== question.title) node.append(line("p", `With its own title: “${thumbnail.title}”`));
  if (thumbnail.error) {
    node.append(line("p", thumbnail.error));
    return node;
  }
  const figures = [];
  if (thumbnail.win_probability !== null) figures.push(["Chance to win", percent(thumbnail.win_probability)]);
  if (thumbnail.evidence_mean !== null) figures.push(["Evidence", `${Math.round(thumbnail.evidence_mean)} of 100`]);
  const score = shownScore(thumbnail, isWithoutSkill(answer));
  if (score !== null) figures.push([`Score in ${answer.score_among}`, `${Math.round(score)} of 100`]);
  if (thumbnail.similarity_score !== null) figures.push(["Similarity to niche", `${Math.round(thumbnail.similarity_score)} of 100`]);
  node.append(facts(figures));
  if (thumbnail.why) node.append(line("h4", "Why"), line("p", thumbnail.why.summary));
  const seen = `${summary(thumbnail.evidence)} ${repeated(thumbnail.title ?? question.title, thumbnail.evidence)}`.trim();
  node.append(line("h4", "What was measured"), line("p", seen));
  const subs = document.createElement("ul");
  for (const [name, sub] of Object.entries(thumbnail.sub_scores)) {
    const item = line("li", `${SUB_SCORES[name] ?? name}: ${placedIn(sub, answer.niche)}`);
    item.append(line("small", `${capital(sub.reason)}.${sub.fix ? ` ${capital(sub.fix)}.` : ""}`));
    subs.append(item);
  }
  node.append(subs);
  if (thumbnail.neighbours.length > 0) node.append(line("h4", thumbnail.neighbours[0].winner ? "Most similar winners" : "Most similar, no winners"), near(thumbnail));
  return node;
}

function near(thumbnail) {
  const node = document.createElement("ul");
  for (const one of thumbnail.neighbours.slice(0, 3)) {
    const item = document.createElement("li");
    const title = line(isWebAddress(one.url) ? "a" : "span", one.title);
    if (title.tagName === "A") {
      title.href = one.url;
      title.rel = "noreferrer noopener";
    }
    item.append(title, line("small", factsOf(one)));
    node.append(item);
  }
  return node;
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

// The card of one picture in an answer.

import { byId, capital, line, percent } from "./dom.js";
import { frame, summary } from "./evidence.js";
import { libraryImage } from "./library.js";
import { cropOf } from "./pictures.js";
import { whyBlock } from "./why.js";
import { EVIDENCE, factsOf, groupOf, isWebAddress, isWithoutSkill, placedIn, placeOf, repeated, SUB_SCORES } from "./words.js";

export function card(thumbnail, entry, { answer, question }) {
  const { niche, verdict, score_among: among } = answer;
  const noSkill = isWithoutSkill(answer);
  const node = byId("card").content.cloneNode(true);
  const find = (selector) => node.querySelector(selector);
  find("img").src = entry.url;
  find("img").alt = thumbnail.id;
  find(".name").textContent = thumbnail.id;
  find(".name").title = thumbnail.id;
  find(".place").textContent = placeOf(thumbnail, answer);
  // The service removes invisible characters from titles, so the title in the answer may differ from the one in the form.
  if (entry.title && entry.title !== question.title) {
    find(".with-title").textContent = `With its own title: “${thumbnail.title}”`;
    find(".with-title").hidden = false;
  }
  if (thumbnail.error) {
    find(".card").classList.add("failed");
    find(".error").textContent = thumbnail.error;
    find(".error").hidden = false;
    find(".scored").remove();
    find(".overlay").remove();
    return node;
  }
  if (thumbnail.rank === 1 && !noSkill) find(".card").classList.add("first");
  if (verdict === "only_one") {
    find(".chance-name").textContent = "The only ranked picture: there is nothing to compare it with";
    find(".chance-value").remove();
    find(".chance .bar").remove();
  } else if (thumbnail.win_probability === null) find(".chance").remove();
  else {
    find(".chance-value").textContent = percent(thumbnail.win_probability);
    fill(find(".chance .bar i"), thumbnail.win_probability);
    const group = groupOf(thumbnail.id, answer);
    const members = answer.thumbnails.filter((other) => group.includes(other.id) && other.win_probability !== null);
    const together = members.reduce((sum, member) => sum + member.win_probability, 0);
    if (members.length > 1) find(".chance-name").textContent = `Its share of the group's chance of ${percent(together)}`;
  }
  if (noSkill) {
    find(".score-name").textContent = "Evidence";
    find(".score-name").title = EVIDENCE;
  } else if (among === "channel") find(".score-name").textContent = "Score in channel";
  const figure = noSkill ? thumbnail.evidence_mean : thumbnail.score;
  find(".score").append(...(figure === null ? ["–"] : [Math.round(figure), of100()]));
  const engagement = thumbnail.predicted_engagement;
  if (engagement === null) find(".engagement").textContent = "–";
  else {
    find(".engagement").textContent = engagement.value.toFixed(engagement.kind === "proxy" ? 2 : 3);
    find(".engagement-name").title = engagement.meaning;
    find(".engagement-name small").textContent = engagement.kind === "proxy" ? " proxy" : " CTR";
  }
  const unit = thumbnail.similarity_source === "default" ? line("small", " default") : of100();
  find(".similarity").append(Math.round(thumbnail.similarity_score), unit);
  const why = whyBlock(thumbnail.why, answer.question === "package");
  if (why) find(".why-place").replaceWith(why);
  else find(".why-place").remove();
  frame(find(".overlay"), thumbnail.evidence);
  find(".seen").textContent = `${summary(thumbnail.evidence)} ${repeated(thumbnail.title ?? question.title, thumbnail.evidence)}`.trim();
  find(".crop").textContent = cropOf(thumbnail.evidence.width, thumbnail.evidence.height);
  find(".crop").hidden = !find(".crop").textContent;
  const subs = Object.entries(thumbnail.sub_scores).map(([name, sub]) => subScore(name, sub, niche));
  find(".subs").replaceChildren(...subs);
  if (thumbnail.neighbours.length === 0) find(".near-title").remove();
  else find(".near-title").textContent = nearTitle(thumbnail.neighbours, answer.channel?.title);
  find(".near").replaceChildren(...thumbnail.neighbours.slice(0, 3).map(neighbour));
  return node;
}

// In a small library, all neighbours may be the channel's own videos. The heading says so, because such neighbours show nothing
// about other channels.
function nearTitle(neighbours, channel) {
  const title = neighbours[0].winner ? "Most similar winners" : "Most similar, no winners";
  return channel && neighbours.every((near) => near.channel === channel) ? `${title}, all of them your own videos` : title;
}

function subScore(name, sub, niche) {
  const node = byId("sub").content.cloneNode(true);
  const item = node.querySelector("li");
  node.querySelector(".sub-name").textContent = SUB_SCORES[name] ?? name;
  node.querySelector(".sub-value").textContent = placedIn(sub, niche);
  const reason = node.querySelector(".sub-reason");
  reason.append(line(sub.fix ? "b" : "span", `${capital(sub.reason)}.`), sub.fix ? ` ${capital(sub.fix)}.` : "");
  if (sub.value === null) {
    item.className = "unmeasured";
    return node;
  }
  // Text and bar show the same figure. It is the percentile in the niche, or the value if there is no percentile.
  const placed = sub.niche_percentile !== null;
  const share = placed ? sub.niche_percentile / 100 : sub.value;
  item.classList.toggle("weak", sub.weak);
  item.classList.toggle("mend", sub.fix !== null);
  node.querySelector(".bar").classList.toggle("placed", placed);
  fill(node.querySelector(".bar i"), share);
  return node;
}

function neighbour(near) {
  const item = document.createElement("li");
  const words = document.createElement("div");
  const title = line(isWebAddress(near.url) ? "a" : "span", near.title);
  if (title.tagName === "A") {
    title.href = near.url;
    title.rel = "noreferrer noopener";
    title.target = "_blank";
  }
  words.append(title, line("small", factsOf(near)));
  item.append(libraryImage(near.video_id), words);
  return item;
}

function of100() {
  return line("small", " / 100");
}

function fill(bar, share) {
  // The width is set after the first paint, so that the bar grows. The Content-Security-Policy forbids style attributes,
  // but allows setting a property.
  requestAnimationFrame(() => requestAnimationFrame(() => (bar.style.width = percent(share))));
}

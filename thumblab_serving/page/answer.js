// The answer on the page: its verdict, what was missing, and a card for each picture.

import { card } from "./card.js";
import { byId, line, say } from "./dom.js";
import { overlaysShown, showOverlays } from "./evidence.js";
import { limitOf, namesCommand, operatorsFold } from "./for_operators.js";
import { drawGrid } from "./grid.js";
import { missingOfLab } from "./lab.js";
import { show } from "./pictures.js";
import { drawPlan } from "./plan.js";
import { adaptation, asked, PACKAGE_QUESTION, ranked, skillOf, verdict } from "./words.js";

let drawn = null; // The answer on the page.

// Draw a comparison: {question, answer, entries, note, at}. With `quiet`, the focus and the scroll position stay.
export function drawAnswer(comparison, quiet) {
  const { answer } = comparison;
  const [kind, heading, explanation] = verdict(answer);
  byId("banner").className = `banner ${kind}`;
  byId("verdict").textContent = heading;
  byId("explain").textContent = explanation;
  byId("asked").replaceChildren(...asked(comparison).map(fact));
  say("skill", skillOf(answer));
  say("adapted", adaptation(answer.channel));
  byId("adapt-how").hidden = answer.channel === null || answer.channel.adapted;
  say("asking", answer.packages ? PACKAGE_QUESTION : "");
  drawn = answer;
  drawDegraded();

  show(comparison.entries);
  drawGrid(comparison);
  drawPlan(answer);
  const cards = ranked(comparison).map(({ thumbnail, entry }) => card(thumbnail, entry, comparison));
  byId("cards").replaceChildren(...cards);
  showOverlays(overlaysShown());

  byId("releases").textContent = `Model ${answer.releases.model} · index ${answer.releases.index ?? "none"}`;
  byId("result").hidden = false;
  if (quiet) return;
  byId("verdict").focus({ preventScroll: true });
  byId("result").scrollIntoView({ block: "start" });
}

// Show what was missing for the answer. Leave out what the notes about the lab already say. With several titles, the limits of
// the verdict under the first title are shown above the cards of this title.
export function drawDegraded() {
  if (drawn === null) return;
  const ofCards = drawn.packages?.first_title_limits ?? [];
  const general = drawn.degraded.filter((text) => !missingOfLab().includes(text) && !ofCards.includes(text));
  drawLimits("degraded", general);
  drawLimits("cards-limits", ofCards);
}

function drawLimits(id, texts) {
  const items = texts.map((text) => limitOf(text, drawn)).filter(Boolean).map((text) => line("li", text));
  const fold = operatorsFold(texts.filter(namesCommand));
  if (fold) {
    const item = line("li", "");
    item.append(fold);
    items.push(item);
  }
  byId(id).replaceChildren(...items);
  byId(id).hidden = items.length === 0;
}

function fact([name, value]) {
  const row = document.createElement("div");
  row.append(line("dt", name), line("dd", value));
  return row;
}

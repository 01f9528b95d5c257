// The answer on the page: its verdict, what was missing, and a card for each picture.

import { card } from "./card.js";
import { byId, capital, line, say } from "./dom.js";
import { overlaysShown, showOverlays } from "./evidence.js";
import { drawGrid } from "./grid.js";
import { missingOfLab } from "./lab.js";
import { show } from "./pictures.js";
import { adaptation, asked, ranked, skillOf, verdict } from "./words.js";

let degraded = []; // This was missing for the answer on the page.

// Draw a comparison: {question, answer, entries, note, at}. `quiet` leaves the focus and the place on the page alone.
export function drawAnswer(comparison, quiet) {
  const { answer } = comparison;
  const [kind, heading, explanation] = verdict(answer);
  byId("banner").className = `banner ${kind}`;
  byId("verdict").textContent = heading;
  byId("explain").textContent = explanation;
  byId("asked").replaceChildren(...asked(comparison).map(fact));
  say("skill", skillOf(answer));
  say("adapted", adaptation(answer.channel));
  degraded = answer.degraded;
  drawDegraded();

  show(comparison.entries);
  drawGrid(comparison);
  const cards = ranked(comparison).map(({ thumbnail, entry }) => card(thumbnail, entry.url, comparison));
  byId("cards").replaceChildren(...cards);
  showOverlays(overlaysShown());

  byId("releases").textContent = `Model ${answer.releases.model} · index ${answer.releases.index ?? "none"}`;
  byId("result").hidden = false;
  if (quiet) return;
  byId("verdict").focus({ preventScroll: true });
  byId("result").scrollIntoView({ block: "start" });
}

// Show what was missing for the answer. Leave out what the notes about the lab already say.
export function drawDegraded() {
  const sentences = degraded.filter((text) => !missingOfLab().includes(text));
  byId("degraded").replaceChildren(...sentences.map((text) => line("li", `${capital(text)}.`)));
  byId("degraded").hidden = sentences.length === 0;
}

function fact([name, value]) {
  const row = document.createElement("div");
  row.append(line("dt", name), line("dd", value));
  return row;
}

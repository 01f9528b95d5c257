// What the page shows now, and how it is drawn. All parts of the page share it.

import { byId, say } from "../dom.js";
import { sentence } from "../for_operators.js";
import { showKeyField } from "../key.js";
import { MapCanvas } from "../map/canvas.js";
import { plural } from "../people/words.js";
import { arrange, countWords } from "./arrange.js";
import { hideCard } from "./card.js";
import { drawLegend } from "./legend.js";
import { drawFound, drawList, drawRegion, sayPlace } from "./panels.js";

export const state = {
  niche: "all", points: null, cells: null, clusters: [], atlas: null, tiles: null, total: 0,
  found: null, region: null, marks: [], colour: "outlier_multiple", after: "", before: "", ownChannel: "", showNames: true,
};
export const map = new MapCanvas(byId("frame"), byId("points"), byId("overlay"));
export const dark = matchMedia("(prefers-color-scheme: dark)");
export let model = null; // What `arrange` made of the state.

export function draw() {
  if (state.points === null) return;
  map.hovered = -1;
  hideCard();
  model = arrange(state, dark.matches);
  map.show(model);
  drawLegend(model.legend);
  drawFound(model, state.found?.words ?? "");
  drawRegion(model);
  if (!byId("list-box").hidden) drawList(model); // A list of all videos of a large map takes time.
  byId("count").textContent = countWords(model, state, state.total);
  byId("search-clear").hidden = state.found === null;
  sayOwn();
}

// Draw the page again, because something was found, marked or chosen. `mark`: the picture that was placed.
export function changed(reason, mark = null) {
  state.region = ["region", "filter"].includes(reason) ? state.region : null;
  draw();
  if (model === null || reason !== "mark") return;
  const placed = sayPlace(model, mark ?? state.marks.at(-1));
  if (placed === null) return;
  map.camera.fit(around(placed.x, placed.y, 3 * Math.max(placed.spread, 0.02)), 10);
  map.move();
}

export const around = (x, y, reach) => ({ left: x - reach, right: x + reach, top: y - reach, bottom: y + reach });

function sayOwn() {
  const count = model.own.length;
  if (!state.ownChannel) return say("own-note", "");
  say("own-note", count === 0 ? "This map has no video of a channel with this name. Give the name as YouTube shows it." : `${plural(count, "video")} of this channel ${count === 1 ? "has a ring" : "have rings"}.`);
}

// Show an error in the element `id`. If the key is the reason, move the focus to the field for the key.
export function failed(error, id = "problem") {
  const isKey = [401, 403].includes(error.status);
  say(isKey ? "problem" : id, sentence(error.message));
  if (isKey) askForKey(sentence(error.message));
}

export function askForKey(text) {
  say("problem", text);
  showKeyField(true);
  byId("key").focus();
}

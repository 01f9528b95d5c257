// The card that shows a video under the mouse, under the finger, or below the cross of the keyboard.

import { byId, line } from "../dom.js";
import { addressOf, factsOf } from "./sheet.js";

const GAP = 14;

export function showCard(map, model, row, px, py, withLink = false) {
  const card = byId("card");
  if (row < 0) return hideCard();
  const { points, atlas, byCluster } = model;
  const parts = [];
  if (points.tile[row] >= 0 && atlas.levels.length > 0) parts.push(atlas.canvas(points.tile[row], 256, 144));
  parts.push(line("strong", points.title(row)), ...factsOf(points, row, byCluster).map((fact) => line("span", fact)));
  if (withLink) {
    const link = line("a", "Open this video");
    link.href = addressOf(points.id(row));
    parts.push(link);
  }
  card.replaceChildren(...parts);
  card.classList.toggle("has-link", withLink);
  card.hidden = false;
  // The Content-Security-Policy forbids style attributes, but allows setting a property.
  const { width, height } = map.camera;
  const left = px + GAP + card.offsetWidth > width ? px - GAP - card.offsetWidth : px + GAP;
  const top = py + GAP + card.offsetHeight > height ? py - GAP - card.offsetHeight : py + GAP;
  card.style.left = `${Math.max(4, Math.min(left, width - card.offsetWidth - 4))}px`;
  card.style.top = `${Math.max(4, Math.min(top, height - card.offsetHeight - 4))}px`;
}

export function hideCard() {
  byId("card").hidden = true;
  byId("card").replaceChildren();
}

// The menus of niches. A link, the browser's memory or the history may name a niche that the lab no longer has.

import { isolated } from "./dom.js";
import { nicheName } from "./words.js";

const NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;

// Offer the niches of the lab in a menu. Options that are no niche, such as "All niches", stay at the top. Return the niche that
// was chosen if the lab does not have it, or else null.
export function fillNiches(menu, niches) {
  const others = [...menu.options].filter(({ value }) => value === "" || value === "all");
  const wanted = [...others.map(({ value }) => value), ...niches];
  if ([...menu.options].map(({ value }) => value).join() === wanted.join()) return null;
  const chosen = menu.value;
  menu.replaceChildren(...others, ...niches.map((niche) => new Option(nicheName(niche), niche)));
  if (!wanted.includes(chosen)) return menu.dataset.chosen === "yes" ? chosen : null;
  menu.value = chosen;
  return null;
}

// Choose a niche in a menu. The menu may not offer it yet, because the lab has not said which niches it has.
export function chooseNiche(menu, niche) {
  if (typeof niche !== "string" || !NAME.test(niche)) return;
  if (![...menu.options].some(({ value }) => value === niche)) menu.append(new Option(nicheName(niche), niche));
  menu.value = niche;
  menu.dataset.chosen = "yes";
}

// Choose the first option again, which is no niche.
export function unchooseNiche(menu) {
  menu.selectedIndex = 0;
  delete menu.dataset.chosen;
}

// Return the niche that the address names, or null. A name that no niche can have is returned too.
export const nicheOfAddress = () => new URLSearchParams(location.search).get("niche");

export const isNicheName = (text) => NAME.test(text);

// Return a sentence for a niche that the lab does not have.
export function goneWords(niche) {
  const named = isNicheName(niche) ? nicheName(niche) : isolated(niche.slice(0, 40));
  return `This lab has no niche ${named}: it was retired, or it never was one.`;
}

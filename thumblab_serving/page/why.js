// What moved the score of a picture or of a package, as bars with their shares.

import { line, percent } from "./dom.js";
import { CONTRIBUTORS } from "./words.js";

// Return a block on the field `why` of an answer. `titled` says whether the candidates have different titles. Return null
// for an answer of an older service, which does not have the field.
export function whyBlock(why, titled) {
  if (!why) return null;
  const block = line("div", "", "why");
  if (why.unknown !== null) {
    block.append(line("h4", "Why"), line("p", why.summary, "why-note"));
    return block;
  }
  const other = titled ? `“${why.against_title}” with ${why.against}` : why.against;
  block.append(line("h4", `Why, compared with ${other}`));
  const list = document.createElement("ul");
  list.append(...why.contributions.map(part));
  block.append(list);
  if (why.summary.endsWith("too close to call.")) block.append(line("p", "The difference is too close to call.", "why-note"));
  return block;
}

function part({ of, share }) {
  const item = line("li", "", share === 0 ? "same" : share > 0 ? "for" : "against");
  const row = line("div", "", "row");
  row.append(line("span", CONTRIBUTORS[of] ?? of), line("span", said(share), "why-value"));
  const bar = line("div", "", "why-bar");
  bar.setAttribute("aria-hidden", "true");
  const length = document.createElement("i");
  // The Content-Security-Policy forbids style attributes, but allows setting a property.
  length.style.width = `${Math.abs(share) * 50}%`;
  length.style.left = `${share > 0 ? 50 : 50 - Math.abs(share) * 50}%`;
  bar.append(length);
  item.append(row, bar);
  return item;
}

function said(share) {
  if (share === 0) return "no difference";
  return `${Math.abs(share) < 0.005 ? "under 1%" : percent(Math.abs(share))} ${share > 0 ? "for it" : "against it"}`;
}

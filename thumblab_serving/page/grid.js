// The grid of several titles and pictures: a row for each title, a column for each picture.

import { button, byId, image, line, percent, say } from "./dom.js";
import { cardsQuestion, isBest, underTitle, whyNotRanked } from "./words.js";
import { whyBlock } from "./why.js";

// Show the grid of a comparison, or hide it if the comparison has one title.
export function drawGrid({ answer, entries }) {
  const { packages, thumbnails } = answer;
  byId("packages").hidden = !packages;
  byId("cards-title").hidden = !packages;
  say("cards-note", packages ? cardsQuestion(answer) : "");
  if (!packages) return;
  byId("packages-note").textContent = noteOn(packages);
  // The answer keeps the order of the request, so its pictures are matched by position.
  const pictures = thumbnails.map(({ id }, row) => ({ id, url: entries[row].url }));
  const shown = pictures.filter(({ id }) => packages.grid.some((one) => one.thumbnail === id));
  byId("grid").replaceChildren(...tableOf(answer, shown));
  const best = packages.grid.find((one) => isBest(one, answer)) ?? packages.grid[0];
  explain(best, best?.why ?? packages.why);
  byId("cards-title").textContent = `The pictures under “${titlesOf(packages)[0]}”`;
}

// Show below the grid what moved the score of a package.
function explain(one, why) {
  const block = whyBlock(why, true);
  byId("packages-why").replaceChildren(...(block ? [block] : []));
  if (block && one && why.unknown === null) block.prepend(line("p", `“${one.title}” with ${one.thumbnail}`, "why-of"));
  for (const node of byId("grid").querySelectorAll("button")) {
    node.setAttribute("aria-pressed", String(node.dataset.title === one?.title && node.dataset.picture === one?.thumbnail));
  }
}

export const titlesOf = (packages) => [...new Set(packages.grid.map((one) => one.title))];

function noteOn({ best_title: best }) {
  const shares = "Each field shows the chance that its package is the best of all.";
  return best === null ? "There is no best package." : `${shares} Below is the chance that the best package beats this package.`;
}

// The ARIA roles are set here, because a browser drops the roles of a table that CSS lays out as a grid, as on a phone.
function tableOf(answer, pictures) {
  const head = part("thead", "rowgroup");
  const names = part("tr", "row");
  names.append(heading("col", "columnheader", [line("span", "Title")]));
  for (const { id, url } of pictures) names.append(heading("col", "columnheader", [image(url), line("span", id)]));
  head.append(names);
  const body = part("tbody", "rowgroup");
  for (const title of titlesOf(answer.packages)) body.append(rowOf(title, answer, pictures));
  return [head, body];
}

function rowOf(title, answer, pictures) {
  const { packages } = answer;
  const row = part("tr", "row");
  const under = underTitle(packages.under_titles.find((one) => one.title === title));
  row.append(heading("row", "rowheader", [line("span", title), ...(under ? [line("small", under)] : [])]));
  for (const picture of pictures) {
    row.append(cell(packages.grid.find((one) => one.title === title && one.thumbnail === picture.id), answer, picture));
  }
  return row;
}

function cell(found, answer, { id, url }) {
  const { packages } = answer;
  const node = part("td", "cell");
  if (!found) {
    node.append(line("span", "–", "soft"));
    node.className = "empty";
    return node;
  }
  node.append(image(url, id));
  if (found.rank === null) {
    node.append(line("span", whyNotRanked(found, answer), "soft"));
    return node;
  }
  const best = isBest(found, { packages });
  node.className = best ? "best" : "";
  node.append(line("strong", `#${found.rank}`));
  if (found.win_probability !== null) node.append(line("span", percent(found.win_probability), "grid-chance"));
  if (best) node.append(line("small", "the best"));
  else if (found.margin !== null) node.append(line("small", `the best beats it: ${percent(found.margin)}`));
  if (found.why?.unknown === null) node.append(asker(found));
  return node;
}

// Return a button that shows why a package has its rank.
function asker(found) {
  const node = button("Why", "grid-why", () => explain(found, found.why));
  node.setAttribute("aria-label", `Why “${found.title}” with ${found.thumbnail}`);
  node.setAttribute("aria-controls", "packages-why");
  Object.assign(node.dataset, { title: found.title, picture: found.thumbnail });
  return node;
}

function part(tag, role) {
  const node = document.createElement(tag);
  node.setAttribute("role", role);
  return node;
}

function heading(scope, role, content) {
  const node = part("th", role);
  node.scope = scope;
  node.append(...content);
  return node;
}

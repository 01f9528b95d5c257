// The changes that people made, the latest first: the button that undoes the latest change, and the list with "un-merge".

import { button, byId, capital, line, moment } from "../dom.js";
import { newest } from "./feedback.js";
import { listChanges } from "./service.js";
import { changeWords } from "./words.js";

const MOST = 20;

let changes = [];
let asked = 0; // The number of the newest request. The answers of older requests are dropped.

// Return the change that an undo takes back, or null. A merge that was already taken back does not count.
export const latestChange = () => changes.find(({ reverted }) => !reverted) ?? null;

// Request and draw the changes again. `unmerge(change)` takes a merge back.
export async function drawChanges(unmerge) {
  asked += 1;
  const mine = asked;
  const answer = await newest(listChanges(MOST), () => mine === asked);
  if (answer === null) return;
  ({ changes } = answer);
  const latest = latestChange();
  byId("undo-what").textContent = latest === null ? "Nothing to undo" : `Undo: ${changeWords(latest)}`;
  byId("do-undo").disabled = latest === null;
  byId("no-changes").hidden = changes.length > 0;
  byId("change-list").replaceChildren(...changes.map((change) => drawn(change, unmerge)));
}

function drawn(change, unmerge) {
  const item = line("li", "");
  const words = capital(changeWords(change));
  item.append(line("span", words), line("small", `${moment(change.changed_at)}${change.reverted ? " · taken back" : ""}`));
  if (change.kind === "merge" && !change.reverted) {
    const back = button("Un-merge", "quiet", () => unmerge(change));
    back.setAttribute("aria-label", `Un-merge: ${words}`);
    item.append(back);
  }
  return item;
}

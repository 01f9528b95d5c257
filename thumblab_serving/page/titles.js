// The titles in the form: the first title, and the titles that a person adds to compare several.

import { button, byId, line } from "./dom.js";

const MOST_TITLES = 10; // The limit of the service, see `MAX_TITLES` in `schemas/request.py`.

let changed = () => {};

const added = () => [...byId("more-titles").querySelectorAll("input")];

// Return the titles in their order. Empty titles are included.
export const titles = () => [byId("title"), ...added()].map((input) => input.value.trim());

export function inputOf(position) {
  return position === 0 ? byId("title") : added()[position - 1];
}

// Show these titles in the form.
export function restoreTitles([first, ...others]) {
  byId("title").value = first;
  byId("more-titles").replaceChildren();
  for (const title of others) add(title);
  refresh();
}

export function wireTitles(callback) {
  changed = callback;
  byId("add-title").addEventListener("click", () => {
    add("").focus();
    refresh();
    changed();
  });
}

function add(title) {
  const [item, label, input] = [line("li"), document.createElement("label"), document.createElement("input")];
  input.type = "text";
  input.maxLength = 300;
  input.autocomplete = "off";
  input.value = title;
  label.append(line("span", ""), input);
  const remover = button("×", "remove", () => {
    const position = added().indexOf(input);
    item.remove();
    refresh();
    (added()[position] ?? byId("add-title")).focus();
    changed();
  });
  item.append(label, remover);
  byId("more-titles").append(item);
  return input;
}

// Number the titles again after one was added or removed.
function refresh() {
  [...byId("more-titles").children].forEach((item, row) => {
    item.querySelector("span").textContent = `Title ${row + 2}`;
    item.querySelector("button").setAttribute("aria-label", `Remove title ${row + 2}`);
  });
  byId("add-title").disabled = added().length + 1 >= MOST_TITLES;
}

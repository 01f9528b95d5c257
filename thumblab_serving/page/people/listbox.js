// A list in which arrow keys move and Space selects (the pattern "listbox" of WAI-ARIA). One Tab moves the focus into the list,
// and the next Tab moves it out.

import { line } from "../dom.js";

const STEPS = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: (columns) => -columns, ArrowDown: (columns) => columns };

export class Listbox {
  // `draw(item)` returns the content of an item. `mark(item)` returns a text that changes when the item must be drawn again.
  constructor(element, { draw, mark, open, changed }) {
    Object.assign(this, { element, draw, mark, open, changed });
    this.items = [];
    this.selected = new Set(); // The keys of the selected items.
    this.current = null; // The key of the item that gets the focus by Tab.
    element.addEventListener("keydown", (event) => this.#press(event));
    element.addEventListener("click", (event) => this.#click(event));
    element.addEventListener("focusin", (event) => this.#go(event.target.closest("[role=option]")?.dataset.key ?? null));
  }

  // Show these items, each with a `key`. Items that were shown before keep their elements, their selection and the focus.
  show(items, total = items.length) {
    const before = new Map([...this.element.children].map((node) => [node.dataset.key, node]));
    const place = this.place;
    this.items = items;
    const keys = new Set(items.map(({ key }) => key));
    for (const key of this.selected) if (!keys.has(key)) this.selected.delete(key);
    if (!keys.has(this.current)) this.current = items[Math.max(0, Math.min(place, items.length - 1))]?.key ?? null;
    const nodes = items.map((item, row) => this.#node(item, before.get(item.key), row, total));
    for (const [key, node] of before) if (!nodes.includes(node)) node.remove();
    nodes.forEach((node, row) => {
      if (this.element.children[row] !== node) this.element.insertBefore(node, this.element.children[row] ?? null);
    });
    this.element.hidden = items.length === 0; // A list without options is no valid listbox.
    this.#update();
  }

  // Return the row of the current item, or 0.
  get place() {
    return Math.max(0, this.items.findIndex(({ key }) => key === this.current));
  }

  // Return the selected items, or the current one if none is selected.
  get chosen() {
    const chosen = this.items.filter(({ key }) => this.selected.has(key));
    return chosen.length > 0 ? chosen : this.items.filter(({ key }) => key === this.current);
  }

  // Move the focus to the item with this key, or to the current item. Return whether there is such an item.
  focus(key = this.current) {
    const node = this.#nodeOf(key) ?? this.#nodeOf(this.current);
    if (!node) return false;
    this.#go(node.dataset.key);
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
    return true;
  }

  toggle(key = this.current, on = !this.selected.has(key)) {
    if (key === null) return;
    if (on) this.selected.add(key);
    else this.selected.delete(key);
    this.#update();
  }

  select(keys) {
    this.selected = new Set(keys);
    this.#update();
  }

  // Other items may have been selected while the answer about these was on its way, so they stay selected.
  unselect(keys) {
    for (const key of keys) this.selected.delete(key);
    this.#update();
  }

  #node(item, before, row, total) {
    const mark = this.mark(item);
    let node = before;
    if (!node || node.dataset.mark !== mark) {
      node = node ?? line("li", "");
      node.setAttribute("role", "option");
      Object.assign(node.dataset, { key: item.key, mark });
      node.replaceChildren(tick(), ...this.draw(item));
    }
    node.setAttribute("aria-posinset", row + 1);
    node.setAttribute("aria-setsize", total);
    return node;
  }

  #nodeOf(key) {
    return [...this.element.children].find((node) => node.dataset.key === key);
  }

  #go(key) {
    if (key === null || key === this.current) return;
    this.current = key;
    this.#update();
  }

  #update() {
    for (const node of this.element.children) {
      node.tabIndex = node.dataset.key === this.current ? 0 : -1;
      node.setAttribute("aria-selected", String(this.selected.has(node.dataset.key)));
    }
    this.changed();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.items.length - 1;
    let row = null;
    if (event.key in STEPS) row = this.place + STEPS[event.key](this.#columns());
    else if (event.key === "Home") row = 0;
    else if (event.key === "End") row = last;
    else if (event.key === " ") this.toggle();
    else if (event.key === "Enter") this.open(this.items[this.place]);
    else return;
    event.preventDefault();
    if (row === null || row < 0 || row > last) return;
    if (event.shiftKey) for (const key of [this.current, this.items[row].key]) this.toggle(key, true);
    this.focus(this.items[row].key);
  }

  #click(event) {
    const node = event.target.closest("[role=option]");
    if (!node) return;
    this.focus(node.dataset.key);
    if (event.target.closest(".tick") || event.ctrlKey || event.metaKey || event.shiftKey) this.toggle(node.dataset.key);
    else this.open(this.items[this.place]);
  }

  #columns() {
    const [first, ...others] = [...this.element.children].map((node) => node.offsetTop);
    const below = others.findIndex((top) => top > first);
    return below === -1 ? this.items.length : below + 1;
  }
}

// Return a field with which a mouse or a finger selects an option. Screen readers read from the option itself whether it is
// selected, so the field is hidden from them.
function tick() {
  const node = line("span", "✓", "tick");
  node.setAttribute("aria-hidden", "true");
  return node;
}

// Small functions that build and find elements. Text from the service or from a file is only ever set as textContent, so
// it cannot become HTML.

export const byId = (id) => document.getElementById(id);

export const percent = (value) => `${Math.round(value * 100)}%`;

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function line(tag, text, className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

export function button(text, className, onClick) {
  const node = line("button", text, className);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

export function image(url, alt = "") {
  const node = document.createElement("img");
  node.src = url;
  node.alt = alt;
  return node;
}

// Show the text in the element, and hide the element if there is no text.
export function say(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

// Return a text of others without the characters that change the direction of what follows them.
export const undirected = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");

// Return a text of others as a part of a sentence: letters from right to left do not turn the rest of it around.
export const isolated = (text) => `\u2068${undirected(text)}\u2069`;

export function bytes(count) {
  return count < 2 ** 20 ? `${Math.ceil(count / 2 ** 10)} KiB` : `${Number((count / 2 ** 20).toFixed(1))} MiB`;
}

// Return the moment in the words of the reader's own language and time zone.
export function moment(iso) {
  return new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

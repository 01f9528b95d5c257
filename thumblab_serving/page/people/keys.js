// The keys of the page. They do nothing while a person types, and can be switched off (WCAG 2.1.4).

import { byId } from "../dom.js";

const ON = "thumblab-people-keys"; // localStorage remembers under this name that the letter keys are off.
const BUTTONS = { n: "do-name", m: "do-merge", s: "do-split", v: "do-move", x: "do-not", u: "do-undo", "?": "do-keys" };

let on = read();

// `escape` closes what is open. `formIsOpen` returns whether a form is open. While a form is open, the letter keys do nothing, so
// that no input is lost. `unavailable(key)` is called if the button of a key cannot be used now.
export function wireKeys({ escape, formIsOpen, unavailable }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      escape();
      return;
    }
    const id = BUTTONS[event.key];
    if (!on || id === undefined || formIsOpen() || event.target.closest("input, select, textarea, [contenteditable]")) return;
    event.preventDefault();
    if (byId(id).checkVisibility() && !byId(id).disabled) byId(id).click();
    else unavailable(event.key);
  });
  byId("do-keys").addEventListener("click", () => byId("keys").showModal());
  byId("keys-close").addEventListener("click", () => byId("keys").close());
  byId("keys-on").addEventListener("change", (event) => set(event.target.checked));
  byId("keys-on").checked = on;
  mark();
}

// Show on the buttons which keys work, also for screen readers.
function mark() {
  document.body.classList.toggle("keys-off", !on);
  for (const [key, id] of Object.entries(BUTTONS)) {
    if (on) byId(id).setAttribute("aria-keyshortcuts", key);
    else byId(id).removeAttribute("aria-keyshortcuts");
    byId(id).querySelector("kbd").className = "letter";
  }
}

function set(value) {
  on = value;
  mark();
  try {
    if (on) localStorage.removeItem(ON);
    else localStorage.setItem(ON, "off");
  } catch {
    // If the browser stores nothing for this page, the keys are on again at the next visit.
  }
}

function read() {
  try {
    return localStorage.getItem(ON) !== "off";
  } catch {
    return true;
  }
}

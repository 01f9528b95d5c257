// The API key comes from the URL's fragment, which is never sent to a server. It is kept for this tab only.

import { byId } from "./dom.js";
import { forgetForTab, keepForTab, keptForTab } from "./tab_memory.js";

const KEY_NAME = "thumblab-key"; // The tab keeps the API key under this name.
export const NO_KEY = "Give the API key, or open the link that the lab's owner sent you.";

// Each form has a field for the key, which is shown while there is no key. The page of people has one of the two fields.
const FIELDS = ["key", "channel-key"].filter((field) => byId(field) !== null);

const listeners = [];

// Call `listener` when a person gives a key: in one of the fields, or by a link.
export function onKeyGiven(listener) {
  listeners.push(listener);
  for (const field of FIELDS) byId(field).addEventListener("change", () => currentKey() && listener());
}

export function takeKey() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    keepForTab(KEY_NAME, key);
    history.replaceState(null, "", location.pathname + location.search);
  }
  showKeyField(!keptForTab(KEY_NAME));
  if (key) for (const listener of listeners) listener();
}

export function showKeyField(visible) {
  for (const field of FIELDS) {
    byId(`${field}-field`).hidden = !visible;
    if (!visible) byId(field).value = "";
  }
}

export function currentKey() {
  const typed = FIELDS.map((field) => byId(field).value.trim()).find(Boolean);
  if (typed) keepForTab(KEY_NAME, typed);
  return keptForTab(KEY_NAME);
}

export function forgetKey() {
  forgetForTab(KEY_NAME);
  showKeyField(true);
  FIELDS.map(byId).find((field) => field.checkVisibility())?.focus();
}

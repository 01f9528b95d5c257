// The message after an operation, and the element that gets the focus.

import { byId, say } from "../dom.js";
import { sentence } from "../for_operators.js";
import { NO_KEY, currentKey, showKeyField } from "../key.js";

// Show what was done. `openable`: a function that opens the result. A button beside the sentence calls it.
export function done(text, openable = null) {
  clearProblems();
  byId("said").textContent = text && sentence(text);
  byId("follow-up").hidden = openable === null;
  byId("follow-up").onclick = openable;
}

function clearProblems() {
  for (const id of ["problem", "change-problem"]) say(id, "");
}

// Show why something did not work, in the element `id` of an open form, or else beside the buttons, which are always in sight. If
// the key is the reason, move the focus to the field for the key.
export function failed(error, id = "change-problem") {
  done("");
  const isOpen = byId(id).parentElement.checkVisibility();
  say(isOpen ? id : byId("browse").hidden ? "problem" : "change-problem", sentence(error.message));
  if (error.status === 401 || error.status === 403) askForKey();
}

export function askForKey() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  showKeyField(true);
  byId("key").focus();
}

// Return whether the page has a key. If not, move the focus to the field for the key.
export function hasKey() {
  if (currentKey()) return true;
  say("problem", NO_KEY);
  askForKey();
  return false;
}

// Return whether a late answer may move the focus: the focus is still on the element `before`, or on no element.
export const staysAt = (before) => [before, document.body, null].includes(document.activeElement);

// If the focused element is gone, no element has the focus. Then move the focus to the first of `places` that can get it.
export function settleFocus(...places) {
  const active = document.activeElement;
  if (active && active !== document.body && active.checkVisibility() && !active.disabled) return;
  for (const place of places) if (place()) return;
}

export function focusOn(id) {
  const node = byId(id);
  if (!node.checkVisibility() || node.disabled) return false;
  node.focus();
  return true;
}

// Return the answer of a request. Return null if the page no longer needs the answer, even if the request failed.
export async function newest(request, isWanted) {
  try {
    const answer = await request;
    return isWanted() ? answer : null;
  } catch (error) {
    if (isWanted()) throw error;
    return null;
  }
}

let working = false;

// Make a change to people. Only one change is made at a time. Return whether it was done. An error is shown in `problemId`, or
// beside the buttons if its form is no longer open (`isOpen`). Nothing that was entered or selected is lost.
export async function attempt(work, problemId = "change-problem", isOpen = () => true) {
  if (working || !hasKey()) return false;
  working = true;
  clearProblems();
  say(problemId, "");
  byId("browse").setAttribute("aria-busy", "true");
  try {
    await work();
    return true;
  } catch (error) {
    failed(error, isOpen() ? problemId : undefined);
    return false;
  } finally {
    working = false;
    byId("browse").setAttribute("aria-busy", "false");
  }
}

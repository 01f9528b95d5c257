// The channel, its title and the niche of the last comparison. The browser stores them, so that the next comparison begins with them. A link
// such as /?niche=gaming names another niche.

import { byId } from "./dom.js";
import { chooseNiche, nicheOfAddress } from "./niche_menu.js";

const LAST = "thumblab-last-asked"; // localStorage keeps {channel, title, niche} under this name.

// `title`: the title of the channel, or null. A map of a library knows a channel only by its title.
export function rememberAsked({ channel, niche }, title) {
  try {
    localStorage.setItem(LAST, JSON.stringify({ channel, title, niche }));
  } catch {
    // If the browser stores nothing for this page, the next visit begins with an empty form.
  }
}

export function restoreAsked() {
  let last = null;
  try {
    last = JSON.parse(localStorage.getItem(LAST));
  } catch {
    // See the comment in `rememberAsked`. A damaged entry counts as missing.
  }
  if (typeof last?.channel === "string") byId("channel").value = last.channel;
  chooseNiche(byId("niche"), nicheOfAddress() ?? last?.niche);
}

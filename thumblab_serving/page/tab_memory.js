// Texts that are kept for this tab. They stay when the page is loaded again, unless the browser stores nothing for this page.

const held = new Map(); // What the page remembers itself, while the browser refuses to store it.

export function keepForTab(name, text) {
  try {
    sessionStorage.setItem(name, text);
    held.delete(name);
  } catch {
    held.set(name, text); // The text is then kept until the page is closed.
  }
}

export function forgetForTab(name) {
  held.delete(name);
  try {
    sessionStorage.removeItem(name);
  } catch {
    // See the comment in `keepForTab`.
  }
}

// Return what is kept under this name, or null.
export function keptForTab(name) {
  if (held.has(name)) return held.get(name);
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

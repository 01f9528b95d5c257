// Pictures of faces. They need the API key in a header, so the page fetches them itself, and only those that are in sight.

import { currentKey } from "../key.js";
import { cropPath } from "./service.js";

const AT_ONCE = 4; // The service cuts two crops at a time, and a request is on its way meanwhile.
const KEPT = 2000; // At most so many crops are kept in memory. The browser itself may not store any.
const TRIES = 3;

const kept = new Map(); // The object URL of each crop, by the id of the face.
const waiting = [];
let running = 0;

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.inSight = isIntersecting;
      if (isIntersecting && !target.isWaiting) {
        target.isWaiting = true;
        waiting.push(target);
      }
    }
    next();
  },
  { rootMargin: "300px" },
);

// Return an image of a face, which is loaded when it comes into sight.
export function crop(faceId) {
  const node = document.createElement("img");
  node.alt = "";
  node.width = node.height = 112;
  node.className = "face-crop";
  node.dataset.face = faceId;
  if (kept.has(faceId)) node.src = kept.get(faceId);
  else observer.observe(node);
  return node;
}

function next() {
  while (running < AT_ONCE && waiting.length > 0) {
    const node = waiting.shift();
    node.isWaiting = false;
    if (!node.inSight || !node.isConnected) continue; // It was scrolled past. The observer tells when it is back.
    running += 1;
    load(node).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function load(node) {
  const id = node.dataset.face;
  observer.unobserve(node);
  try {
    if (!kept.has(id)) keep(id, URL.createObjectURL(await picture(cropPath(id))));
    node.src = kept.get(id);
  } catch {
    node.classList.add("is-missing"); // The sheet says in words what it is. Its other faces may still be shown.
  }
}

// Try the crops again that could not be loaded, because a new key was given, or a person asked for it.
export function retryCrops() {
  for (const node of document.querySelectorAll(".face-crop.is-missing")) {
    node.classList.remove("is-missing");
    observer.observe(node);
  }
}

function keep(id, url) {
  kept.set(id, url);
  if (kept.size <= KEPT) return;
  const [oldest, old] = kept.entries().next().value;
  kept.delete(oldest);
  URL.revokeObjectURL(old); // An image that shows it already keeps it.
}

// Return the picture at a path of the service. If the service has too much to do, try again when it says.
export async function picture(path) {
  for (let tried = 1; ; tried += 1) {
    const reply = await fetch(path, { headers: { "X-API-Key": currentKey() ?? "" }, cache: "no-store" });
    if (reply.ok) return reply.blob();
    if (![429, 503].includes(reply.status) || tried === TRIES) {
      const answer = await reply.json().catch(() => null);
      throw new Error(answer?.detail ?? `The service answered with status ${reply.status} and gave no reason.`);
    }
    const seconds = Math.min(Number(reply.headers.get("Retry-After")) || 2, 60);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

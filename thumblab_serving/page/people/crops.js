// Pictures of faces. They need the API key in a header, so the page fetches them itself, and only those that are in sight.

import { currentKey } from "../key.js";
import { cropsPath } from "./service.js";

const AT_ONCE = 2; // The service answers two requests at a time.
const TOGETHER = 12; // The crops of one request. Larger requests save time, but the first crops come later.
const KEPT = 2000; // The maximum number of crops in memory. The service forbids the browser to store crops.
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
    const nodes = [];
    while (nodes.length < TOGETHER && waiting.length > 0) {
      const node = waiting.shift();
      node.isWaiting = false;
      if (node.inSight && node.isConnected) nodes.push(node); // Otherwise, the observer reports when it is in sight again.
    }
    if (nodes.length === 0) return;
    running += 1;
    load(nodes).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function load(nodes) {
  for (const node of nodes) observer.unobserve(node);
  const wanted = [...new Set(nodes.map(({ dataset }) => dataset.face))].filter((id) => !kept.has(id));
  const urls = new Map(nodes.map(({ dataset }) => [dataset.face, kept.get(dataset.face)]));
  try {
    const { crops } = wanted.length === 0 ? { crops: [] } : await (await patient(cropsPath(wanted))).json();
    for (const { face_id: id, image_base64: text } of crops) urls.set(id, keep(id, jpegUrl(text)));
  } catch {
    // The faces without an entry in `urls` are marked below.
  }
  for (const node of nodes) {
    const url = urls.get(node.dataset.face);
    if (url) node.src = url;
    else node.classList.add("is-missing"); // The text of the sheet names the cluster. Its other faces may still be shown.
  }
}

function jpegUrl(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}

// Load the crops again that could not be loaded. Call this after a person gave a new key or pressed "Try again".
export function retryCrops() {
  for (const node of document.querySelectorAll(".face-crop.is-missing")) {
    node.classList.remove("is-missing");
    observer.observe(node);
  }
}

function keep(id, url) {
  kept.set(id, url);
  if (kept.size > KEPT) {
    const [oldest, old] = kept.entries().next().value;
    kept.delete(oldest);
    URL.revokeObjectURL(old); // An image that already shows the crop does not lose it.
  }
  return url;
}

// Return the picture at a path of the service.
export const picture = async (path) => (await patient(path)).blob();

// Return the answer of the service at a path. If the service is too busy, try again after the time in its answer.
async function patient(path) {
  for (let tried = 1; ; tried += 1) {
    const reply = await fetch(path, { headers: { "X-API-Key": currentKey() ?? "" }, cache: "no-store" });
    if (reply.ok) return reply;
    if (![429, 503].includes(reply.status) || tried === TRIES) {
      const answer = await reply.json().catch(() => null);
      throw new Error(answer?.detail ?? `The service answered with status ${reply.status} and gave no reason.`);
    }
    const seconds = Math.min(Number(reply.headers.get("Retry-After")) || 2, 60);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

// The requests about the map. Each function returns the answer, or throws an error with a message for people.

import { currentKey } from "../key.js";
import { call, sendFiles } from "../service.js";

const RELEASE = "X-Thumblab-Release"; // The header that names the release of a map.
const TRIES = 3;
const MOST_WAIT_S = 60;

const path = (niche, rest) => `v1/library/${encodeURIComponent(niche)}/${rest}`;

export const atlasesOf = (niche) => call(path(niche, "map/atlases"), {}, true);
export const clustersOf = (niche) => call(path(niche, "clusters"), {}, true);
export const videoOf = (id) => call(`v1/videos/${encodeURIComponent(id)}`, {}, true);

// Return the points of a map as the bytes of an Arrow file, and the release that they are of.
export async function pointsOf(niche) {
  const reply = await bytes(path(niche, "map"));
  return { buffer: await reply.arrayBuffer(), release: reply.headers.get(RELEASE) };
}

export async function tileOf(niche, level, x, y) {
  const reply = await bytes(path(niche, `map/tiles/${level}/${x}/${y}`));
  return { buffer: await reply.arrayBuffer(), release: reply.headers.get(RELEASE) };
}

export async function atlasPage(niche, sha256) {
  return (await bytes(path(niche, `map/atlases/${sha256}`))).blob();
}

// Return a thumbnail that a video has, or had before.
export async function versionOf(id, sha256) {
  return (await bytes(`v1/videos/${encodeURIComponent(id)}/thumbnails/${sha256}`)).blob();
}

// Find videos like a query: {text}, {text, text_by} or {video_id}. `filters` are fields of `/v1/similar`.
export function similar(query, filters) {
  const headers = { "Content-Type": "application/json" };
  return call("v1/similar", { method: "POST", headers, body: JSON.stringify({ ...query, ...filters }) }, true);
}

export function similarToPicture(file, filters) {
  const form = new FormData();
  for (const [name, value] of Object.entries(filters)) form.append(name, value);
  const name = file.name || "picture";
  form.append("picture", file, name);
  return sendFiles("v1/similar", form, [{ file, name }]);
}

// Return the reply with the bytes at an address. If the service is too busy, try again after the time in its answer.
async function bytes(address) {
  for (let tried = 1; ; tried += 1) {
    let reply;
    try {
      reply = await fetch(address, { headers: { "X-API-Key": currentKey() ?? "" } });
    } catch {
      throw new Error("The service cannot be reached. Is it running?");
    }
    if (reply.ok) return reply;
    if (![429, 503].includes(reply.status) || tried === TRIES || !reply.headers.has("Retry-After")) {
      const answer = await reply.json().catch(() => null);
      const error = new Error(answer?.detail ?? `The service answered with status ${reply.status} and gave no reason.`);
      throw Object.assign(error, { status: reply.status, type: answer?.type });
    }
    const seconds = Math.min(Number(reply.headers.get("Retry-After")) || 2, MOST_WAIT_S);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

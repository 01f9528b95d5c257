// The requests to the service. Each function returns the answer, or throws an error with a message for people.

import { withoutPeople } from "./comparisons.js";
import { currentKey, forgetKey } from "./key.js";

const WRONG_KEY =
  "This link is no longer valid, because its API key is not known here. Open the link again that the lab's owner sent you (`thumblab up` prints it).";

// Return the answer to the question about the pictures. The page does not show who is seen, so the service does not search for
// people.
export async function rank(question, pictures, signal) {
  const form = new FormData();
  if (question.titles.length === 1) form.append("title", question.title);
  else for (const title of question.titles) form.append("titles", title);
  form.append("category", question.niche);
  if (question.channel) form.append("channel_id", question.channel);
  for (const { file, name } of pictures) form.append("thumbnails", file, name);
  if (pictures.some(({ title }) => title)) for (const { title } of pictures) form.append("thumbnail_titles", title);
  return withoutPeople(await call("v1/score?people=false", { method: "POST", body: form, signal }, true));
}

// Store what a test on YouTube showed. `files` are the tested pictures, in the order of the variants.
export function storeExperiment(experiment, files) {
  const form = new FormData();
  form.append("experiment", JSON.stringify(experiment));
  for (const file of files) form.append("pictures", file, file.name);
  return call("v1/experiments", { method: "POST", body: form }, true);
}

export function libraryPictures(ids) {
  const query = new URLSearchParams(ids.map((id) => ["video_id", id]));
  return call(`v1/library/pictures?${query}`, {}, true);
}

export function labState() {
  return call("v1/lab", {}, true);
}

// Send the exports of a channel. Returns the import, which the lab then works on.
export function addChannel(files, { name, niche, columns }) {
  const form = new FormData();
  if (name) form.append("name", name);
  if (niche) form.append("niche", niche);
  if (Object.keys(columns).length > 0) form.append("columns", JSON.stringify(columns));
  for (const file of files) form.append("exports", file, file.name);
  return call("v1/channels", { method: "POST", body: form }, true);
}

export function channelImport(id) {
  return call(`v1/channels/runs/${id}`, {}, true);
}

// Return the imports of this key, the newest first.
export async function channelImports() {
  return (await call("v1/channels/runs", {}, true)).imports;
}

export function knownChannels() {
  return call("v1/channels", {}, true);
}

export function health() {
  return call("health", {}, false);
}

// Return the answer of the service at a path. `withKey`: whether the request needs the API key.
export async function call(path, options, withKey) {
  const key = withKey ? (currentKey() ?? "") : "";
  let reply;
  try {
    reply = await fetch(path, withKey ? { ...options, headers: { ...options.headers, "X-API-Key": key } } : options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached. Is it running?");
  }
  let answer = null;
  try {
    answer = await reply.json();
  } catch {
    // A proxy may answer with its own page. The message then gives only the status.
  }
  // A person may have given another key since.
  if (reply.status === 401 && (currentKey() ?? "") === key) forgetKey();
  if (!reply.ok || answer === null) {
    const detail = typeof answer?.detail === "string" ? answer.detail : "";
    const reason = reply.status === 401 && key ? WRONG_KEY : detail;
    const error = new Error(reason || `The service answered with status ${reply.status} and gave no reason.`);
    throw Object.assign(error, { status: reply.status, type: answer?.type });
  }
  return answer;
}

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
  return withoutPeople(await sendFiles("v1/score?people=false", form, pictures, signal));
}

// Store what a test on YouTube showed. `files` are the tested pictures, in the order of the variants.
export function storeExperiment(experiment, files) {
  const form = new FormData();
  form.append("experiment", JSON.stringify(experiment));
  for (const file of files) form.append("pictures", file, file.name);
  return sendFiles("v1/experiments", form, files.map(named));
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
  return sendFiles("v1/channels", form, files.map(named));
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

const named = (file) => ({ file, name: file.name });

// Send a form with files, and return the answer. The browser cannot send a file that was saved again after a person chose it, as
// an edited picture is. Its error does not say so, so the files are then checked.
export async function sendFiles(path, form, files, signal) {
  try {
    return await call(path, { method: "POST", body: form, signal }, true);
  } catch (error) {
    const changed = error.isUnreachable ? await unreadable(files) : [];
    if (changed.length === 0) throw error;
    const [were, them] = changed.length === 1 ? ["was", "it"] : ["were", "them"];
    throw new Error(`${changed.join(", ")} ${were} changed, moved or deleted on this computer after you chose ${them}. Remove ${them} here, and choose ${them} again.`);
  }
}

// Return the names of the files that the browser can no longer read.
async function unreadable(files) {
  const canRead = await Promise.all(files.map(({ file }) => file.slice(0, 1).arrayBuffer().then(() => true, () => false)));
  return files.filter((_, row) => !canRead[row]).map(({ name }) => name);
}

// Return the answer of the service at a path. `withKey`: whether the request needs the API key.
export async function call(path, options, withKey) {
  const key = withKey ? (currentKey() ?? "") : "";
  let reply;
  try {
    reply = await fetch(path, withKey ? { ...options, headers: { ...options.headers, "X-API-Key": key } } : options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The service cannot be reached. Is it running?"), { isUnreachable: true });
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

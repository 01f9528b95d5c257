// Start the runs of Dagster that find faces, group them and train, and follow them.

import { byId, capital, line, say } from "../dom.js";
import { sentence } from "../for_operators.js";
import { forgetForTab, keepForTab, keptForTab } from "../tab_memory.js";
import { nicheName } from "../words.js";
import { askForKey, hasKey, newest } from "./feedback.js";
import { figures, runState, start } from "./service.js";
import { plural } from "./words.js";

const POLL_MS = 2000;
const PATIENT_MS = 10000; // The pause while the state of the runs cannot be read.
const FOLLOWED = "thumblab-people-runs"; // The tab keeps the runs that the page follows under this name.
const WORK = {
  detect: ["detect", "Find faces"],
  cluster: ["cluster/dual", "Group again"],
  train: ["train", "Train"],
};
const ENDED = { success: "done", failure: "failed", canceled: "canceled", not_started: "not started" };

let ended = () => {};
let timer = null;
let isOff = false;
let starting = false;
let asked = 0; // The number of the newest request for the figures. The answers of older requests are dropped.

export function wireRuns(onEnded) {
  ended = onEnded;
  for (const name of Object.keys(WORK)) byId(`run-${name}`).addEventListener("click", () => begin(name));
  if (followed() !== null) follow();
}

export async function drawFigures() {
  asked += 1;
  const mine = asked;
  const found = await newest(figures(), () => mine === asked);
  if (found === null) return;
  isOff = found.mode === "off";
  byId("off").hidden = !isOff;
  byId("off-kept").hidden = found.faces === 0;
  byId("work").hidden = false;
  const searched = found.pictures === 0 ? "No picture was searched for faces yet" : `${plural(found.faces, "face")} in ${plural(found.pictures, "picture")}`;
  const places = [
    [found.faces_in_people, `of ${plural(found.people, "named person", "named people")}`],
    [found.faces_in_unknown_clusters, `in ${plural(found.unknown_clusters, "unknown cluster")}`],
    [found.faces_in_none, "in no cluster"],
  ];
  const where = places.filter(([count]) => count > 0).map(([count, place]) => `${count.toLocaleString("en")} ${place}`);
  byId("figures").textContent = where.length === 0 ? `${searched}.` : `${searched}: ${where.join(", ")}.`;
  lock();
}

// No run may be started while the search for people is off, or before the present run of this page has ended.
function lock() {
  for (const name of Object.keys(WORK)) byId(`run-${name}`).disabled = isOff || starting || followed() !== null;
}

async function begin(name) {
  if (starting || !hasKey()) return;
  const [path, words] = WORK[name];
  starting = true;
  say("run-problem", "");
  say("run-state", `${words}: it is being started.`);
  try {
    const { runs } = await start(path);
    keep({ name, runs: runs.map(({ niche, run_id: id, state, reason }) => ({ niche, id, state, reason })) });
    follow();
  } catch (error) {
    say("run-state", "");
    say("run-problem", `${words}: ${error.message}`.replace(/([^.!?])$/, "$1."));
    if (error.status === 401 || error.status === 403) askForKey();
  } finally {
    starting = false;
    lock();
  }
}

async function follow() {
  clearTimeout(timer);
  lock();
  const { name, runs } = followed();
  let pause = POLL_MS;
  try {
    for (const run of runs) {
      if (run.id !== null && !(run.state in ENDED)) Object.assign(run, told(await runState(run.id)));
    }
    keep({ name, runs });
    say("run-problem", "");
  } catch (error) {
    if ([401, 403, 404].includes(error.status)) return stop(error);
    say("run-problem", `The state of the run cannot be read: ${sentence(error.message)} The page asks again.`);
    pause = PATIENT_MS;
  }
  drawState(name, runs);
  if (runs.some(({ state }) => !(state in ENDED))) timer = setTimeout(follow, pause);
  else {
    keep(null);
    lock();
    ended();
  }
}

const told = ({ state, reason, url, people, progress }) => ({ state, reason, url, people, progress });

function stop(error) {
  keep(null);
  lock();
  say("run-state", "");
  drawProgress(null);
  say("run-problem", sentence(error.message));
}

function drawState(name, runs) {
  const [, words] = WORK[name];
  const over = runs.filter(({ state }) => state in ENDED);
  const failures = over.filter(({ state }) => state !== "success");
  let text = `${words}: done. ${resultWords(runs)}`.trim();
  if (over.length < runs.length) {
    const begun = runs.some(({ state }) => state === "running");
    const count = runs.length > 1 ? ` ${over.length} of ${runs.length} niches are done.` : "";
    text = `${words}: ${begun ? "running" : "waiting for its turn"}.${count}`;
  } else if (failures.length > 0) text = `${words}: ${failures.length === runs.length ? "it did not work" : "it worked in part"}.`;
  if (byId("run-state").textContent !== text) say("run-state", text);
  drawProgress(runs.find(({ state, progress }) => state === "running" && progress)?.progress);
  if (failures.length > 0) {
    say("run-problem", " ");
    byId("run-problem").replaceChildren(...failures.map((run) => line("span", failureWords(run), "failure")));
  }
}

// Show how far the work is. Screen readers do not read each step aloud. They read only changes of the state of the run.
function drawProgress(progress) {
  byId("run-progress").hidden = !progress;
  if (!progress) return;
  const { what, done, total } = progress;
  byId("run-progress").firstChild.textContent = `${capital(what)}: ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  byId("run-bar").max = Math.max(total, 1);
  byId("run-bar").value = done;
}

// Return what the runs did, in sentences. A run that reported nothing is left out.
function resultWords(runs) {
  const reported = runs.map(({ people }) => people ?? {});
  const sum = (part, field) => reported.reduce((total, people) => total + (people[part]?.[field] ?? 0), 0);
  const did = (part) => reported.some((people) => people[part]);
  const sentences = [];
  if (did("detected")) sentences.push(`Searched ${plural(sum("detected", "searched"), "picture")} and found ${plural(sum("detected", "new_faces"), "new face")}.`);
  sentences.push(...reported.filter(({ trained }) => trained?.reason).map(({ trained }) => sentence(trained.reason)));
  if (did("grouped")) sentences.push(`Moved ${plural(sum("grouped", "moved"), "face")} and made ${plural(sum("grouped", "new"), "new cluster")}.`);
  return sentences.join(" ");
}

function failureWords({ niche, state, reason }) {
  const where = niche === null || niche === undefined ? "" : `${nicheName(niche)}: `;
  return `${where}${ENDED[state]}. ${reason ? sentence(reason) : "Dagster has the log of the run."}`;
}

function keep(value) {
  if (value === null) forgetForTab(FOLLOWED);
  else keepForTab(FOLLOWED, JSON.stringify(value));
}

const followed = () => JSON.parse(keptForTab(FOLLOWED));

// How an import of exports and the channels that the lab has learnt are shown.

import { button, byId, capital, line, percent, say } from "./dom.js";
import { NICHES } from "./words.js";

const TITLES = { queued: "Waiting for its turn", running: "Learning from your channel", done: "The lab has learnt your channel", failed: "The lab could not learn your channel" };
const SAY_AGAIN_MS = 5000; // A screen reader is not told about every picture.

let saidStep = "";
let saidAt = 0;
let drawnNotes = ""; // What the notes show. They are drawn again only if it changes, because a person may have opened them.

// Draw an import, which is an answer of /v1/channels/runs. `onColumns` is called with the tables whose columns a person
// wants to choose.
export function drawImport(answer, onColumns) {
  const { state, imported, fitted } = answer;
  byId("learning").hidden = false;
  byId("learning").dataset.state = state;
  byId("learning-title").textContent = state === "done" ? `The lab has learnt ${imported.title}` : TITLES[state];
  drawNow(answer);
  byId("learning-steps").hidden = state === "done";
  byId("learning-steps").replaceChildren(...answer.steps.map(step));
  byId("learnt").hidden = imported === null;
  if (imported === null) return;
  const done = state === "done";
  say("learnt-skill", done ? skillOf(fitted) : "");
  say("learnt-skill-why", done ? meaningOf(fitted) : "");
  byId("learnt-facts").replaceChildren(...factsOf(imported, fitted).map(fact));
  const notes = JSON.stringify([answer.id, imported.refused, imported.remarks, answer.notes]);
  if (notes !== drawnNotes) {
    drawnNotes = notes;
    byId("learnt-notes").replaceChildren(...notesOf(answer, onColumns));
  }
  byId("compare-for-channel").hidden = !done;
}

function drawNow({ state, steps, reason }) {
  const last = steps.at(-1);
  let words = reason ?? "";
  if (state === "queued") words = reason ?? "Dagster starts the work in a few seconds.";
  else if (state === "running" && !reason) words = last ? `${capital(last.name)}: ${last.done} of ${last.total}` : "It begins.";
  else if (reason) words = `${capital(reason)}.`.replace(/\.\.$/, ".");
  const key = `${state} ${last?.name} ${reason}`;
  if (key === saidStep && Date.now() - saidAt < SAY_AGAIN_MS) return;
  saidStep = key;
  saidAt = Date.now();
  byId("learning-now").classList.toggle("problem", state === "failed");
  say("learning-now", words);
}

function step({ name, done, total }) {
  const item = line("li", "", done >= total ? "done" : "");
  const bar = document.createElement("progress");
  bar.max = Math.max(1, total);
  bar.value = total === 0 ? 1 : done;
  bar.setAttribute("aria-label", capital(name));
  item.append(line("span", capital(name)), line("span", `${done} of ${total}`, "count"), bar);
  return item;
}

// Return what the lab would have got right on the channel's own past, as a sentence.
export function skillOf({ adapted, videos, skill }) {
  if (!adapted) return `Only ${videos} of your videos can be used, and five are needed. Answers are not adapted to your channel yet.`;
  if (skill === null) return "Your newest videos are too few to tell how often it would have been right on them.";
  return `On your last ${skill.videos} videos it would have ordered ${hundredths(skill.right)} of 100 pairs right.`;
}

const hundredths = (share) => Math.round(100 * share);

function meaningOf({ adapted, skill }) {
  if (!adapted || skill === null) return "";
  const interval = `The 95 % interval is ${hundredths(skill.low)} to ${hundredths(skill.high)}, from ${skill.pairs.toLocaleString("en")} pairs.`;
  const chance = skill.low > 0.5 ? "That is better than chance." : "That may be chance.";
  const alone = `The model alone, without the adaptation to your channel, orders ${hundredths(skill.right_unadapted)} right.`;
  const helps = skill.gained_low > 0 ? "So the adaptation helps." : skill.gained > 0 ? "The adaptation seems to help, but that may be chance." : "The adaptation does not help so far.";
  return [interval, chance, alone, helps, "The pairs are videos with different pictures and titles. How sure an answer about pictures under one title is, each answer says itself."].join(" ");
}

function factsOf(imported, fitted) {
  const ctr = imported.usual_ctr === null ? "" : `. Of all impressions, ${(100 * imported.usual_ctr).toFixed(1)}% are clicked`;
  return [
    ["Videos", `${imported.videos}, ${imported.new} of them new to the lab`, []],
    ["Niche", NICHES[imported.niche] ?? imported.niche, []],
    ["Not imported", sum(imported.left_out), reasons(imported.left_out)],
    ["Thumbnails", `${imported.pictures}, ${imported.downloaded} of them downloaded now`, []],
    ["Without a thumbnail", imported.without_picture, missingOf(imported)],
    ["True click-through rate", `known for ${imported.with_ctr} videos${ctr}`, []],
    ...(fitted === null ? [] : [["Learnt from", `${fitted.videos} videos`, []], ["Not used", sum(fitted.left_out), reasons(fitted.left_out)]]),
  ].filter(([, value]) => value !== 0);
}

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
const reasons = (counts) => Object.entries(counts).map(([reason, count]) => `${count}: ${reason}`);

function missingOf({ missing, without_picture }) {
  const more = without_picture - missing.length;
  return more > 0 ? [...missing, `and ${more} more`] : missing;
}

function fact([name, value, items]) {
  const node = document.createElement("div");
  const meaning = line("dd", String(value));
  if (items.length > 0) {
    const list = document.createElement("ul");
    list.append(...items.map((text) => line("li", text)));
    meaning.append(list);
  }
  node.append(line("dt", name), meaning);
  return node;
}

// Failures are shown at once, and remarks on request.
function notesOf({ imported, notes }, onColumns) {
  const nodes = imported.refused.map((text) => line("p", `Not read: ${text}`, "problem"));
  const others = [...imported.remarks, ...notes];
  if (others.length > 0) {
    const details = document.createElement("details");
    const list = document.createElement("ul");
    list.append(...others.map((text) => line("li", capital(text))));
    details.append(line("summary", "What else was noticed"), list);
    if (imported.tables.length > 0) details.append(button("Choose the columns by hand", "quiet", () => onColumns(imported.tables)));
    nodes.push(details);
  }
  return nodes;
}

// Draw the channels that the lab has learnt. `onCompare` is called with the id and the niche of one.
export function drawKnown(channels, onCompare) {
  byId("known").hidden = channels.length === 0;
  byId("known-channels").replaceChildren(...channels.map((channel) => known(channel, onCompare)));
}

function known({ channel_id, title, niche, videos, newest, in_use, reason, skill }, onCompare) {
  const item = line("li", "", "panel past");
  const until = newest === null ? "" : `, the newest of ${new Date(newest).toLocaleDateString(undefined, { dateStyle: "medium" })}`;
  const act = button("Compare for it", "quiet", () => onCompare(channel_id, niche));
  act.setAttribute("aria-label", `Compare for ${title}`);
  item.append(line("h4", title), line("p", `Learnt from ${videos} videos${until}.`, "soft"));
  if (skill !== null) item.append(line("p", `${skillOf({ adapted: true, videos, skill })} (${percent(skill.low)} to ${percent(skill.high)})`, "soft"));
  if (!in_use) item.append(line("p", `Not used: ${reason}. Give the export again.`, "crop"));
  item.append(act);
  return item;
}

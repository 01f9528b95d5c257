// How an import of exports and the channels that the lab has learnt are shown.

import { byHand } from "./channel_columns.js";
import { button, byId, capital, line, percent, say } from "./dom.js";
import { namesCommand, operatorsFold, sentence, withoutCommands } from "./for_operators.js";
import { elapsed, shownSteps, stepNow } from "./import_steps.js";
import { nicheName } from "./words.js";

const TITLES = { queued: "Waiting for its turn", running: "Learning from your channel", failed: "The lab could not learn your channel" };
const LEAST_VIDEOS = 5; // A channel adapter needs at least this many videos, see `LEAST_VIDEOS` in `thumblab_core`.
const MOST_LISTED = 4; // A longer list is folded.
const SAY_AGAIN_MS = 5000; // The shortest pause between two messages to a screen reader.

let saidStep = "";
let saidAt = 0;
let drawnNotes = ""; // The text of the notes. They are drawn again only if the text changes, because a person may have opened them.

// Draw an import, which is an answer of /v1/channels/runs. `known` has whether the lab has a model, the niche that was
// asked for, and the niche that is chosen in the form. `onColumns` is called with the tables whose columns a person wants to choose.
export function drawImport(answer, known, onColumns) {
  const { state, imported, fitted } = answer;
  const done = state === "done";
  byId("learning").hidden = false;
  byId("learning").dataset.state = state;
  byId("learning-title").textContent = titleOf(answer);
  drawNow(answer, known);
  byId("niche-from-export").hidden = !answer.proposal || answer.proposal.niche !== null;
  byId("columns-from-export").hidden = !asksForColumns(answer);
  byId("learning-actions").hidden = byId("niche-from-export").hidden && byId("columns-from-export").hidden;
  byId("learning-steps").hidden = done || answer.needs === "niche";
  byId("learning-steps").replaceChildren(...shownSteps(answer).map(step));
  byId("learnt").hidden = imported === null;
  if (imported === null) return;
  say("learnt-skill", done ? skillOf(fitted) : "");
  say("learnt-skill-why", done ? meaningOf(fitted) : "");
  say("learnt-niche", nicheNote(imported, known.asked));
  byId("learnt-facts").replaceChildren(...factsOf(imported, fitted).map(fact));
  const notes = JSON.stringify([answer.id, imported.refused, imported.remarks, answer.notes]);
  if (notes !== drawnNotes) {
    drawnNotes = notes;
    byId("learnt-notes").replaceChildren(...notesOf(answer, onColumns));
  }
  byId("compare-for-channel").hidden = !done;
  byId("compare-for-channel").className = done && fitted.adapted ? "main" : "quiet";
}

// Whether the lab did not recognise needed columns, but knows the table from its other columns.
export const asksForColumns = ({ needs, unrecognised }) => needs === "columns" && unrecognised.some(({ found }) => Object.keys(found).length > 0);

// Return an import of which the service knows no more than `reason`, as a failed import. The service removes a waiting import if
// it cannot start it. It deletes any other import after a day, and shows it only to the key that sent it.
export function lost(answer, reason, sameKey) {
  const neverBegan = answer.state === "queued" && sameKey && Date.now() < Date.parse(answer.expires_at);
  if (neverBegan) return { ...answer, state: "failed", reason: "The lab could not start this import, so your exports were not imported. Send them again." };
  const again = "If your channel is not in the list of channels below, send the exports again: nothing is done twice.";
  return { ...answer, state: "failed", outcome: "unknown", reason: `${sentence(reason)} ${again}` };
}

function titleOf({ state, needs, outcome, imported, fitted }) {
  if (outcome === "unknown") return "The lab has no report on this import any more";
  if (needs === "niche") return "Which niche is your channel in?";
  if (state !== "done") return TITLES[state];
  return fitted.adapted ? `The lab has learnt ${imported.title}` : `Too few videos to learn from: ${imported.title}`;
}

// A channel with videos that the lab has collected from YouTube stays in their niche.
function nicheNote({ title, niche }, asked) {
  if (!asked || asked === niche) return "";
  const [stays, other] = [nicheName(niche), nicheName(asked)];
  return `${title} stays in the niche ${stays}, and ${other} was not used, because the lab has videos of this channel that do not come from exports. You can still compare in ${other}.`;
}

const NEEDED = {
  name: "The name of the file does not contain the channel's name. Write the name of your channel into the field, then press the button again.",
  encoder:
    "Your videos are stored, but the lab cannot look at thumbnails yet, because a part of it is not installed. Ask the person who runs the lab. Then give the export again: nothing is done twice.",
  model:
    "Your videos are stored, but the lab has no model yet, and what it learnt from these videos does not pass its checks. More videos help: give an export with more of them, or ask the person who runs the lab to add videos of other channels.",
};
const FOR_OPERATORS = ["encoder", "model"]; // The reasons of these failures are for the person who runs the lab.

// Return what to do if the lab does not know the niche of the channel.
function nicheNeeded({ proposal }, inForm) {
  if (!proposal) return "The lab does not know this channel yet. Choose its niche, then press the button again.";
  const why = sentence(withoutCommands(proposal.reason) || "The lab cannot propose a niche");
  if (proposal.niche === null) return `${why} Choose the niche yourself, or make a new one.`;
  const name = nicheName(proposal.niche);
  if (proposal.niche !== inForm) return `${why} So the lab proposes ${name}. Choose it or another niche above, then press the button again.`;
  return `${why} So ${name} is chosen above. If that is right, press the button again. If not, choose another niche first.`;
}

function drawNow(answer, { hasModel, inForm }) {
  const { state, reason, needs } = answer;
  let words = (needs === "niche" ? nicheNeeded(answer, inForm) : NEEDED[needs]) ?? (reason === null ? "" : sentence(byHand(withoutCommands(reason)) || "The person who runs the lab has to do something"));
  if (!words && state === "queued") words = "The lab begins in a few seconds.";
  else if (!words && state === "running") words = stepNow(answer, hasModel);
  byId("learning-now").classList.toggle("problem", state === "failed" && needs !== "niche");
  say("learning-now", words);
  say("learning-elapsed", state === "queued" || state === "running" ? elapsed(answer) : "");
  // The details of a reason are drawn again only if the reason has changed, because a person may have opened them.
  if (byId("learning-operator").dataset.reason !== String(reason)) {
    byId("learning-operator").dataset.reason = String(reason);
    const fold = operatorsFold(reason !== null && (FOR_OPERATORS.includes(needs) || namesCommand(reason)) ? [reason] : []);
    byId("learning-operator").replaceChildren(...(fold ? [fold] : []));
  }
  const key = `${state} ${answer.steps.at(-1)?.name} ${reason}`;
  if (key === saidStep && Date.now() - saidAt < SAY_AGAIN_MS) return;
  saidStep = key;
  saidAt = Date.now();
  byId("learning-said").textContent = words;
}

function step({ words, done, total, over }) {
  const item = line("li", "", over ? "done" : "");
  const bar = document.createElement("progress");
  bar.max = Math.max(1, total);
  bar.value = over ? bar.max : done;
  bar.setAttribute("aria-label", words);
  item.append(line("span", words), line("span", over ? "done" : `${done} of ${total}`, "count"), bar);
  return item;
}

// Return what the lab would have got right on the channel's own past, as a sentence.
export function skillOf({ adapted, videos, skill }) {
  if (!adapted) return `Only ${videos} of your videos can be used, and five are needed. Answers are not adapted to your channel yet.`;
  if (skill === null) return "The skill on your own videos was not measured: you have too few new videos to tell how often the lab is right.";
  return `On your last ${skill.videos} videos it would have ordered ${hundredths(skill.right)} of 100 pairs right.`;
}

const hundredths = (share) => Math.round(100 * share);

function meaningOf({ adapted, skill }) {
  if (!adapted || skill === null) return "";
  const interval = `The 95 % interval is ${hundredths(skill.low)} to ${hundredths(skill.high)}, from ${skill.pairs.toLocaleString("en")} pairs.`;
  const chance = skill.low > 0.5 ? "That is better than chance." : "That may be chance.";
  const alone = `The model alone, without the adaptation to your channel, orders ${hundredths(skill.right_unadapted)} right.`;
  const helps = skill.gained_low > 0 ? "So the adaptation helps." : skill.gained > 0 ? "The adaptation seems to help, but that may be chance." : "The adaptation does not help so far.";
  return [interval, chance, alone, helps, "The pairs are videos with different pictures and titles. Each answer about pictures under one title says how sure the answer is."].join(" ");
}

function factsOf(imported, fitted) {
  const ctr = imported.usual_ctr === null ? "" : `. Of all impressions, ${(100 * imported.usual_ctr).toFixed(1)}% are clicked`;
  return [
    ["Videos", `${imported.videos}, ${imported.new} of them new to the lab`, []],
    ["Niche", nicheName(imported.niche), libraryOf(imported)],
    ["Not imported", sum(imported.left_out), reasons(imported.left_out)],
    ["Thumbnails", imported.pictures && `${imported.pictures}, ${imported.downloaded} of them downloaded now`, []],
    ["Without a thumbnail", imported.without_picture, missingOf(imported)],
    ["True click-through rate", `known for ${imported.with_ctr} videos${ctr}`, []],
    ...(fitted === null ? [] : [["Learnt from", `${fitted.videos} videos`, []], ["Not used", sum(fitted.left_out), reasons(fitted.left_out)]]),
  ].filter(([, value]) => value !== 0);
}

function libraryOf({ library_needs: needs }) {
  if (!needs) return [];
  return [`This niche has no library yet: ${needs} more ${needs === 1 ? "video is" : "videos are"} needed, of this channel or of others. Until then, answers cannot compare with the niche.`];
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
    meaning.append(items.length > MOST_LISTED ? folded(list) : list);
  }
  node.append(line("dt", name), meaning);
  return node;
}

function folded(list) {
  const details = document.createElement("details");
  details.append(line("summary", "Which ones"), list);
  return details;
}

// Failures are shown at once, and remarks when the person opens them. Notes on the training are for the person who runs the lab.
function notesOf({ imported, notes }, onColumns) {
  const nodes = imported.refused.map((text) => line("p", `Not read: ${byHand(text)}`, "problem"));
  const others = imported.remarks.map((text) => byHand(withoutCommands(text))).filter(Boolean);
  if (others.length > 0) {
    const details = document.createElement("details");
    const list = document.createElement("ul");
    list.append(...others.map((text) => line("li", capital(text))));
    details.append(line("summary", "What else was noticed"), list);
    if (imported.tables.length > 0) details.append(button("Choose the columns by hand", "quiet", () => onColumns(imported.tables)));
    nodes.push(details);
  }
  const fold = operatorsFold([...imported.remarks.filter(namesCommand), ...notes]);
  if (fold) nodes.push(fold);
  return nodes;
}

// Draw the channels that the lab has learnt. `onCompare` is called with the id and the niche of a channel.
export function drawKnown(channels, onCompare) {
  byId("known").hidden = channels.length === 0;
  byId("known-channels").replaceChildren(...channels.map((channel) => known(channel, onCompare)));
}

function known({ channel_id, title, niche, videos, newest, in_use, reason, skill }, onCompare) {
  const item = line("li", "", "panel past");
  const until = newest === null ? "" : `, the newest of ${new Date(newest).toLocaleDateString(undefined, { dateStyle: "medium" })}`;
  const act = button("Compare for it", "quiet", () => onCompare(channel_id, niche));
  act.setAttribute("aria-label", `Compare for it: ${title}`);
  item.append(line("h4", title), line("p", `Learnt from ${videos} videos${until}.`, "soft"));
  const tooFew = videos < LEAST_VIDEOS;
  if (skill !== null) item.append(line("p", `${skillOf({ adapted: true, videos, skill })} (${percent(skill.low)} to ${percent(skill.high)})`, "soft"));
  else if (!tooFew) item.append(line("p", "The skill on your own videos was not measured, because there are too few videos.", "soft"));
  if (tooFew) item.append(line("p", `Not used: too few videos to learn from, at least ${LEAST_VIDEOS} are needed. Give a new export when there are more.`, "crop"));
  else if (!in_use) item.append(line("p", `Not used: ${reason}. Give the export again.`, "crop"));
  item.append(act);
  return item;
}

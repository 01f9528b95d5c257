// The part "Lab": what the service serves, how old it is, and what does not work.

import { byId, capital, line, moment } from "./dom.js";
import { NICHES } from "./words.js";

// The first part of a release's id is the moment at which it was published.
const PUBLISHED = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/;

// Draw the state of the lab, which is an answer of /health.
export function drawLab(state) {
  const rows = Object.entries(state.indices).map(([niche, slot]) => row(`Library of ${NICHES[niche] ?? niche}`, slot));
  byId("lab-releases").replaceChildren(row("Ranking model", state.model), ...rows);
  const facts = [
    ["Ready to rank", state.ready ? "yes" : "not yet"],
    ["Encoders", withReason(state.encoders)],
    ["Sub-scores", state.meter.missing.length > 0 ? `${state.meter.state}. ${capital(state.meter.missing.join("; "))}.` : withReason(state.meter)],
    ["Database", withReason(state.database).replace("not_asked", "not asked yet")],
    ["Kept predictions", state.predictions.state === "off" ? "off" : `${withReason(state.predictions)}, ${state.predictions.kept} kept`],
    ["Made of", state.library_note ?? "videos of YouTube, or a catalogue that was imported"],
  ];
  byId("lab-facts").replaceChildren(...facts.map(fact));
}

function row(name, slot) {
  const node = document.createElement("tr");
  const heading = line("th", name);
  heading.scope = "row";
  const refused = slot.refused ? ` ${capital(slot.refused.release ?? "a release")} was refused: ${slot.refused.reason}` : "";
  const state = { serving: "served", loading: "being loaded", none: "none yet" }[slot.state];
  node.append(heading, line("td", `${capital(state)}.${refused}`), line("td", published(slot.release)), line("td", slot.release ?? "–"));
  return node;
}

function published(release) {
  const parts = PUBLISHED.exec(release ?? "");
  if (parts === null) return "–";
  const [, year, month, day, hour, minute, second] = parts;
  return moment(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const withReason = ({ state, reason }) => (reason ? `${state}: ${reason}` : state);

function fact([name, value]) {
  const node = document.createElement("div");
  node.append(line("dt", name), line("dd", value));
  return node;
}

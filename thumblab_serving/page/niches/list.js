// The list of niches in the part "Lab". It needs a key with the scope admin.

import { button, byId, line, say } from "../dom.js";
import { forCreator } from "../for_operators.js";
import { currentKey } from "../key.js";
import { showLab } from "../lab.js";
import { nicheName } from "../words.js";
import { openForm, wireForm } from "./form.js";
import { allNiches, FOLLOWED_MS, restoreNiche, retireNiche } from "./service.js";
import { costWords, sources, totalWords } from "./words.js";

let niches = [];
let draws = 0; // The number of the newest call of `drawNicheList`.

// Request the niches, and show them. The section is hidden while there is no key.
export async function drawNicheList() {
  byId("niches").hidden = !currentKey();
  if (!currentKey()) return;
  draws += 1;
  const mine = draws;
  try {
    const answer = await allNiches();
    if (mine !== draws) return;
    niches = answer.niches;
  } catch (error) {
    if (mine !== draws) return;
    byId("niches-box").hidden = true;
    const isScope = error.status === 403;
    return say("niches-note", isScope ? "To see and change the niches, the key needs the scope admin." : `The niches could not be read. ${forCreator(error.message)}`);
  }
  say("niches-note", "");
  const [used, retired] = [niches.filter(isUsed), niches.filter((niche) => !isUsed(niche))];
  byId("niches-total").textContent = totalWords(used);
  byId("niches-list").replaceChildren(...used.map((niche) => item(niche, used.length > 1)));
  byId("niches-retired").hidden = retired.length === 0;
  byId("niches-retired-name").textContent = `Retired niches (${retired.length})`;
  byId("niches-retired-list").replaceChildren(...retired.map((niche) => item(niche, true)));
  byId("niches-box").hidden = false;
}

const isUsed = ({ retired_at: retired }) => retired === null;

function item(niche, mayRetire) {
  const node = line("li", "", "niche");
  node.id = `niche-of-${niche.name}`;
  const head = line("div", "", "niche-head");
  const heading = line("h4", nicheName(niche.name));
  heading.append(line("code", niche.name));
  head.append(heading, actions(niche, mayRetire));
  const facts = document.createElement("dl");
  const videos = `${niche.videos.toLocaleString("en")} stored ${niche.videos === 1 ? "video" : "videos"}`;
  for (const [name, value] of [...sources(niche), ["Cost", `${costWords(niche.cost)}; ${videos}`]]) {
    const fact = document.createElement("div");
    fact.append(line("dt", name), line("dd", value));
    facts.append(fact);
  }
  node.append(head, facts);
  return node;
}

function actions(niche, mayRetire) {
  const group = line("div", "", "actions");
  const named = (text, act) => {
    const node = button(text, "quiet", act);
    node.setAttribute("aria-label", `${text}: ${nicheName(niche.name)}`);
    return node;
  };
  if (!isUsed(niche)) group.append(named("Take up again", () => ask(niche, RESTORE)));
  else {
    group.append(named("Edit", () => openForm(niche)));
    if (mayRetire) group.append(named("Retire", () => ask(niche, RETIRE)));
  }
  return group;
}

// --- the question before a niche is retired or taken up again ---

const RETIRE = {
  title: (name) => `Retire ${name}?`,
  words: ({ videos, cost }) => `It is no longer collected, trained on or served, which saves ${costWords(cost)}. Its ${videos.toLocaleString("en")} videos, their pictures and its releases stay, so you can take it up again.`,
  yes: "Retire it",
  isDanger: true,
  act: retireNiche,
  done: (name) => `${name} is retired. Its data is kept.`,
};
const RESTORE = {
  title: (name) => `Take up ${name} again?`,
  words: ({ cost }) => `The next refresh collects it again. That costs ${costWords(cost)}.`,
  yes: "Take it up again",
  isDanger: false,
  act: restoreNiche,
  done: (name) => `${name} is collected and served again.`,
};

let asked = null; // The niche and the question that the dialog shows.

function ask(niche, question) {
  asked = { niche, question };
  byId("niche-ask-title").textContent = question.title(nicheName(niche.name));
  byId("niche-ask-words").textContent = question.words(niche);
  byId("niche-ask-yes").textContent = question.yes;
  byId("niche-ask-yes").className = question.isDanger ? "danger" : "main";
  byId("niche-ask-yes").disabled = false;
  say("niche-ask-problem", "");
  byId("niche-ask").showModal();
}

async function confirmed() {
  const { niche, question } = asked;
  byId("niche-ask-yes").disabled = true;
  try {
    await question.act(niche.name);
  } catch (error) {
    byId("niche-ask-yes").disabled = false;
    return say("niche-ask-problem", forCreator(error.message));
  }
  byId("niche-ask").close();
  changed(question.done(nicheName(niche.name)));
}

// Show the niches after a change, and say what was changed.
async function changed(words) {
  await drawNicheList();
  say("niches-done", words);
  byId("niches-title").focus();
  setTimeout(showLab, FOLLOWED_MS);
}

export function wireNiches() {
  byId("niche-add").addEventListener("click", () => openForm(null));
  byId("niche-ask-yes").addEventListener("click", confirmed);
  byId("niche-ask-no").addEventListener("click", () => byId("niche-ask").close());
  wireForm(changed);
}

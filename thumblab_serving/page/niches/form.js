// The form that adds or changes a niche. It shows the cost first: the first press checks the values, and the second press stores
// them. A change of a field goes back to the first step.

import { button, byId, line, say } from "../dom.js";
import { forCreator } from "../for_operators.js";
import { nicheName } from "../words.js";
import { addNiche, allNiches, changeNiche } from "./service.js";
import { categories, categoryName, costWords, linesOf, sources } from "./words.js";

let storing = false;
let edited = null; // The niche that is changed, as it was read. Null while a new one is added.
let checked = null; // The values that the service has checked, or null.
let opened = 0; // How often the form was opened. An answer to an earlier form is not shown in the present form.
let stored = () => {};
let storedFor = null; // What follows after the niche is stored, if the form was opened for another part of the page.

const LISTS = ["searches", "channels", "exclude"];
const field = (name) => byId(`niche-${name}`);

// Open the form for a change of a niche, or for a new niche if `niche` is null. `draft` has values of a new niche that are filled
// in. With `onStored`, the stored niche is given to this function, and the list of niches is not drawn.
export function openForm(niche, draft = {}, onStored = null) {
  edited = niche;
  storedFor = onStored;
  opened += 1;
  byId("niche-form").reset();
  byId("niche-form-title").textContent = niche === null ? "Add a niche" : `Edit ${nicheName(niche.name)}`;
  field("name-field").hidden = niche !== null;
  field("name").value = niche?.name ?? "";
  for (const name of LISTS) field(name).value = ((niche ?? draft)[name] ?? []).join("\n");
  offerCategories(niche?.category_id ?? null);
  field("region").value = niche?.region ?? "";
  field("language").value = niche?.language ?? "";
  say("niche-problem", "");
  backToFirst();
  byId("niche-dialog").showModal();
}

// A niche may have a category that is not in the list, because a command can give any number.
function offerCategories(chosen) {
  const options = [["", "None"], ...categories.map(([id]) => [id, categoryName(id)])];
  if (chosen !== null && !options.some(([id]) => id === String(chosen))) options.push([String(chosen), categoryName(chosen)]);
  field("category").replaceChildren(...options.map(([id, name]) => new Option(name, id)));
  field("category").value = chosen ?? "";
}

function backToFirst() {
  checked = null;
  byId("niche-preview").replaceChildren();
  byId("niche-send").textContent = "See what it costs";
  byId("niche-send").disabled = false;
}

function values() {
  const lists = Object.fromEntries(LISTS.map((name) => [name, linesOf(field(name).value)]));
  return {
    ...(edited === null ? { name: field("name").value.trim() } : { version: edited.version }),
    ...lists,
    category_id: field("category").value ? Number(field("category").value) : null,
    region: field("region").value.trim() || null,
    language: field("language").value.trim() || null,
  };
}

const ask = (given) => (edited === null ? addNiche(given) : changeNiche(edited.name, given));

async function submit(event) {
  event.preventDefault();
  const mine = opened;
  say("niche-problem", "");
  byId("niche-send").disabled = true;
  const given = checked ?? values();
  const isCheck = checked === null;
  storing = !isCheck;
  try {
    const niche = await ask({ ...given, dry_run: isCheck });
    if (mine !== opened) return;
    // A field may have changed while the service checked the values.
    if (isCheck) return JSON.stringify(values()) === JSON.stringify(given) ? showCost(given, niche) : backToFirst();
    byId("niche-dialog").close();
    if (storedFor !== null) return storedFor(niche);
    stored(`${nicheName(niche.name)} is ${edited === null ? "added" : "changed"}. Its next refresh collects it.`);
  } catch (error) {
    if (mine !== opened) return;
    backToFirst();
    say("niche-problem", forCreator(error.message));
    if (error.status === 409 && edited !== null) offerPresent();
  } finally {
    storing = false;
  }
}

function showCost(given, niche) {
  checked = given;
  const facts = line("dl", "", "niche-facts");
  for (const [name, value] of sources(niche)) {
    const fact = document.createElement("div");
    fact.append(line("dt", name), line("dd", value));
    facts.append(fact);
  }
  const first = niche.cost.first_units > niche.cost.units ? ` The first refresh costs up to ${niche.cost.first_units.toLocaleString("en")} units.` : "";
  byId("niche-preview").replaceChildren(line("p", `${nicheName(niche.name)} costs ${costWords(niche.cost)}.${first}`, "niche-cost"), facts);
  byId("niche-send").textContent = edited === null ? `Add ${nicheName(niche.name)}` : `Change ${nicheName(niche.name)}`;
  byId("niche-send").disabled = false;
  byId("niche-send").focus();
}

// Somebody else has changed the niche. Offer to begin again from what it has now.
function offerPresent() {
  const { name } = edited;
  byId("niche-preview").replaceChildren(
    button("Begin again from what it has now", "quiet", async () => {
      const { niches } = await allNiches();
      const present = niches.find((niche) => niche.name === name);
      if (present) openForm(present);
    }),
  );
}

export function wireForm(onStored) {
  stored = onStored;
  byId("niche-form").addEventListener("submit", submit);
  byId("niche-form").addEventListener("input", () => {
    if (!storing) backToFirst(); // While a niche is stored, the button stays off, so that it is not sent twice.
  });
  byId("niche-cancel").addEventListener("click", () => byId("niche-dialog").close());
}

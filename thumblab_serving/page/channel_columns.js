// The choice of the columns of an export by hand, for a table whose columns the lab did not recognise.

import { isExportOf } from "./channel_files.js";
import { byId, line } from "./dom.js";

// The lab's names of the columns, and what YouTube Studio calls them in English. The optional ones are marked.
const COLUMNS = {
  video: ["Content", "the ids of the videos"],
  title: ["Video title", ""],
  published: ["Video publish time", ""],
  views: ["Views", ""],
  impressions: ["Impressions", "how often the thumbnails were shown"],
  rate: ["Impressions click-through rate (%)", ""],
  duration: ["Duration", "optional"],
  watch_hours: ["Watch time (hours)", "optional"],
};
const LONGEST = 200; // The longest name that the service accepts. A column with a longer name is sent by its number.

// The sentences of the service say how a program names a column: with the field `columns` of a request.
const FOR_PROGRAMS = [
  [/name it, for example `columns` [^)]*\)/g, "choose it by hand"],
  [/choose one of them with `columns`/g, "choose one of them by hand"],
  [/which `columns` names for \w+/g, "which was chosen by hand"],
];

// Return a sentence of the service about columns for a person, who chooses columns at this page.
export const byHand = (text) => FOR_PROGRAMS.reduce((words, [programs, persons]) => words.replaceAll(programs, persons), text);

let source = null; // The import whose columns are offered, or null.

export function hideColumns() {
  source = null;
  byId("columns").hidden = true;
  byId("columns-choices").replaceChildren();
}

// Hide the choice if it is about other exports than these.
export function hideColumnsOfOthers(exports) {
  if (source !== null && exports.length > 0 && !isExportOf(source, exports)) hideColumns();
}

// Offer the columns of the first table of an import that lacks needed columns, or else of the first table. Move the focus there.
// If the columns of this import are offered already, only move the focus, because a person may have chosen some of them.
export function showColumns(channelImport, tables, why) {
  if (source?.id === channelImport.id) {
    focusColumns();
    return;
  }
  const table = tables.find(({ missing }) => missing.length > 0) ?? tables[0];
  if (table === undefined) return;
  source = channelImport;
  byId("columns-why").textContent = `${why} The file is ${table.where}.`;
  byId("columns-choices").replaceChildren(...Object.entries(COLUMNS).map(([name, [label, hint]]) => choice(table, name, label, hint)));
  byId("columns").hidden = false;
  focusColumns();
}

function focusColumns() {
  const choices = byId("columns-choices");
  (choices.querySelector(".is-missing select") ?? choices.querySelector("select")).focus();
}

// Return the chosen columns by the lab's names. Columns that the person left unchanged are not included.
export function chosenColumns() {
  const selects = [...byId("columns-choices").querySelectorAll("select")];
  return Object.fromEntries(selects.filter((select) => select.value).map((select) => [select.name, select.value]));
}

function choice(table, name, label, hint) {
  const node = line("label", "", "field");
  const caption = line("span", label);
  if (hint) caption.append(" ", line("small", hint));
  const select = document.createElement("select");
  select.id = `column-${name}`;
  select.name = name;
  select.autocomplete = "off";
  const found = table.found[name];
  const first = found === undefined ? (table.missing.includes(name) ? "Not recognised: choose one" : "There is none") : `As recognised: ${shown(table.headers[found - 1], found)}`;
  select.append(new Option(first, ""));
  table.headers.forEach((header, at) => select.append(new Option(shown(header, at + 1), valueOf(table.headers, at))));
  node.append(caption, select);
  if (table.missing.includes(name)) node.classList.add("is-missing");
  return node;
}

const shown = (header, number) => (header?.trim() ? header : `Column ${number}, without a name`);

// A blank name, or a name that several columns have, is replaced by the number of the column.
function valueOf(headers, at) {
  const same = headers.filter((header) => header.trim().toLowerCase() === headers[at].trim().toLowerCase());
  const isName = headers[at].trim() !== "" && !/[\u0000-\u001f\u007f-\u009f]/.test(headers[at]) && headers[at].length < LONGEST;
  return isName && same.length === 1 ? headers[at] : String(at + 1);
}

// The chosen pictures: by file, by drop and by paste. An entry is {file, name, url, title}; `url` is an object URL of the
// file, and `title` is the picture's own title, if a person gave one.

import { button, byId, bytes, image, line, say } from "./dom.js";

const MAX_PICTURES = 20; // The limit of the service, see `MAX_THUMBNAILS` in `schemas/request.py`.
const MAX_TOGETHER = 127 * 2 ** 20; // The service takes 128 MiB, which includes the other fields of the form.
const IMAGE_TYPES = ["image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "image/bmp"];
const HEIC = /\.(heic|heif)$/i; // The lab reads HEIC files, but few browsers show them. iPhones send a JPEG to this page.
const WIDE = 16 / 9;

let chosen = [];
let shown = []; // The answer on the page shows these entries.
let changed = () => {};

// Return the chosen pictures. `title` is the own title of a picture, or "".
export const pictures = () => chosen.map((entry) => ({ ...entry, title: byId("own-titles").checked ? entry.title.trim() : "" }));

export function onPicturesChanged(callback) {
  changed = callback;
}

// Choose files in addition to the chosen ones. `source` is "file" or "paste".
export function choose(files, source = "file") {
  const all = [...files];
  const others = all.filter((file) => !IMAGE_TYPES.includes(file.type));
  const heic = others.filter((file) => HEIC.test(file.name));
  const unknown = others.filter((file) => !heic.includes(file));
  const left = { tooMany: [], tooLarge: [] };
  for (const file of all.filter((file) => IMAGE_TYPES.includes(file.type))) {
    if (chosen.length >= MAX_PICTURES) left.tooMany.push(file);
    else if (file.size + sizeOf(chosen) > MAX_TOGETHER) left.tooLarge.push(file);
    else add(file, source === "paste" ? `pasted-${chosen.length + 1}.${file.type.split("/")[1]}` : file.name);
  }
  showLeftOut([
    unknown.length > 0 ? `Left out: ${names(unknown)}. Only JPEG, PNG, WebP, AVIF, GIF and BMP pictures can be ranked here.` : "",
    heic.length > 0 ? `Left out: ${names(heic)}. Browsers cannot show HEIC pictures; save them as JPEG, or use thumblab score.` : "",
    left.tooMany.length > 0 ? `Left out: ${names(left.tooMany)}. At most ${MAX_PICTURES} are compared; remove one first.` : "",
    left.tooLarge.length > 0
      ? `Left out: ${names(left.tooLarge)}. All pictures together may have ${bytes(MAX_TOGETHER)}; save them smaller.`
      : "",
  ]);
  draw();
}

// Replace all chosen pictures with those of a stored comparison.
export function restore(stored) {
  const before = chosen;
  chosen = [];
  for (const { name, file, title } of stored) add(file, name, title);
  byId("own-titles").checked = chosen.some((entry) => entry.title);
  forget(before);
  showLeftOut([]);
  draw();
}

// Keep the object URLs of the entries that the answer on the page shows.
export function show(entries) {
  const before = shown;
  shown = entries;
  forget(before);
}

function add(file, name, title = "") {
  chosen.push({ file, name: unused(name), url: URL.createObjectURL(file), title });
}

// Return a name that no other chosen picture has. The service's answer names pictures by these names, so two pictures must not
// have the same name. The service accepts names of at most 128 characters.
function unused(name) {
  const printable = name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "") || "picture";
  const [, whole, last] = printable.match(/^(.*?)(\.[^.]*)?$/s);
  const [stem, ending] = [[...whole].slice(0, 100).join(""), [...(last ?? "")].slice(0, 16).join("")];
  for (let count = 1; ; count += 1) {
    const candidate = count === 1 ? `${stem}${ending}` : `${stem} (${count})${ending}`;
    if (!chosen.some((entry) => entry.name === candidate)) return candidate;
  }
}

function forget(entries) {
  const used = new Set([...chosen, ...shown].map((entry) => entry.url));
  for (const entry of entries) if (!used.has(entry.url)) URL.revokeObjectURL(entry.url);
}

export function sizeOf(entries) {
  return entries.reduce((sum, { file }) => sum + file.size, 0);
}

function names(files) {
  const more = files.length > 3 ? ` and ${files.length - 3} more` : "";
  return files.slice(0, 3).map((file) => file.name).join(", ") + more;
}

export function showLeftOut(sentences) {
  say("left-out", sentences.filter(Boolean).join("\n"));
}

function remove(entry) {
  chosen = chosen.filter((other) => other !== entry);
  forget([entry]);
  showLeftOut([]);
  draw();
  byId("files").focus();
}

function draw() {
  byId("chosen").replaceChildren(...chosen.map(chosenItem));
  byId("count").textContent = chosen.length < 2 ? "" : `${chosen.length} pictures`;
  changed();
}

function chosenItem(entry) {
  const item = document.createElement("li");
  const picture = image(entry.url);
  const crop = line("p", "", "crop");
  crop.hidden = true;
  picture.addEventListener("load", () => {
    crop.textContent = cropOf(picture.naturalWidth, picture.naturalHeight);
    crop.hidden = !crop.textContent;
  });
  const remover = button("×", "remove", () => remove(entry));
  remover.setAttribute("aria-label", `Remove ${entry.name}`);
  const name = line("p", entry.name, "file-name");
  name.title = entry.name;
  item.append(picture, name, crop, ownTitle(entry), remover);
  return item;
}

function ownTitle(entry) {
  const [label, input] = [line("label", "", "own"), document.createElement("input")];
  input.type = "text";
  input.maxLength = 300;
  input.autocomplete = "off";
  input.placeholder = "Own title";
  input.value = entry.title;
  input.addEventListener("input", () => (entry.title = input.value));
  label.append(line("span", `Own title of ${entry.name}`, "visually-hidden"), input);
  return label;
}

// Return what YouTube cuts off a picture that is not 16:9, or "". A difference of 1 % is not visible.
export function cropOf(width, height) {
  const shape = width / height / WIDE;
  if (!(width > 0 && height > 0) || Math.abs(shape - 1) <= 0.01) return "";
  const [share, sides] = shape < 1 ? [1 - shape, "at the top and the bottom"] : [1 - 1 / shape, "at the left and the right"];
  return `Not 16:9. YouTube cuts off ${Math.max(1, Math.round(share * 100))}% of it ${sides}.`;
}

// --- drop and paste ---

const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
const isField = (target) => target?.matches?.("input[type=text], input[type=password], input[type=date], textarea");

function markZones(over) {
  for (const zone of document.querySelectorAll(".drop")) zone.classList.toggle("over", over);
}

// Accept pictures that are dropped or pasted anywhere. `accepting` is called before they are chosen. `takeOthers` gets all
// dropped files first, and returns whether it has taken them.
export function acceptDropsAndPastes(accepting, takeOthers) {
  byId("files").addEventListener("change", (event) => {
    choose(event.target.files);
    event.target.value = ""; // Without this, a removed file could not be chosen again.
  });
  // Accept drops anywhere on the page. Otherwise, the browser would leave the page and open the dropped file.
  for (const kind of ["dragenter", "dragover"]) {
    window.addEventListener(kind, (event) => {
      if (!carriesFiles(event) && isField(event.target)) return;
      event.preventDefault();
      markZones(carriesFiles(event));
    });
  }
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) markZones(false);
  });
  window.addEventListener("drop", (event) => {
    markZones(false);
    if (!carriesFiles(event) && isField(event.target)) return;
    event.preventDefault();
    if (takeOthers([...event.dataTransfer.files])) return;
    accepting();
    if (carriesFiles(event)) choose(event.dataTransfer.files);
    else showLeftOut(["That was not a file. Save the picture first, then choose it or drop it here."]);
  });
  window.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    // A copied table is a text and a picture. In a text field, the person wants to paste the text.
    if (files.length === 0 || (isField(event.target) && event.clipboardData.types.includes("text/plain"))) return;
    event.preventDefault();
    accepting();
    choose(files, "paste");
  });
}

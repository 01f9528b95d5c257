// What was detected in a picture: frames over the picture, and the same facts in words for people who cannot see the frames.

import { byId, percent } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

export function frame(overlay, evidence) {
  // The viewBox has the size of the measured picture, so that `slice` crops it as `object-fit: cover` crops the image.
  overlay.setAttribute("viewBox", `0 0 ${evidence.width} ${evidence.height}`);
  overlay.setAttribute("aria-label", summary(evidence));
  const frames = [
    ["subject", evidence.subject ? [evidence.subject] : [], () => "Subject"],
    ["badge", [evidence.badge], () => "YouTube shows the video's length here"],
    ["face", (evidence.faces ?? []).map((face) => face.box), (row) => `Face, confidence ${percent(evidence.faces[row].confidence)}`],
    ["text", (evidence.texts ?? []).map((text) => text.box), (row) => evidence.texts[row].text],
    ["text", evidence.unread.map((text) => text.box), () => "Text that could not be read"],
  ];
  for (const [kind, boxes, words] of frames) {
    overlay.append(...boxes.map((box, row) => rectangle(kind, box, evidence, words(row))));
  }
  overlay.querySelector(".is-badge").append(clock(evidence.badge, evidence));
}

function rectangle(kind, box, { width, height }, words) {
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("class", `is-${kind}`);
  const title = document.createElementNS(SVG, "title");
  title.textContent = words;
  group.append(title);
  // A dark line is drawn under the coloured one, so that the frame is visible on any picture.
  for (const layer of ["halo", "line"]) {
    const shape = document.createElementNS(SVG, "rect");
    shape.setAttribute("class", layer);
    shape.setAttribute("x", box.x * width);
    shape.setAttribute("y", box.y * height);
    shape.setAttribute("width", box.width * width);
    shape.setAttribute("height", box.height * height);
    group.append(shape);
  }
  return group;
}

function clock(box, { width, height }) {
  const text = document.createElementNS(SVG, "text");
  text.setAttribute("x", (box.x + box.width / 2) * width);
  text.setAttribute("y", (box.y + box.height / 2) * height);
  text.setAttribute("font-size", Math.min(0.7 * box.height * height, 0.27 * box.width * width));
  text.textContent = "12:34";
  return text;
}

export function summary(evidence) {
  const quoted = (evidence.texts ?? []).map((text) => `“${text.text}”`).join(" ");
  const unread = evidence.unread.length === 0 ? "" : "text that could not be read";
  const parts = [quoted ? `It says ${quoted}` : "", unread ? (quoted ? `and has ${unread}` : `It has ${unread}`) : ""];
  const read = evidence.texts === null ? "The lab did not look for text" : parts.filter(Boolean).join(" ") || "No text was found in it";
  const count = evidence.faces?.length;
  const faces = count === undefined ? "faces were not looked for" : count === 0 ? "no face" : count === 1 ? "one face" : `${count} faces`;
  const hidden =
    evidence.badge_overlap >= 0.05 ? `; the length badge hides ${percent(evidence.badge_overlap)} of a text, a face or the subject` : "";
  return `${read}; ${faces}${hidden}.`;
}

export function overlaysShown() {
  return byId("see").getAttribute("aria-pressed") === "true";
}

export function showOverlays(on) {
  byId("see").setAttribute("aria-pressed", String(on));
  byId("legend").hidden = !on;
  for (const overlay of document.querySelectorAll(".overlay")) overlay.toggleAttribute("hidden", !on);
}

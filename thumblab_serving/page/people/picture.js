// The whole picture of a face, with a frame around the face, and where the picture is shown.

import { byId, line, percent, say } from "../dom.js";
import { sentence } from "../for_operators.js";
import { askForKey } from "./feedback.js";
import { picture } from "./crops.js";
import { imagePath, readPicture } from "./service.js";
import { who } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

let url = null;
let opened = 0; // The number of the newest call of `showPicture`. The answers of older calls are dropped.

export function wirePicture(closed) {
  byId("picture-close").addEventListener("click", () => byId("picture").close());
  byId("picture").addEventListener("close", () => {
    opened += 1;
    clear();
    closed();
  });
}

function clear() {
  if (url !== null) URL.revokeObjectURL(url);
  url = null;
  byId("picture-image").removeAttribute("src");
  for (const id of ["picture-boxes", "picture-videos"]) byId(id).replaceChildren();
  say("picture-problem", "");
  say("picture-others", "");
}

export async function showPicture(face) {
  opened += 1;
  const mine = opened;
  clear();
  byId("picture-title").textContent = face.cluster_id === null ? "A face in no cluster" : `A face of ${who(face)}`;
  byId("picture-facts").textContent = factsOf(face);
  byId("picture").showModal();
  byId("picture-title").focus();
  try {
    const [about, data] = await Promise.all([readPicture(face.sha256), picture(imagePath(face.sha256))]);
    if (mine !== opened) return;
    url = URL.createObjectURL(data);
    byId("picture-image").src = url;
    byId("picture-image").alt = `The picture; the face is ${place(face.box)}`;
    const others = about.faces.filter(({ face_id: id }) => id !== face.face_id);
    byId("picture-boxes").replaceChildren(...others.flatMap((other) => frame(other.box, "other")), ...frame(face.box, "this"));
    say("picture-others", others.length === 0 ? "" : `Also in this picture: ${others.map((other) => (other.cluster_id === null ? "a face in no cluster" : who(other))).join(", ")}.`);
    byId("picture-videos").replaceChildren(...about.shown_in.map(shownIn));
    if (about.shown_in.length === 0) byId("picture-videos").append(line("li", "No video of the library has this picture any more.", "soft"));
  } catch (error) {
    if (mine !== opened) return;
    say("picture-problem", sentence(error.message));
    if (error.status === 401 || error.status === 403) askForKey();
  }
}

// Two lines, a dark one below a bright one, are visible on any picture.
function frame([left, top, right, bottom], kind) {
  return ["halo", "line"].map((layer) => {
    const shape = document.createElementNS(SVG, "rect");
    const values = { class: `${kind} ${layer}`, x: left, y: top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
    return shape;
  });
}

function place([left, top, right, bottom]) {
  const x = (left + right) / 2;
  const y = (top + bottom) / 2;
  const across = x < 0.4 ? "left" : x > 0.6 ? "right" : "in the middle";
  return `${y < 0.4 ? "at the top" : y > 0.6 ? "at the bottom" : "half way up"}, ${across}`;
}

function shownIn({ video_id: id, title, channel, channel_id: channelId, current, file_name: file }) {
  const item = line("li", "");
  if (id === null) item.append(line("span", file), line("small", "a picture that was given to the lab"));
  else item.append(line("span", title ?? id), line("small", `${channel ?? channelId} · ${id}${current ? "" : " · an earlier thumbnail"}`));
  return item;
}

function factsOf({ quality, confidence, similarity, pinned, face_id: id }) {
  const near = pinned ? "put there by a person" : similarity === null ? "" : `cosine to its cluster ${similarity.toFixed(2)}`;
  return [`Quality ${percent(quality)}`, `sure to be a face ${percent(confidence)}`, near, id].filter(Boolean).join(" · ");
}

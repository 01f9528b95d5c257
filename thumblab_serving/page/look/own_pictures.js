// The person's own pictures on the map, with the mark "you are here". A picture is placed between the thumbnails that are most
// similar to it.

import { byId, button, image, line, say } from "../dom.js";
import { plural } from "../people/words.js";
import { similarToPicture } from "../map/service.js";
import { ask, filters } from "./search.js";

const MOST_PICTURES = 6;
const TYPES = ["image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "image/bmp"];

export function wirePictures(lab) {
  byId("picture").addEventListener("change", (event) => {
    take(lab, [...event.target.files]);
    event.target.value = ""; // Without this, the same file could not be chosen again.
  });
  acceptDrops(lab);
  drawMarks(lab);
}

async function take(lab, files) {
  const pictures = files.filter((file) => TYPES.includes(file.type));
  if (pictures.length === 0) {
    say("search-problem", "Only JPEG, PNG, WebP, AVIF, GIF and BMP pictures can be placed on the map.");
    return;
  }
  if (lab.state.points === null) return;
  for (const file of pictures.slice(0, MOST_PICTURES)) {
    const items = await search(lab, file);
    if (items === null) return; // An error is shown, or a person has searched for something else.
    await mark(lab, file, items);
  }
  const left = pictures.length - MOST_PICTURES;
  if (left > 0) say("search-note", `The map shows ${MOST_PICTURES} of your pictures at a time, so ${plural(left, "picture was", "pictures were")} left out.`);
}

const search = (lab, file) => ask(lab, () => similarToPicture(file, filters(lab.state)), () => `like your picture ${file.name}`);

async function mark(lab, file, items) {
  const url = URL.createObjectURL(file);
  const picture = await bitmap(file);
  const state = lab.state;
  const dropped = state.marks.splice(0, Math.max(0, state.marks.length - MOST_PICTURES + 1));
  for (const old of dropped) forget(old);
  state.marks.push({ name: file.name || "your picture", words: "you are here", url, picture, file, items });
  drawMarks(lab);
  lab.changed("mark");
}

// A browser may show a picture that it cannot draw on a canvas. The mark then has no picture.
async function bitmap(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

function forget({ url, picture }) {
  URL.revokeObjectURL(url);
  picture?.close();
}

// Show a placed picture again. It is searched for again, because another map may be open, or other filters may be set.
async function show(lab, one) {
  const items = await search(lab, one.file);
  if (items === null || !lab.state.marks.includes(one)) return;
  one.items = items;
  lab.changed("mark", one);
}

function drawMarks(lab) {
  const { marks } = lab.state;
  byId("marks").replaceChildren(
    ...marks.map((one) => {
      const item = line("li", "");
      const shown = button("", "quiet mark", () => show(lab, one));
      shown.append(image(one.url), line("span", one.name));
      const gone = button("×", "quiet mark-gone", () => {
        lab.state.marks = marks.filter((other) => other !== one);
        forget(one);
        drawMarks(lab);
        lab.changed("search");
        byId("picture").focus();
      });
      gone.setAttribute("aria-label", `Take ${one.name} off the map`);
      item.append(shown, gone);
      return item;
    }),
  );
  byId("marks-box").hidden = marks.length === 0;
}

function acceptDrops(lab) {
  for (const kind of ["dragenter", "dragover"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      document.body.classList.toggle("over", event.dataTransfer.types.includes("Files"));
    });
  }
  window.addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("over"));
  window.addEventListener("drop", (event) => {
    event.preventDefault(); // Otherwise the browser would leave the page and open the file.
    document.body.classList.remove("over");
    const files = [...event.dataTransfer.files];
    if (files.length > 0) lab.dropped(() => take(lab, files));
  });
  window.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    lab.dropped(() => take(lab, files));
  });
}

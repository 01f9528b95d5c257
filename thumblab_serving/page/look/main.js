// Connect the parts of the page of the library: the map, its filters, the search, the regions, the list and the videos.

import { byId, say } from "../dom.js";
import { currentKey, onKeyGiven, takeKey } from "../key.js";
import { askForChannels, titleOf } from "../known_channels.js";
import { Gestures } from "../map/gestures.js";
import { chooseNiche, fillNiches, isNicheName, nicheOfAddress } from "../niche_menu.js";
import { health } from "../service.js";
import { NICHES } from "../words.js";
import { hideCard, showCard } from "./card.js";
import { load, sayGone } from "./opening.js";
import { wirePictures } from "./own_pictures.js";
import { drawList, fillOrders, wirePanels } from "./panels.js";
import { chooseRegion, clearRegion } from "./regions.js";
import { wireSearch } from "./search.js";
import { dark, draw, map, model, state } from "./state.js";
import { back, lab, open, route, showAs } from "./views.js";

const PAUSE_MS = 150;
const LAST = "thumblab-last-asked"; // The key of localStorage under which the page Compare keeps the channel of the last comparison.

const gestures = new Gestures(map, {
  hover(row, px, py) {
    if (row !== map.hovered) {
      map.hovered = row;
      map.draw();
    }
    byId("frame").classList.toggle("on-video", row >= 0);
    showCard(map, model, row, px, py);
  },
  leave() {
    if (map.hovered < 0 && byId("card").hidden) return;
    map.hovered = -1;
    hideCard();
    map.draw();
  },
  press(row, touched, px, py) {
    if (row < 0) return hideCard();
    if (!touched) return open(row);
    // A finger hides what it touches, so the first tap only shows the video.
    map.hovered = row;
    map.draw();
    showCard(map, model, row, px, py, true);
  },
  lasso(polygon) {
    chooseRegion({ polygon, words: "Your region" });
    lassoing(false);
    byId("region-title").focus();
  },
});

function lassoing(on) {
  gestures.lassoing = on;
  byId("lasso").setAttribute("aria-pressed", String(on));
  byId("frame").classList.toggle("lassoing", on);
}

let looking = null;
map.moved = () => {
  if (state.tiles !== null) {
    clearTimeout(looking);
    looking = setTimeout(() => state.tiles?.look(map.camera), PAUSE_MS);
  }
  if (!map.crosshair || model === null) return;
  clearTimeout(map.saying);
  map.saying = setTimeout(() => {
    const row = gestures.under();
    byId("said").textContent = row < 0 ? "No video below the cross." : `Below the cross: ${model.points.title(row)}, ${model.points.channel(row)}. Enter opens it.`;
    const { width, height } = map.camera;
    if (map.crosshair) showCard(map, model, row, width / 2 + 16, height / 2 + 16);
  }, 2 * PAUSE_MS);
};

const presses = {
  "zoom-in": () => gestures.zoom(),
  "zoom-out": () => gestures.zoom(1 / 1.5),
  whole: () => gestures.whole(),
  "pan-left": () => gestures.pan(120, 0),
  "pan-right": () => gestures.pan(-120, 0),
  "pan-up": () => gestures.pan(0, 120),
  "pan-down": () => gestures.pan(0, -120),
  lasso: () => lassoing(!gestures.lassoing),
  "in-sight": () => {
    const { left, top, right, bottom } = map.camera.sight();
    chooseRegion({ polygon: [[left, top], [right, top], [right, bottom], [left, bottom]], words: "What was in sight" });
    byId("region-title").focus();
  },
  "region-clear": () => {
    clearRegion();
    byId("frame").focus();
  },
  "as-map": () => showAs("map"),
  "as-list": () => showAs("list"),
  retry: load,
  "video-back": back,
};
for (const [id, work] of Object.entries(presses)) byId(id).addEventListener("click", work);

window.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  hideCard();
  if (gestures.lassoing) lassoing(false);
  else if (!byId("video").hidden) back();
  else if (state.region !== null) presses["region-clear"]();
});
byId("niche").addEventListener("change", load);
for (const id of ["after", "before"]) byId(id).addEventListener("change", () => filterDates());
function filterDates() {
  [state.after, state.before] = [byId("after").value, byId("before").value];
  const isTurned = state.after && state.before && state.after > state.before;
  say("dates-note", isTurned ? "The first day is after the last one, so no video is shown." : "");
  draw();
  if (!isTurned) state.found?.again?.();
}
byId("colour").addEventListener("change", () => {
  state.colour = byId("colour").value;
  draw();
});
byId("names").addEventListener("change", () => {
  state.showNames = byId("names").checked;
  draw();
});
byId("channel").addEventListener("change", () => {
  state.ownChannel = titleOf(byId("channel").value.trim());
  draw();
});
byId("order").addEventListener("change", () => {
  byId("order").dataset.chosen = "yes";
  if (model !== null) drawList(model);
});
byId("key-field").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
dark.addEventListener("change", draw);
window.addEventListener("hashchange", () => route());

for (const [value, text] of [["all", "All niches"], ...Object.entries(NICHES)]) byId("niche").append(new Option(text, value));
const given = nicheOfAddress();
if (given === "all") byId("niche").value = given;
else chooseNiche(byId("niche"), given);
// The niches of the lab are known without a key. If the service does not answer, the map says so.
health().then(({ indices }) => {
  const niches = Object.keys(indices);
  const gone = fillNiches(byId("niche"), niches) ?? (given === null || isNicheName(given) ? null : given);
  if (gone !== null) sayGone(gone, niches);
}, () => {});
restoreChannel();
fillOrders();
wirePanels();
wireSearch(lab);
wirePictures(lab);
showAs("map");
takeKey();
onKeyGiven(start);
route(true);
start();

function start() {
  load();
  if (!currentKey()) return;
  if (!byId("video").hidden) route(); // The key was missing before.
  // Without the learnt channels, a person can still write the name of a channel.
  askForChannels().then(() => state.ownChannel && byId("channel").dispatchEvent(new Event("change")), () => {});
}

function restoreChannel() {
  let last = null;
  try {
    last = JSON.parse(localStorage.getItem(LAST));
  } catch {
    // The browser stores nothing, or the entry is damaged. The field then begins empty.
  }
  const name = last?.title ?? last?.channel;
  if (typeof name === "string") byId("channel").value = state.ownChannel = name;
}

// `benchmarks.library_page` measures the times of frames on this map.
Object.assign(window, { libraryMap: map });

// Which part of the page is shown: the map, the list, or a video. The address names the video, so that the browser can go back.

import { byId } from "../dom.js";
import { currentKey, NO_KEY, takeKey } from "../key.js";
import { drawList } from "./panels.js";
import { byVideoId } from "./search.js";
import { addressOf, redrawTiles } from "./sheet.js";
import { around, askForKey, changed, failed, map, model, state } from "./state.js";
import { leaveVideo, showVideo } from "./video.js";

const VIDEO = /^#video=(.+)$/;

let cameFrom = null; // The element from which a video was opened, and its address. The element gets the focus again.

export const lab = { state, changed, failed, showOnMap, canShow: (id) => (state.points?.find(id) ?? -1) >= 0, dropped: (work) => state.points !== null && toLook(work) };

export function showAs(what) {
  byId("frame-box").hidden = what === "list";
  byId("list-box").hidden = what !== "list";
  for (const each of ["map", "list"]) byId(`as-${each}`).setAttribute("aria-pressed", String(each === what));
  if (what === "map") map.resize();
  else if (model !== null) drawList(model);
}

// Show the part that the address names. `isFirst`: whether the page was opened just now.
export function route(isFirst = false) {
  takeKey();
  const found = VIDEO.exec(location.hash);
  const wasOpen = !byId("video").hidden;
  const from = document.activeElement;
  byId("look").hidden = found !== null;
  byId("video").hidden = found === null;
  if (found === null) {
    leaveVideo();
    document.title = "Library – Thumbnail Lab";
    if (!wasOpen) return;
    map.resize();
    redrawTiles();
    focusBack();
    return;
  }
  if (isFirst) history.replaceState({ isFirst }, "", location.href);
  if (!wasOpen) cameFrom = { element: from, hash: location.hash };
  window.scrollTo(0, 0);
  byId("video-title").focus();
  if (currentKey()) showVideo(decoded(found[1]), lab);
  else askForKey(NO_KEY);
}

// Go back from a video. If the page was opened with this video, the browser's history has no earlier part of this page, so show
// the map.
export function back() {
  if (!history.state?.isFirst) return history.back();
  history.replaceState(null, "", location.pathname + location.search);
  route();
}

// The list may have been drawn again meanwhile, so another link may lead to the same video.
function focusBack() {
  const links = [...document.querySelectorAll("#look a.video")].filter(({ hash }) => hash === cameFrom?.hash);
  const from = cameFrom?.element.matches("a, #frame") ? [cameFrom.element] : [];
  const places = [...from, ...links, byId("frame"), byId("as-list")];
  const canTake = (each) => each.isConnected && each.checkVisibility();
  places.find(canTake)?.focus();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function open(row) {
  location.hash = addressOf(state.points.id(row));
}

function toLook(work) {
  if (location.hash) {
    history.pushState(null, "", location.pathname + location.search);
    route();
  }
  showAs("map");
  work();
}

function showOnMap(id) {
  toLook(() => {
    const row = state.points.find(id);
    state.region = null;
    byVideoId(lab, id, state.points.title(row));
    const { x, y } = state.points;
    map.camera.fit(around(x[row], y[row], 0.04));
    map.move();
    byId("frame").focus();
  });
}

// Open the map of a niche. If there is no map, show the reason.

import { byId, line, say } from "../dom.js";
import { currentKey, NO_KEY, showKeyField } from "../key.js";
import { Cells } from "../map/cells.js";
import { loadMap } from "../map/loading.js";
import { Points } from "../map/points.js";
import { colourings } from "../map/scales.js";
import { goneWords } from "../niche_menu.js";
import { plural } from "../people/words.js";
import { nicheName } from "../words.js";
import { hideCard } from "./card.js";
import { drawGroups } from "./groups.js";
import { chooseGroup } from "./regions.js";
import { forgetAnswers } from "./search.js";
import { redrawTiles } from "./sheet.js";
import { askForKey, draw, failed, map, state } from "./state.js";

const NONE = "none"; // The value of the menu while no niche is chosen, because the address names one that the lab does not have.

let loads = 0; // The number of the newest call of `load`. Older calls show nothing.
let gone = false; // Whether the menu says that no niche is chosen.

export async function load() {
  if (byId("niche").value === NONE) return showKeyField(!currentKey());
  if (gone) takeBack();
  if (!currentKey()) return askForKey(NO_KEY);
  loads += 1;
  const mine = loads;
  forgetAnswers();
  hideCard();
  const niche = byId("niche").value;
  say("problem", "");
  byId("retry").hidden = true;
  byId("loading").hidden = false;
  byId("map-parts").setAttribute("aria-busy", "true");
  let loaded;
  try {
    loaded = await loadMap(niche, {
      arrived: () => mine === loads && arrived(),
      tiles: (tables) => {
        if (mine !== loads) return;
        say("problem", ""); // An earlier part of the map may have failed.
        take(new Points(tables));
      },
      failed: (error) => mine === loads && failed(error),
    });
  } catch (error) {
    if (mine !== loads) return;
    byId("loading").hidden = true;
    byId("map-parts").hidden = true;
    byId("map-parts").removeAttribute("aria-busy");
    byId("retry").hidden = [401, 403].includes(error.status);
    return failed(error);
  }
  if (mine !== loads) {
    loaded.atlas.close();
    return;
  }
  byId("loading").hidden = true;
  byId("map-parts").removeAttribute("aria-busy");
  showKeyField(false);
  begin(niche, loaded);
}

// Say that the address names a niche that the lab does not have, and offer those that it has.
export function sayGone(niche, niches) {
  loads += 1; // The map of this niche, which was requested already, is not shown.
  gone = true;
  byId("niche").add(new Option("Choose one", NONE), 0);
  byId("niche").value = NONE;
  for (const id of ["loading", "map-parts", "retry"]) byId(id).hidden = true;
  byId("map-parts").removeAttribute("aria-busy");
  say("problem", `${goneWords(niche)} Choose another one.`);
  const links = [["all", "All niches"], ...niches.map((one) => [one, nicheName(one)])].map(([value, name]) => {
    const item = document.createElement("li");
    const link = line("a", name);
    link.href = `library?niche=${value}`;
    item.append(link);
    return item;
  });
  byId("niches-left").replaceChildren(...links);
  byId("niches-left").hidden = false;
}

function takeBack() {
  gone = false;
  byId("niche").querySelector(`option[value="${NONE}"]`).remove();
  byId("niches-left").hidden = true;
}

// Show a new map as a whole. The filters stay, and the results of a search on another map are dropped.
function begin(niche, { points, tiles, atlas, clusters, total }) {
  state.tiles?.close();
  state.atlas?.close();
  Object.assign(state, { niche, tiles, atlas, clusters, total, found: null, region: null, points: null });
  byId("search").value = "";
  for (const id of ["place", "pictures-note"]) say(id, "");
  const words = niche === "all" ? "all niches" : nicheName(niche);
  history.replaceState(history.state, "", `${location.pathname}?niche=${niche}${location.hash}`);
  const isEmpty = total === 0;
  byId("map-parts").hidden = isEmpty;
  if (isEmpty) return say("problem", `The map of ${words} has no videos yet. Videos come with the next collection.`);
  map.resize();
  map.camera.show(tiles === null ? boundsOf(points) : { left: 0, top: 0, right: 1, bottom: 1 });
  drawGroups(clusters, chooseGroup);
  if (points !== null) take(points);
  else tiles.look(map.camera);
  byId("frame").setAttribute("aria-label", `Map of ${words}, ${plural(total, "video")}`);
}

// A page of an atlas has arrived, or could not be loaded.
function arrived() {
  map.draw();
  redrawTiles();
  say("pictures-note", state.atlas?.failures > 0 ? "Some pictures could not be loaded. Reload the page to try again." : "");
}

// Show these points: all of a map, or those of the tiles in sight.
function take(points) {
  state.points = points;
  state.cells = new Cells(points.x, points.y);
  const names = colourings(points, state.niche);
  const before = byId("colour").value || state.colour;
  byId("colour").replaceChildren(...names.map(([value, text]) => new Option(text, value)));
  byId("colour").value = names.some(([name]) => name === before) ? before : names[0]?.[0];
  state.colour = byId("colour").value;
  const lacking = points.missing.length === 0 ? "" : `An older version of the lab made this map. It lacks: ${points.missing.map((name) => name.replaceAll("_", " ")).join(", ")}. The next run of the asset library_map adds what is missing.`;
  say("older", lacking);
  draw();
}

function boundsOf({ x, y, length }) {
  const box = { left: 1, top: 1, right: 0, bottom: 0 };
  for (let row = 0; row < length; row += 1) {
    box.left = Math.min(box.left, x[row]);
    box.right = Math.max(box.right, x[row]);
    box.top = Math.min(box.top, y[row]);
    box.bottom = Math.max(box.bottom, y[row]);
  }
  return box;
}

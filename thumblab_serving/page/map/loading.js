// Load a map: its atlases, its points or the first tiles, and its groups. All of them must be of one release.

import { readArrow } from "./arrow.js";
import { Atlas } from "./atlas.js";
import { Points } from "./points.js";
import { atlasesOf, clustersOf, pointsOf } from "./service.js";
import { TileLoader } from "./tiles.js";

// Return {points, tiles, atlas, clusters, release, total}. `points` is null while a large map loads its first tiles. `on`:
// {arrived(), tiles(tables), failed(error)}. Throws an error with a message for people.
export async function loadMap(niche, on) {
  let loaded = await parts(niche);
  // A new map may have been published between the requests. Then the second try finds one release.
  if (!loaded.isWhole) loaded = await parts(niche);
  if (!loaded.isWhole) throw new Error("A new map is being published. Try again in a minute.");
  const { about, clusters, points, release } = loaded;
  const atlas = new Atlas(niche, about, on.arrived);
  if (points !== null) return { points, tiles: null, atlas, clusters, release, total: points.length };
  const tiles = new TileLoader(niche, about.tiles, release, { changed: on.tiles, failed: on.failed });
  return { points: null, tiles, atlas, clusters, release, total: tiles.total };
}

async function parts(niche) {
  const about = await atlasesOf(niche);
  const isLarge = Boolean(about.tiles?.levels?.length);
  const [groups, file] = await Promise.all([clustersOf(niche), isLarge ? null : pointsOf(niche)]);
  const releases = new Set([about.release, groups.release, file?.release ?? about.release]);
  const points = file === null ? null : new Points([readArrow(file.buffer)]);
  return { about, clusters: groups.clusters, points, release: about.release, isWhole: releases.size === 1 };
}

// Choose a part of the map: by lasso, by what is in sight, or a group.

import { byId } from "../dom.js";
import { plural } from "../people/words.js";
import { nameOf } from "./groups.js";
import { around, changed, draw, map, model, state } from "./state.js";

export function chooseRegion(region) {
  state.region = region;
  changed("region");
  byId("said").textContent = `${region.words}: ${plural(model.region.rows.length, "video")}.`;
}

export function chooseGroup(cluster) {
  chooseRegion({ level: cluster.level, id: cluster.id, words: `Group ${nameOf(cluster)}` });
  const { points, region } = model;
  if (region.rows.length > 0) {
    const box = { left: 1, top: 1, right: 0, bottom: 0 };
    for (const row of region.rows) {
      [box.left, box.right] = [Math.min(box.left, points.x[row]), Math.max(box.right, points.x[row])];
      [box.top, box.bottom] = [Math.min(box.top, points.y[row]), Math.max(box.bottom, points.y[row])];
    }
    map.camera.fit(box, 8);
  } else map.camera.fit(around(cluster.x, cluster.y, 0.05));
  map.move();
  byId("region-title").focus();
}

export function clearRegion() {
  state.region = null;
  draw();
}

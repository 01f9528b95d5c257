// The groups of the map as a list, with the traits of each group. A person can show a group on the map, and choose it as a
// region.

import { byId, button, line } from "../dom.js";
import { sentence } from "../for_operators.js";
import { plural } from "../people/words.js";

const AT_FIRST = 6;
const WIDE = 100; // With few channels, an interval may end at a hundred thousand. From this ratio of its ends on, it says nothing.

export const nameOf = ({ label, id }) => label.join(", ") || `Group ${id}`;

// `choose(cluster)` shows a group on the map.
export function drawGroups(clusters, choose) {
  const coarse = clusters.filter(({ level }) => level === 0).sort((a, b) => b.videos - a.videos);
  const more = byId("group-more");
  const show = (count) => {
    byId("group-list").replaceChildren(...coarse.slice(0, count).map((cluster) => group(cluster, clusters, choose)));
    more.hidden = coarse.length <= count;
  };
  more.textContent = `Show all ${coarse.length}`;
  more.onclick = () => {
    show(coarse.length);
    byId("group-list").children[AT_FIRST]?.querySelector("button").focus();
  };
  show(AT_FIRST);
  byId("groups").hidden = coarse.length === 0;
  byId("group-count").textContent = plural(coarse.length, "group");
}

function group(cluster, clusters, choose) {
  const item = line("li", "", "group");
  const parts = clusters.filter(({ level, parent }) => level === 1 && parent === cluster.id).sort((a, b) => b.videos - a.videos);
  item.append(open(cluster, choose), line("p", facts(cluster), "soft"));
  if (cluster.traits.length > 0) item.append(line("p", cluster.traits.map((trait) => sentence(trait)).join(" ")));
  if (parts.length > 1) {
    const fold = line("details", "");
    const inside = line("ul", "", "parts");
    for (const part of parts) inside.appendChild(line("li", "")).append(open(part, choose));
    fold.append(line("summary", `Its ${parts.length} parts`), inside);
    item.append(fold);
  }
  return item;
}

function open(cluster, choose) {
  const name = cluster.level === 1 ? `${nameOf(cluster)} (${cluster.videos.toLocaleString("en")})` : nameOf(cluster);
  return button(name, cluster.level === 1 ? "link part" : "link", () => choose(cluster));
}

function facts({ videos, channels, outlier_multiple: multiple, growth }) {
  return [
    `${plural(videos, "video")} of ${plural(channels, "channel")}`,
    multiple === null ? "" : `typically ${multiple.median.toFixed(1)}× the channel's usual (95% interval ${multiple.low.toFixed(1)} to ${multiple.high.toFixed(1)})`,
    growthOf(growth),
  ].filter(Boolean).join(" · ");
}

function growthOf({ ratio, low, high, rising }) {
  if (ratio === null) return "too few new videos to say whether it grows";
  if (low !== null && high >= WIDE * low) return "too few channels to say whether it grows";
  const range = low === null ? "" : ` (95% interval ${low.toFixed(1)} to ${high.toFixed(1)})`;
  return `${rising ? "rising: " : ""}its share of the new videos is ${ratio.toFixed(1)} times its share in the weeks before${range}`;
}

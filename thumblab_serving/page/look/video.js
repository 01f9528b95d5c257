// The page of a video: what the lab has of it, with its versions over time, its sub-scores and its neighbours.

import { byId, button, image, line, moment, percent, say, undirected } from "../dom.js";
import { summary } from "../evidence.js";
import { sentence } from "../for_operators.js";
import { libraryImage, loadPictures, urlOf } from "../library.js";
import { plural } from "../people/words.js";
import { factsOf as nearFacts, nicheName, placedIn, SUB_SCORES } from "../words.js";
import { historyChart } from "./chart.js";
import { videoOf, versionOf } from "../map/service.js";
import { addressOf } from "./sheet.js";

const YOUTUBE_ID = /^[A-Za-z0-9_-]{11}$/;

let asked = 0; // The number of the newest request. The answers of older requests are dropped.

// Show a video. `lab`: {failed(error, id), showOnMap(id), canShow(id)}. Late answers to earlier calls are dropped.
export async function showVideo(id, lab) {
  asked += 1;
  const mine = asked;
  byId("video-title").textContent = "Loading the video…";
  say("video-problem", "");
  byId("video-parts").replaceChildren();
  let video;
  try {
    video = await videoOf(id);
  } catch (error) {
    if (mine !== asked) return;
    byId("video-title").textContent = error.status === 404 ? "The lab does not know this video" : "The video could not be loaded";
    lab.failed(error, "video-problem");
    return;
  }
  if (mine !== asked) return;
  video.title = undirected(video.title);
  byId("video-title").textContent = video.title;
  document.title = `${video.title} – Library – Thumbnail Lab`;
  byId("video-parts").replaceChildren(...[head(video, lab), ...versions(video), ...views(video), ...scores(video), ...clicks(video), ...neighbours(video), ...limits(video)]);
  const named = [{ video_id: id, similarity: 1 }, ...video.neighbours];
  await loadPictures({ thumbnails: [{ neighbours: named }] });
  if (mine !== asked) return;
  if (urlOf(id) === null) byId("video-picture").replaceChildren(line("p", "The lab has no picture of this video.", "soft"));
}

// Drop the answer about the video, because the person has left it.
export function leaveVideo() {
  asked += 1;
}

function section(id, title, ...content) {
  const node = line("section", "", "panel");
  node.setAttribute("aria-labelledby", id);
  const heading = line("h3", title);
  heading.id = id;
  node.append(heading, ...content);
  return node;
}

function head(video, lab) {
  const node = line("section", "", "panel video-head");
  node.setAttribute("aria-label", "The video");
  const picture = line("div", "", "video-picture");
  picture.id = "video-picture";
  const shown = libraryImage(video.video_id);
  shown.alt = `The thumbnail of “${video.title}”`;
  picture.append(shown);
  const facts = line("dl", "", "facts");
  const count = (value) => (value === null ? "not known" : Math.round(value).toLocaleString("en"));
  for (const [name, value] of [
    ["Channel", video.channel],
    ["Niche", nicheName(video.niche)],
    ["Published", `${moment(video.published_at)}, ${plural(video.age_days, "day")} ago`],
    ["Views", count(video.views)],
    ["Views per hour", count(video.views_per_hour)],
    ["Outlier multiple", video.outlier_multiple === null ? "not known: the channel has no baseline" : `${video.outlier_multiple.toFixed(1)}× its channel's usual`],
    ["Winner", video.winner === null ? "not known" : video.winner ? "yes" : "no"],
    ["Length", video.duration_s === null ? "not known" : lengthOf(video.duration_s)],
  ]) {
    const row = line("div", "");
    row.append(line("dt", name), line("dd", value));
    facts.append(row);
  }
  const actions = line("div", "", "actions");
  if (lab.canShow(video.video_id)) actions.append(button("Show it on the map", "quiet", () => lab.showOnMap(video.video_id)));
  if (YOUTUBE_ID.test(video.video_id)) {
    const link = line("a", "Watch it on YouTube");
    Object.assign(link, { href: `https://www.youtube.com/watch?v=${video.video_id}`, rel: "noreferrer noopener", target: "_blank" });
    actions.append(link);
  }
  node.append(picture, facts, actions);
  return node;
}

const lengthOf = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

function table(caption, head, rows) {
  const frame = line("div", "", "grid-frame");
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", caption);
  frame.tabIndex = 0;
  const node = line("table", "");
  const top = line("thead", "");
  const names = line("tr", "");
  for (const name of head) Object.assign(names.appendChild(line("th", name)), { scope: "col" });
  top.append(names);
  const body = line("tbody", "");
  for (const cells of rows) {
    const row = line("tr", "");
    for (const cell of cells) row.appendChild(line("td", "")).append(cell);
    body.append(row);
  }
  node.append(top, body);
  frame.append(node);
  return frame;
}

function versions({ video_id: id, thumbnails }) {
  if (thumbnails.length === 0) return [];
  const rows = [...thumbnails].reverse().map((each) => [
    versionPicture(id, each),
    undirected(each.title),
    `${moment(each.first_seen)} to ${each.current ? "now" : moment(each.last_seen)}`,
    each.views === null ? "not known" : each.views.toLocaleString("en"),
    each.views_per_hour === null ? "not known" : Math.round(each.views_per_hour).toLocaleString("en"),
  ]);
  const note = thumbnails.some((each) => each.earlier_deleted) ? [line("p", "Earlier versions were deleted.", "soft")] : [];
  const changed = thumbnails.length > 1 ? `The lab saw ${thumbnails.length} versions. Views per hour fall with age, so a later version with fewer views per hour need not be worse.` : "The lab saw one version.";
  return [section("versions-title", "Versions of the thumbnail", line("p", changed, "soft"), table("The versions as a table", ["Picture", "Title then", "Shown", "Views meanwhile", "Views per hour"], rows), ...note)];
}

// Return a frame with the picture of a version. The picture arrives later. If the lab has lost it, the frame says so.
function versionPicture(id, { sha256, first_seen: since }) {
  const frame = line("span", "", "tile-frame version");
  versionOf(id, sha256).then(
    (blob) => {
      const picture = image(URL.createObjectURL(blob), `The thumbnail from ${moment(since)} on`);
      picture.addEventListener("load", () => URL.revokeObjectURL(picture.src), { once: true });
      frame.replaceChildren(picture);
    },
    () => frame.replaceChildren(line("span", "no picture", "soft")),
  );
  return frame;
}

function views({ history, thumbnails, views_at_age: atAge }) {
  const changes = thumbnails.slice(1).map((each) => each.first_seen);
  const chart = historyChart(history, changes);
  const ages = Object.entries(atAge).map(([hours, count]) => `${Math.round(count).toLocaleString("en")} after ${plural(Number(hours), "hour")}`);
  const content = [chart ?? line("p", history.length === 0 ? "The lab has not observed its views yet." : "The lab has observed its views once, so there is no curve yet.", "soft")];
  if (ages.length > 0) content.push(line("p", `Views at a fixed age: ${ages.join(", ")}.`));
  if (chart !== null) {
    const fold = line("details", "");
    fold.append(line("summary", "The counts as a table"), table("Counts over time", ["Observed", "Views", "Likes", "Comments"], history.map((each) => [moment(each.observed_at), ...[each.views, each.likes, each.comments].map((count) => count?.toLocaleString("en") ?? "not known")])));
    content.push(fold);
  }
  return [section("views-title", "Views over time", ...content)];
}

function scores({ measured, niche }) {
  if (measured === null) return [section("scores-title", "What was measured", line("p", "This thumbnail was not measured yet.", "soft"))];
  const list = line("ul", "", "scores");
  for (const [name, words] of Object.entries(SUB_SCORES)) {
    const sub = measured.sub_scores[name];
    if (!sub) continue;
    const item = line("li", "");
    const row = line("div", "", "row");
    row.append(line("span", words), line("span", placedIn(sub, niche)));
    const bar = line("div", "", "bar");
    bar.setAttribute("aria-hidden", "true");
    const filled = bar.appendChild(line("i", ""));
    // The Content-Security-Policy forbids style attributes, but allows setting a property.
    filled.style.width = percent((sub.niche_percentile ?? 100 * (sub.value ?? 0)) / 100);
    item.append(row, bar, line("p", sentence(sub.reason), "soft"));
    list.append(item);
  }
  const seen = measured.evidence === null ? [] : [line("p", summary(measured.evidence))];
  return [section("scores-title", "What was measured", ...seen, list)];
}

function clicks({ click_through: known }) {
  if (known === null) return [];
  const rate = `${(100 * known.click_through_rate).toFixed(1)}% of ${known.impressions.toLocaleString("en")} impressions, until ${known.until}.`;
  return [section("clicks-title", "Click-through rate", line("p", rate), line("p", "From the owner's own reports. Only the owner of the channel sees this rate.", "soft"))];
}

function neighbours({ neighbours: near }) {
  if (near.length === 0) return [];
  const list = line("ul", "", "sheet");
  for (const item of near) {
    const node = line("li", "");
    const link = line("a", "", "video");
    link.href = addressOf(item.video_id);
    const frame = line("span", "", "tile-frame");
    frame.append(libraryImage(item.video_id));
    const words = line("span", "", "video-words");
    words.append(line("span", item.title, "video-title"), line("small", nearFacts(item)));
    link.append(frame, words);
    node.append(link);
    list.append(node);
  }
  return [section("near-title", "Most similar thumbnails", list)];
}

function limits({ degraded }) {
  if (degraded.length === 0) return [];
  const list = line("ul", "", "degraded");
  list.append(...degraded.map((text) => line("li", sentence(text))));
  return [list];
}

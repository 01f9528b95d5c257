"use strict";

// Text from the service or from a file is only ever set as textContent, so it cannot become HTML.

const MAX_PICTURES = 5;
const IMAGE_TYPES = ["image/jpeg", "image/png", "image/webp"];
const KEY_NAME = "thumblab-key"; // sessionStorage keeps the API key under this name.
// The pattern matches what the service accepts, see `CHANNEL` in `schemas/request.py`.
const CHANNEL = /^((https?:\/\/)?(www\.|m\.)?youtube\.com\/channel\/[\w-]{1,64}([/?#].*)?|[\w-]{1,64})$/;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;
const BLANKS = /[\u115f\u1160\u2800\u3164\uffa0]/g; // These letters and this symbol have no visible shape.
const SUB_SCORES = {
  clarity: "Clarity",
  prominence: "Prominence",
  contrast: "Contrast",
  emotion: "Emotion",
  hierarchy: "Hierarchy",
  title_match: "Title match",
};

const NO_SKILL =
  "The model was not shown to order such pictures better than chance, so it names no winner. Read what was measured, and test the pictures you like.";

const EVIDENCE = "Mean percentile in the niche of what was measured of every picture. It was not shown to predict views.";

const byId = (id) => document.getElementById(id);
const percent = (value) => `${Math.round(value * 100)}%`;

let chosen = []; // {file, url} of each chosen picture. `url` is an object URL of the file.
let cardUrls = []; // The cards of the last answer use these object URLs.
let answeredQuestion = null; // This is the question of the answer on the page.
let degraded = []; // This was missing for the answer on the page.
let missing = []; // The service lacks this for every measurement. It is shown once, and not with every answer.

// --- The API key comes from the URL's fragment, which is never sent to a server. It is kept for this tab only. ---

function takeKey() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    sessionStorage.setItem(KEY_NAME, key);
    history.replaceState(null, "", location.pathname + location.search);
  }
  showKeyField(!sessionStorage.getItem(KEY_NAME));
}

function showKeyField(visible) {
  byId("key-field").hidden = !visible;
}

function currentKey() {
  const typed = byId("key").value.trim();
  if (typed) sessionStorage.setItem(KEY_NAME, typed);
  return sessionStorage.getItem(KEY_NAME);
}

// --- choosing pictures ---

function choose(files) {
  const all = [...files];
  const pictures = all.filter((file) => IMAGE_TYPES.includes(file.type));
  const others = all.filter((file) => !IMAGE_TYPES.includes(file.type));
  const room = MAX_PICTURES - chosen.length;
  for (const file of pictures.slice(0, room)) chosen.push({ file, url: URL.createObjectURL(file) });
  const tooMany = pictures.slice(room);
  showLeftOut([
    others.length > 0 ? `Left out: ${names(others)}. Only JPEG, PNG and WebP pictures can be ranked.` : "",
    tooMany.length > 0 ? `Left out: ${names(tooMany)}. At most ${MAX_PICTURES} are compared; remove one first.` : "",
  ]);
  drawChosen();
}

function names(files) {
  const more = files.length > 3 ? ` and ${files.length - 3} more` : "";
  return files.slice(0, 3).map((file) => file.name).join(", ") + more;
}

function showLeftOut(sentences) {
  const text = sentences.filter(Boolean).join("\n");
  byId("left-out").textContent = text;
  byId("left-out").hidden = !text;
}

function remove(entry) {
  chosen = chosen.filter((other) => other !== entry);
  if (!cardUrls.includes(entry.url)) URL.revokeObjectURL(entry.url);
  showLeftOut([]);
  drawChosen();
  byId("files").focus();
}

function drawChosen() {
  byId("chosen").replaceChildren(
    ...chosen.map((entry) => {
      const item = document.createElement("li");
      const image = document.createElement("img");
      image.src = entry.url;
      image.alt = "";
      const name = document.createElement("p");
      name.textContent = entry.file.name;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "×";
      button.setAttribute("aria-label", `Remove ${entry.file.name}`);
      button.addEventListener("click", () => remove(entry));
      item.append(image, name, button);
      return item;
    }),
  );
  markIfOutdated();
}

// --- the question, and whether the answer on the page is outdated ---

function question() {
  return JSON.stringify([
    byId("title").value.trim(),
    byId("niche").value,
    byId("channel").value.trim(),
    chosen.map((entry) => entry.url),
  ]);
}

function markIfOutdated() {
  const outdated = answeredQuestion !== null && answeredQuestion !== question();
  byId("outdated").hidden = !outdated;
  byId("result").classList.toggle("outdated", outdated);
}

// --- asking ---

function showStatus(text) {
  byId("status").textContent = text;
}

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

async function ask() {
  const form = new FormData();
  form.append("title", byId("title").value);
  form.append("category", byId("niche").value);
  const channel = byId("channel").value.trim();
  if (channel) form.append("channel_id", channel);
  for (const { file } of chosen) form.append("thumbnails", file, file.name);
  const reply = await fetch("v1/score", { method: "POST", body: form, headers: { "X-API-Key": currentKey() } });
  const answer = await reply.json();
  if (reply.status === 401) {
    sessionStorage.removeItem(KEY_NAME);
    showKeyField(true);
    byId("key").focus();
  }
  if (!reply.ok) throw new Error(answer.detail);
  return answer;
}

async function submit(event) {
  event.preventDefault();
  showProblem("");
  const invalid = firstInvalidField();
  if (invalid) {
    byId(invalid[0]).focus();
    showProblem(invalid[1]);
    return;
  }
  byId("go").disabled = true;
  showStatus("Measuring and ranking the thumbnails…");
  const [sent, sentQuestion] = [[...chosen], question()];
  try {
    const answer = await ask();
    showKeyField(false);
    byId("key").value = "";
    draw(answer, sent);
    answeredQuestion = sentQuestion;
    markIfOutdated();
    showLabNotes(); // The result is not awaited, because /health may load a release and then takes long.
  } catch (error) {
    showProblem(error instanceof TypeError ? "The service cannot be reached. Is it running?" : error.message);
  } finally {
    byId("go").disabled = false;
    showStatus("");
  }
}

// Return the id of the first invalid field and what to do about it, or null.
function firstInvalidField() {
  const channel = byId("channel").value.trim();
  if (!VISIBLE.test(byId("title").value.replace(BLANKS, ""))) return ["title", "Give the title of the video."];
  if (channel.includes("@")) {
    return ["channel", `A @handle cannot be looked up here. Give the channel's id, which begins with UC: \`thumblab channel add HANDLE\` prints it.`];
  }
  if (channel && !CHANNEL.test(channel)) {
    return ["channel", "Give the channel's id, which begins with UC, or its URL that ends with the id; or leave the field empty."];
  }
  if (chosen.length < 2) return ["files", "Choose at least two thumbnails to compare."];
  if (!currentKey()) return ["key", "Give the API key; `thumblab key` prints it."];
  return null;
}

// --- the answer ---

// Return the near-identical group of a candidate, which is empty if the candidate is in no group.
function groupOf(name, answer) {
  return answer.near_identical.find((group) => group.includes(name)) ?? [];
}

function verdict(answer) {
  const group = groupOf(answer.winner, answer);
  const standsFor = group.length === 0 ? "" : ` It stands for its near-identical group: ${group.join(", ")}.`;
  const chance = answer.confidence === null ? "" : `Chance to beat the second: ${percent(answer.confidence)}.${standsFor}`;
  switch (answer.verdict) {
    case "clear":
      return ["", `${answer.winner} wins`, `A clear lead. ${chance}`];
    case "leaning":
      return ["", `Leaning to ${answer.winner}`, `Ahead, but not by much. ${chance}`];
    case "too_close_to_call":
      if (answer.thumbnails.every((thumbnail) => thumbnail.rank === null || group.includes(thumbnail.id))) {
        return ["unsure", "Too close to call", "The pictures are near-identical. Choose the one you like."];
      }
      return ["unsure", "Too close to call", `${answer.winner} is first. ${chance} Choose the one you like, or test both.`];
    case "only_one":
      return ["unsure", answer.winner === null ? "Only one could be read" : `Only ${answer.winner} could be ranked`, "There is nothing to compare it with."];
    case "no_skill":
      return ["unsure", answer.ordered_by === null ? "No skill here: not ordered" : "No skill here: ordered by evidence", NO_SKILL];
    case "no_verdict":
      return ["none", "No verdict", "Too few of these pictures are like those that the model was trained on."];
    default:
      return ["none", "None of these could be read", "Each card below says why."];
  }
}

// Show the notes that hold for every answer of this lab. If /health fails, the answers themselves say what was missing.
async function showLabNotes() {
  let notes = [];
  try {
    const health = await (await fetch("health")).json();
    missing = health.meter.missing;
    const sentences = missing.map((text) => `${capital(text)}. Everything else is measured.`);
    notes = [...(health.library_note ? [health.library_note] : []), ...sentences];
  } catch {
    missing = [];
  }
  byId("notes").replaceChildren(...notes.map((text) => line("li", text)));
  byId("notes").hidden = notes.length === 0;
  drawDegraded();
}

// Show what was missing for the answer. Leave out what the notes about the lab already say.
function drawDegraded() {
  const sentences = degraded.filter((text) => !missing.includes(text));
  byId("degraded").replaceChildren(...sentences.map((text) => line("li", `${capital(text)}.`)));
  byId("degraded").hidden = sentences.length === 0;
}

// The reason why an answer is not adapted is among the degraded sentences.
function adaptation(channel) {
  if (channel === null) return "";
  if (!channel.adapted) return `Not adapted to ${channel.channel_id}.`;
  return `Adapted to the channel ${channel.channel_id} with ${channel.videos} of its videos.`;
}

function draw(answer, sent) {
  const [kind, heading, explanation] = verdict(answer);
  byId("banner").className = `banner ${kind}`;
  byId("verdict").textContent = heading;
  byId("explain").textContent = explanation;

  // A skill that was not shown to be better than chance is among the degraded sentences.
  const skilled = answer.verdict !== "no_skill" && answer.skill !== null && answer.skill.low !== null && answer.skill.low > 0.5;
  byId("skill").textContent = skilled ? answer.skill.summary : "";
  byId("skill").hidden = !skilled;

  byId("adapted").textContent = adaptation(answer.channel);
  byId("adapted").hidden = answer.channel === null;

  degraded = answer.degraded;
  drawDegraded();

  // Match pictures by position, which the answer keeps: file names may repeat.
  const pairs = answer.thumbnails.map((thumbnail, row) => ({ thumbnail, url: sent[row].url }));
  pairs.sort((a, b) => (a.thumbnail.rank ?? Infinity) - (b.thumbnail.rank ?? Infinity));
  for (const url of cardUrls) if (!chosen.some((entry) => entry.url === url)) URL.revokeObjectURL(url);
  cardUrls = pairs.map((pair) => pair.url);
  byId("cards").replaceChildren(...pairs.map(({ thumbnail, url }) => card(thumbnail, url, answer)));
  showOverlays(overlaysShown());

  byId("releases").textContent = `Model ${answer.releases.model} · index ${answer.releases.index ?? "none"}`;
  byId("result").hidden = false;
  byId("verdict").focus({ preventScroll: true });
  byId("result").scrollIntoView({ block: "start" });
}

function card(thumbnail, url, answer) {
  const { niche, verdict, score_among: among } = answer;
  const noSkill = verdict === "no_skill" || answer.ordered_by === "evidence";
  const node = byId("card").content.cloneNode(true);
  const find = (selector) => node.querySelector(selector);
  find("img").src = url;
  find("img").alt = thumbnail.id;
  find(".name").textContent = thumbnail.id;
  find(".name").title = thumbnail.id;
  if (thumbnail.error) {
    find(".card").classList.add("failed");
    find(".place").textContent = "Not ranked";
    find(".error").textContent = thumbnail.error;
    find(".error").hidden = false;
    find(".scored").remove();
    find(".overlay").remove();
    return node;
  }
  if (thumbnail.rank === 1 && !noSkill) find(".card").classList.add("first");
  const ranked = noSkill ? `#${thumbnail.rank} by evidence` : `#${thumbnail.rank}`;
  find(".place").textContent = thumbnail.rank === null ? "Not ranked" : ranked;
  if (verdict === "only_one") {
    find(".chance-name").textContent = "The only one that is ranked: there is nothing to compare it with";
    find(".chance-value").remove();
    find(".chance .bar").remove();
  } else if (thumbnail.win_probability === null) find(".chance").remove();
  else {
    find(".chance-value").textContent = percent(thumbnail.win_probability);
    fill(find(".chance .bar i"), thumbnail.win_probability);
    const group = groupOf(thumbnail.id, answer);
    const members = answer.thumbnails.filter((other) => group.includes(other.id) && other.win_probability !== null);
    const together = members.reduce((sum, member) => sum + member.win_probability, 0);
    if (members.length > 1) find(".chance-name").textContent = `Its share of the group's chance of ${percent(together)}`;
  }
  if (noSkill) {
    find(".score-name").textContent = "Evidence";
    find(".score-name").title = EVIDENCE;
  } else if (among === "channel") find(".score-name").textContent = "Score in channel";
  const figure = noSkill ? thumbnail.evidence_mean : thumbnail.score;
  find(".score").append(...(figure === null ? ["–"] : [Math.round(figure), of100()]));
  const engagement = thumbnail.predicted_engagement;
  if (engagement === null) find(".engagement").textContent = "–";
  else {
    find(".engagement").textContent = engagement.value.toFixed(engagement.kind === "proxy" ? 2 : 3);
    find(".engagement-name").title = engagement.meaning;
    find(".engagement-name small").textContent = engagement.kind === "proxy" ? " proxy" : " CTR";
  }
  const unit = thumbnail.similarity_source === "default" ? line("small", " default") : of100();
  find(".similarity").append(Math.round(thumbnail.similarity_score), unit);
  frame(find(".overlay"), thumbnail.evidence);
  find(".seen").textContent = summary(thumbnail.evidence);
  const subs = Object.entries(thumbnail.sub_scores).map(([name, sub]) => subScore(name, sub, niche));
  find(".subs").replaceChildren(...subs);
  if (thumbnail.neighbours.length === 0) find(".near-title").remove();
  else if (!thumbnail.neighbours[0].winner) find(".near-title").textContent = "Most similar, no winners";
  find(".near").replaceChildren(...thumbnail.neighbours.slice(0, 3).map(neighbour));
  return node;
}

function subScore(name, sub, niche) {
  const node = byId("sub").content.cloneNode(true);
  const item = node.querySelector("li");
  node.querySelector(".sub-name").textContent = SUB_SCORES[name] ?? name;
  const reason = node.querySelector(".sub-reason");
  reason.append(line(sub.fix ? "b" : "span", `${capital(sub.reason)}.`), sub.fix ? ` ${capital(sub.fix)}.` : "");
  if (sub.value === null) {
    item.className = "unmeasured";
    node.querySelector(".sub-value").textContent = "not measured";
    return node;
  }
  // Text and bar show the same figure. It is the percentile in the niche, or the value if there is no percentile.
  const placed = sub.niche_percentile !== null;
  const share = placed ? sub.niche_percentile / 100 : sub.value;
  item.classList.toggle("weak", sub.weak);
  item.classList.toggle("mend", sub.fix !== null);
  node.querySelector(".bar").classList.toggle("placed", placed);
  node.querySelector(".sub-value").textContent = placed
    ? `above ${percent(share)} of ${niche}`
    : `${Math.round(share * 100)} of 100, not compared with ${niche}`;
  fill(node.querySelector(".bar i"), share);
  return node;
}

// --- what was detected: frames over the picture, and the same in words for people who cannot see them ---

const SVG = "http://www.w3.org/2000/svg";

function frame(overlay, evidence) {
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

function summary(evidence) {
  const quoted = (evidence.texts ?? []).map((text) => `“${text.text}”`).join(" ");
  const unread = evidence.unread.length === 0 ? "" : "text that could not be read";
  const parts = [quoted ? `It says ${quoted}` : "", unread ? (quoted ? `and has ${unread}` : `It has ${unread}`) : ""];
  const read = evidence.texts === null ? "Text was not looked for" : parts.filter(Boolean).join(" ") || "No text in it";
  const count = evidence.faces?.length;
  const faces = count === undefined ? "faces were not looked for" : count === 0 ? "no face" : count === 1 ? "one face" : `${count} faces`;
  const hidden =
    evidence.badge_overlap >= 0.05 ? `; the length badge hides ${percent(evidence.badge_overlap)} of a text, a face or the subject` : "";
  return `${read}; ${faces}${hidden}.`;
}

function overlaysShown() {
  return byId("see").getAttribute("aria-pressed") === "true";
}

function showOverlays(on) {
  byId("see").setAttribute("aria-pressed", String(on));
  byId("legend").hidden = !on;
  for (const overlay of document.querySelectorAll(".overlay")) overlay.toggleAttribute("hidden", !on);
}

function neighbour(near) {
  const item = document.createElement("li");
  const title = document.createElement(/^https?:\/\//.test(near.url ?? "") ? "a" : "span");
  if (title.tagName === "A") {
    title.href = near.url;
    title.rel = "noreferrer noopener";
    title.target = "_blank";
  }
  title.textContent = near.title;
  const multiple = near.outlier_multiple === null ? "" : ` · ${near.outlier_multiple.toFixed(1)}× its channel's usual`;
  const views = Math.round(near.views_per_hour).toLocaleString("en");
  item.append(title, line("small", `${near.channel} · ${views} views per hour${multiple} · ${percent(near.similarity)} similar`));
  return item;
}

function line(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

function of100() {
  return line("small", " / 100");
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function fill(bar, share) {
  // The width is set after the first paint, so that the bar grows. The Content-Security-Policy forbids style attributes,
  // but allows setting a property.
  requestAnimationFrame(() => requestAnimationFrame(() => (bar.style.width = percent(share))));
}

// --- wiring ---

takeKey();
window.addEventListener("hashchange", takeKey);
byId("form").addEventListener("submit", submit);
byId("see").addEventListener("click", () => showOverlays(!overlaysShown()));
byId("files").addEventListener("change", (event) => {
  choose(event.target.files);
  event.target.value = ""; // Without this, a removed file could not be chosen again.
});
for (const kind of ["input", "change"]) byId("form").addEventListener(kind, markIfOutdated);

// Accept drops anywhere on the page. Otherwise, the browser would leave the page and open the dropped file.
const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
const isTyping = (event) => !carriesFiles(event) && event.target.matches?.("input[type=text], input[type=password]");
for (const kind of ["dragenter", "dragover"]) {
  window.addEventListener(kind, (event) => {
    if (isTyping(event)) return;
    event.preventDefault();
    byId("drop").classList.toggle("over", carriesFiles(event));
  });
}
window.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) byId("drop").classList.remove("over");
});
window.addEventListener("drop", (event) => {
  byId("drop").classList.remove("over");
  if (isTyping(event)) return;
  event.preventDefault();
  if (carriesFiles(event)) choose(event.dataTransfer.files);
  else showLeftOut(["That was not a file. Save the picture first, then choose it or drop it here."]);
});
showLabNotes();

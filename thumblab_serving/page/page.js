"use strict";

// Everything that came from a service or a file goes into the page as textContent: nothing here makes HTML from text.

const MOST = 5;
const KINDS = ["image/jpeg", "image/png", "image/webp"];
const KEY = "thumblab-key";
// As the service takes it, see `schemas.py`.
const CHANNEL = /^((https?:\/\/)?(www\.|m\.)?youtube\.com\/channel\/[\w-]{1,64}([/?#].*)?|[\w-]{1,64})$/;
const SEEN = /[\p{L}\p{N}\p{P}\p{S}]/u;
const BLANKS = /[\u115f\u1160\u2800\u3164\uffa0]/g; // letters and a symbol that show nothing
const NAMES = {
  clarity: "Clarity",
  prominence: "Prominence",
  contrast: "Contrast",
  emotion: "Emotion",
  hierarchy: "Hierarchy",
  title_match: "Title match",
};

const byId = (id) => document.getElementById(id);
const percent = (value) => `${Math.round(value * 100)}%`;

let chosen = []; // {file, url}: url is an object URL of the file
let shown = []; // object URLs that the cards of the last answer still use
let answered = null; // the question of the answer that is shown
let degraded = []; // what was missing for the answer that is shown
let missing = []; // what this service measures without, which is told once and not with every answer

// --- the key: from the fragment, which never travels to a server, then kept for this tab only ---

function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  askForKey(!sessionStorage.getItem(KEY));
}

function askForKey(ask) {
  byId("key-field").hidden = !ask;
}

function currentKey() {
  const typed = byId("key").value.trim();
  if (typed) sessionStorage.setItem(KEY, typed);
  return sessionStorage.getItem(KEY);
}

// --- choosing pictures ---

function choose(files) {
  const given = [...files];
  const pictures = given.filter((file) => KINDS.includes(file.type));
  const others = given.filter((file) => !KINDS.includes(file.type));
  const room = MOST - chosen.length;
  for (const file of pictures.slice(0, room)) chosen.push({ file, url: URL.createObjectURL(file) });
  const beyond = pictures.slice(room);
  leaveOut([
    others.length > 0 ? `Left out: ${names(others)}. Only JPEG, PNG and WebP pictures can be ranked.` : "",
    beyond.length > 0 ? `Left out: ${names(beyond)}. At most ${MOST} are compared; remove one first.` : "",
  ]);
  drawChosen();
}

function names(files) {
  const more = files.length > 3 ? ` and ${files.length - 3} more` : "";
  return files.slice(0, 3).map((file) => file.name).join(", ") + more;
}

function leaveOut(sentences) {
  const text = sentences.filter(Boolean).join("\n");
  byId("left-out").textContent = text;
  byId("left-out").hidden = !text;
}

function remove(entry) {
  chosen = chosen.filter((other) => other !== entry);
  if (!shown.includes(entry.url)) URL.revokeObjectURL(entry.url);
  leaveOut([]);
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
  compare();
}

// --- the question, and whether the answer that is shown is still to it ---

function question() {
  return JSON.stringify([
    byId("title").value.trim(),
    byId("niche").value,
    byId("channel").value.trim(),
    chosen.map((entry) => entry.url),
  ]);
}

function compare() {
  const outdated = answered !== null && answered !== question();
  byId("outdated").hidden = !outdated;
  byId("result").classList.toggle("outdated", outdated);
}

// --- asking ---

function say(text) {
  byId("status").textContent = text;
}

function complain(text) {
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
    sessionStorage.removeItem(KEY);
    askForKey(true);
    byId("key").focus();
  }
  if (!reply.ok) throw new Error(answer.detail);
  return answer;
}

async function submit(event) {
  event.preventDefault();
  complain("");
  const wrong = whatIsWrong();
  if (wrong) {
    byId(wrong[0]).focus();
    complain(wrong[1]);
    return;
  }
  byId("go").disabled = true;
  say("Looking at them…");
  const [asked, asking] = [[...chosen], question()];
  try {
    const answer = await ask();
    askForKey(false);
    byId("key").value = "";
    draw(answer, asked);
    answered = asking;
    compare();
    tellOfTheLab(); // beside the answer: /health may load a release
  } catch (error) {
    complain(error instanceof TypeError ? "The service cannot be reached. Is it running?" : error.message);
  } finally {
    byId("go").disabled = false;
    say("");
  }
}

// The field to mend and what to do, or null.
function whatIsWrong() {
  const channel = byId("channel").value.trim();
  if (!SEEN.test(byId("title").value.replace(BLANKS, ""))) return ["title", "Give the title of the video."];
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

function verdict(answer) {
  const chance = answer.confidence === null ? "" : `${percent(answer.confidence)} to beat the second`;
  switch (answer.verdict) {
    case "clear":
      return ["", `${answer.winner} wins`, `A clear lead: ${chance}.`];
    case "leaning":
      return ["", `Leaning to ${answer.winner}`, `Ahead, but not by much: ${chance}.`];
    case "too_close_to_call":
      return ["unsure", "Too close to call", `${answer.winner} is first with only ${chance}. Choose by taste, or test both.`];
    case "only_one":
      return ["unsure", `Only ${answer.winner} could be ranked`, "There is nothing to compare it with."];
    case "no_verdict":
      return ["none", "No verdict", "Too few of these are like anything that the model has learnt."];
    default:
      return ["none", "None of these could be read", "Each says why below."];
  }
}

// What is true of this lab whatever is asked. Where it cannot be had, the answers still say what was missing.
async function tellOfTheLab() {
  let told = [];
  try {
    const health = await (await fetch("health")).json();
    missing = health.meter.missing;
    told = [...(health.library_note ? [health.library_note] : []), ...missing.map((text) => `${capital(text)}. All else is measured.`)];
  } catch {
    missing = [];
  }
  byId("notes").replaceChildren(...told.map((text) => line("li", text)));
  byId("notes").hidden = told.length === 0;
  drawDegraded();
}

// What the notes say already is not said again.
function drawDegraded() {
  const left = degraded.filter((text) => !missing.includes(text));
  byId("degraded").replaceChildren(...left.map((text) => line("li", `${capital(text)}.`)));
  byId("degraded").hidden = left.length === 0;
}

// Why it is not adapted stands among what was missing.
function adaptation(channel) {
  if (channel === null) return "";
  if (!channel.adapted) return `Not adapted to ${channel.channel_id}.`;
  return `Adapted to the channel ${channel.channel_id}, by ${channel.videos} of its videos.`;
}

function draw(answer, asked) {
  const [kind, heading, explanation] = verdict(answer);
  byId("banner").className = `banner ${kind}`;
  byId("verdict").textContent = heading;
  byId("explain").textContent = explanation;

  byId("adapted").textContent = adaptation(answer.channel);
  byId("adapted").hidden = answer.channel === null;

  degraded = answer.degraded;
  drawDegraded();

  // The answer keeps the order of the request, so pictures are matched by position: file names may repeat.
  const pairs = answer.thumbnails.map((thumbnail, row) => ({ thumbnail, url: asked[row].url }));
  pairs.sort((a, b) => (a.thumbnail.rank ?? Infinity) - (b.thumbnail.rank ?? Infinity));
  for (const url of shown) if (!chosen.some((entry) => entry.url === url)) URL.revokeObjectURL(url);
  shown = pairs.map((pair) => pair.url);
  byId("cards").replaceChildren(...pairs.map(({ thumbnail, url }) => card(thumbnail, url, answer)));
  see(seeing());

  byId("releases").textContent = `Model ${answer.releases.model} · index ${answer.releases.index ?? "none"}`;
  byId("result").hidden = false;
  byId("verdict").focus({ preventScroll: true });
  byId("result").scrollIntoView({ block: "start" });
}

function card(thumbnail, url, { niche, verdict, score_among: among }) {
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
  if (thumbnail.rank === 1) find(".card").classList.add("first");
  find(".place").textContent = thumbnail.rank === null ? "Not ranked" : `#${thumbnail.rank}`;
  if (verdict === "only_one") {
    find(".chance-name").textContent = "The only one: there is nothing to win against";
    find(".chance-value").remove();
    find(".chance .bar").remove();
  } else if (thumbnail.win_probability === null) find(".chance").remove();
  else {
    find(".chance-value").textContent = percent(thumbnail.win_probability);
    fill(find(".chance .bar i"), thumbnail.win_probability);
  }
  if (among === "channel") find(".score-name").textContent = "Score in channel";
  find(".score").append(...(thumbnail.score === null ? ["–"] : [Math.round(thumbnail.score), of100()]));
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
  else if (!thumbnail.neighbours[0].winner) find(".near-title").textContent = "Nearest, no winners";
  find(".near").replaceChildren(...thumbnail.neighbours.slice(0, 3).map(neighbour));
  return node;
}

function subScore(name, sub, niche) {
  const node = byId("sub").content.cloneNode(true);
  const item = node.querySelector("li");
  node.querySelector(".sub-name").textContent = NAMES[name] ?? name;
  const reason = node.querySelector(".sub-reason");
  reason.append(line(sub.fix ? "b" : "span", `${capital(sub.reason)}.`), sub.fix ? ` ${capital(sub.fix)}.` : "");
  if (sub.value === null) {
    item.className = "unmeasured";
    node.querySelector(".sub-value").textContent = "not measured";
    return node;
  }
  // One figure, in words and as the bar: the place in the niche, or the value where it has none.
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

// --- what was seen: frames over the picture, and the same in words for those who do not see them ---

const SVG = "http://www.w3.org/2000/svg";

function frame(overlay, evidence) {
  // Of the size of the picture that was looked at: `slice` then crops it as `object-fit: cover` crops the image.
  overlay.setAttribute("viewBox", `0 0 ${evidence.width} ${evidence.height}`);
  overlay.setAttribute("aria-label", summary(evidence));
  const frames = [
    ["subject", evidence.subject ? [evidence.subject] : [], () => "Subject"],
    ["badge", [evidence.badge], () => "YouTube shows the length here"],
    ["face", (evidence.faces ?? []).map((face) => face.box), (row) => `Face, ${percent(evidence.faces[row].confidence)} sure`],
    ["text", (evidence.texts ?? []).map((text) => text.box), (row) => evidence.texts[row].text],
    ["text", evidence.unread.map((text) => text.box), () => "Text that this reader cannot read"],
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
  // Twice: a dark line under the coloured one, so that it shows on any picture.
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
  const unread = evidence.unread.length === 0 ? "" : "text that this reader cannot read";
  const found = [quoted ? `It reads ${quoted}` : "", unread ? (quoted ? `and has ${unread}` : `It has ${unread}`) : ""];
  const read = evidence.texts === null ? "Text was not looked for" : found.filter(Boolean).join(" ") || "No text in it";
  const count = evidence.faces?.length;
  const faces = count === undefined ? "faces were not looked for" : count === 0 ? "no face" : count === 1 ? "one face" : `${count} faces`;
  const hidden =
    evidence.badge_overlap >= 0.05 ? `; the length badge hides ${percent(evidence.badge_overlap)} of a text, a face or the subject` : "";
  return `${read}; ${faces}${hidden}.`;
}

function seeing() {
  return byId("see").getAttribute("aria-pressed") === "true";
}

function see(on) {
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
  const multiple = near.outlier_multiple === null ? "" : ` · ${near.outlier_multiple.toFixed(1)}× its channel`;
  const views = Math.round(near.views_per_hour).toLocaleString("en");
  item.append(title, line("small", `${near.channel} · ${views} views an hour${multiple} · ${percent(near.similarity)} alike`));
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
  // After the first paint, so that the bar grows. A style attribute would be stopped by the policy; a property is not.
  requestAnimationFrame(() => requestAnimationFrame(() => (bar.style.width = percent(share))));
}

// --- wiring ---

takeKey();
window.addEventListener("hashchange", takeKey);
byId("form").addEventListener("submit", submit);
byId("see").addEventListener("click", () => see(!seeing()));
byId("files").addEventListener("change", (event) => {
  choose(event.target.files);
  event.target.value = ""; // so that a removed file can be chosen again
});
for (const kind of ["input", "change"]) byId("form").addEventListener(kind, compare);

// Wherever it is dropped: a browser opens what a page does not take, and the page is gone.
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
  else leaveOut(["That was not a file. Save the picture first, then choose it or drop it here."]);
});
tellOfTheLab();

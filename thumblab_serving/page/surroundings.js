// How each chosen picture looks on YouTube: in the home feed, beside a video, and on a television. It is shown
// between the thumbnails of the niche's library that the answer names.

import { comparison, question } from "./compare.js";
import { byId, image, line } from "./dom.js";
import { titleOf } from "./known_channels.js";
import { neighboursOf, urlOf } from "./library.js";
import { pictures } from "./pictures.js";
import { channelOf, ranked, rankedPackages } from "./words.js";

// Each place shows `tiles` videos, of which the chosen picture is number `at`. The widths are in surroundings.css.
const PLACES = {
  home: { name: "home on a desktop", tiles: 6, at: 1, note: "A window of about 1,300 pixels with the menu open: three videos in a row, each 330 pixels wide." },
  phone: { name: "home on a phone", tiles: 3, at: 1, note: "A phone that is 390 pixels wide." },
  suggested: { name: "suggested column", tiles: 6, at: 2, note: "Beside a video that plays, each 168 pixels wide." },
  tv: {
    name: "television at a distance",
    tiles: 8,
    at: 1,
    note: "As small as a television of 55 inches looks from 3 metres, if you sit 60 cm from this screen.",
  },
};

let picked = null; // The object URL of the picture that is shown.
let offered = ""; // The pictures that a person can choose now.

export function wireSurroundings() {
  if (matchMedia("(max-width: 40rem)").matches) document.querySelector("input[name=surrounding-place][value=phone]").checked = true;
  for (const kind of ["input", "change"]) {
    byId("surroundings").addEventListener(kind, (event) => {
      if (event.target.name === "surrounding-picture") picked = event.target.value;
      drawStage();
    });
    byId("form").addEventListener(kind, drawStage);
  }
}

// Show the best picture of the answer, and its neighbours.
export function showBest(comparison) {
  picked = ranked(comparison)[0].entry.url;
  offered = "";
  drawSurroundings();
}

// Draw the section again after the pictures or the neighbours have changed.
export function drawSurroundings() {
  const entries = pictures();
  byId("surroundings").hidden = entries.length === 0;
  if (!entries.some((entry) => entry.url === picked)) picked = entries[0]?.url ?? null;
  // New buttons would take the focus from somebody who is choosing, so they are made only if the pictures have changed.
  const wanted = entries.map((entry) => entry.url).join(" ");
  if (wanted !== offered) byId("surrounding-pictures").replaceChildren(...entries.map(choice));
  offered = wanted;
  drawStage();
}

function choice(entry) {
  const label = document.createElement("label");
  const radio = document.createElement("input");
  radio.type = "radio";
  radio.name = "surrounding-picture";
  radio.value = entry.url;
  radio.checked = entry.url === picked;
  label.append(radio, image(entry.url), line("span", entry.name));
  return label;
}

const checked = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

function drawStage() {
  const entry = pictures().find((other) => other.url === picked);
  if (!entry) return;
  const [where, theme] = [checked("surrounding-place"), checked("surrounding-theme")];
  const place = PLACES[where];
  const others = neighbours();
  const tiles = others.slice(0, place.tiles - 1).map(neighbourTile);
  tiles.splice(Math.min(place.at, tiles.length), 0, candidateTile(entry));
  const stage = byId("stage");
  stage.className = `stage yt-${where} yt-${theme}`;
  stage.setAttribute("aria-label", `${entry.name} in YouTube's ${place.name}, ${theme} theme`);
  byId("stage-tiles").replaceChildren(...tiles);
  byId("stage-note").textContent = `${place.note} ${noteOn(others)}`;
}

// Return the neighbours of the answer, if the answer is about the niche of the form.
function neighbours() {
  const made = comparison();
  return made !== null && made.answer.niche === question().niche ? neighboursOf(made.answer) : [];
}

function noteOn(others) {
  if (others.length === 0) return "Rank the pictures to see them between videos of the niche.";
  const blank = others.filter((near) => urlOf(near.video_id) === null).length;
  const some = blank === others.length ? "the lab has no pictures of them here" : `the lab has no picture of ${blank} of them here`;
  return `Around it are videos of the niche's library${blank === 0 ? "" : `; ${some}`}. Their lengths are not known, so all badges show the length of your video.`;
}

function candidateTile(entry) {
  const { title: first, channel } = question();
  const title = entry.title || bestTitle(entry) || first;
  const tile = videoTile(image(entry.url), title || "The title of the video", channelName(channel) || "Your channel", "No views yet");
  tile.classList.add("yours");
  return tile;
}

// Return the title of the channel in the form, from the answer on the page or from the list of learnt channels.
function channelName(given) {
  const made = comparison();
  return made !== null && given && made.question.channel === given ? channelOf(made) : titleOf(given);
}

// Return the title under which the picture ranks best, if the answer on the page compares several titles of the form.
function bestTitle(entry) {
  const made = comparison();
  if (made === null || !made.answer.packages) return "";
  const place = made.entries.findIndex((other) => other.url === entry.url);
  const name = made.answer.thumbnails[place]?.id;
  const best = rankedPackages(made.answer).find((one) => one.thumbnail === name && question().titles.includes(one.title));
  return best?.title ?? "";
}

function neighbourTile(near) {
  const url = urlOf(near.video_id);
  const picture = url === null ? line("span", "", "blank") : image(url);
  return videoTile(picture, near.title, near.channel, `${Math.round(near.views_per_hour).toLocaleString("en")} views per hour`);
}

function videoTile(picture, title, channel, facts) {
  const tile = line("li", "", "yt-video");
  const frame = line("div", "", "yt-picture");
  frame.append(picture, line("span", byId("surrounding-length").value.trim() || "12:34", "yt-badge"));
  const words = line("div", "", "yt-words");
  words.append(line("p", title, "yt-title"), line("p", channel, "yt-channel"), line("p", facts, "yt-facts"));
  const avatar = line("span", "", "yt-avatar");
  avatar.setAttribute("aria-hidden", "true");
  tile.append(frame, avatar, words);
  return tile;
}

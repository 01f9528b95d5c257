// Draw the answer on the page as one picture.

import { percent } from "./dom.js";
import { blobOf, drawn } from "./drawn_pictures.js";
import { adaptation, asked, isBest, isWithoutSkill, packagePlace, placeOf, ranked, rankedPackages, skillOf, verdict } from "./words.js";

const [WIDTH, EDGE, GAP] = [1200, 40, 24];
const MOST_PACKAGES = 12; // A grid may have 200 packages, so the image shows only the best ones.
const FONT = "system-ui, sans-serif";
const [GROUND, TEXT, SOFT, FRAME] = ["#ffffff", "#1d2326", "#5b6569", "#0f766e"];

export async function resultImage(comparison) {
  const tiles = tilesOf(comparison);
  const columns = tiles.length <= 4 ? 2 : tiles.length <= 9 ? 3 : 4;
  const tile = (WIDTH - 2 * EDGE - (columns - 1) * GAP) / columns;
  const high = (tile * 9) / 16;
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const head = headLines(pen, comparison);
  const rows = Math.ceil(tiles.length / columns);
  canvas.width = WIDTH;
  canvas.height = Math.ceil(EDGE + head.reduce((sum, { size }) => sum + size * 1.4, 0) + GAP + rows * (high + 76) + EDGE);
  pen.fillStyle = GROUND;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  let y = EDGE;
  for (const { text, size, weight, colour } of head) {
    y += size * 1.4;
    write(pen, text, EDGE, y - size * 0.4, { size, weight, colour });
  }
  y += GAP;
  for (const [row, { file, first, place, name }] of tiles.entries()) {
    const left = EDGE + (row % columns) * (tile + GAP);
    const top = y + Math.floor(row / columns) * (high + 76);
    const picture = await drawn(file, Math.round(tile));
    pen.fillStyle = "#e9e6df";
    pen.fillRect(left, top, tile, high);
    if (picture) pen.drawImage(picture, left, top, tile, high);
    if (first) {
      pen.lineWidth = 6;
      pen.strokeStyle = FRAME;
      pen.strokeRect(left, top, tile, high);
    }
    write(pen, place, left, top + high + 26, { size: 20, weight: 600, colour: TEXT, width: tile });
    write(pen, name, left, top + high + 50, { size: 16, weight: 400, colour: SOFT, width: tile });
  }
  return blobOf(canvas, "image/png");
}

// Return what the tiles show: the pictures in their order, or the best packages of several titles.
function tilesOf(comparison) {
  const { answer, entries } = comparison;
  const chance = (one, words) => (one.win_probability === null ? "" : ` · ${percent(one.win_probability)} chance to ${words}`);
  if (!answer.packages) {
    return ranked(comparison).map(({ thumbnail, entry }) => ({
      file: entry.file,
      first: thumbnail.rank === 1 && !isWithoutSkill(answer),
      place: placeOf(thumbnail, answer) + chance(thumbnail, "win"),
      name: thumbnail.id,
    }));
  }
  return rankedPackages(answer).slice(0, MOST_PACKAGES).map((one) => ({
    file: entries[answer.thumbnails.findIndex(({ id }) => id === one.thumbnail)].file,
    first: isBest(one, answer),
    place: packagePlace(one) + chance(one, "be the best"),
    name: `${one.title} · ${one.thumbnail}`,
  }));
}

function whyOf({ packages, thumbnails, winner }) {
  const why = packages ? packages.why : thumbnails.find(({ id }) => id === winner)?.why;
  return why && why.unknown === null ? `Why: ${why.summary}` : "";
}

function headLines(pen, comparison) {
  const { answer } = comparison;
  const [, heading, explanation] = verdict(answer);
  const facts = asked(comparison);
  const parts = [
    [heading, 36, 700, TEXT],
    [explanation, 20, 400, TEXT],
    [skillOf(answer), 18, 400, SOFT],
    [whyOf(answer), 18, 400, SOFT],
    [adaptation(answer.channel), 18, 400, SOFT],
    [comparison.note, 18, 700, TEXT],
    [facts.map(([name, value]) => `${name}: ${value}`).join("  ·  "), 18, 400, SOFT],
    [moreThan(answer), 18, 400, SOFT],
    [`Thumbnail Lab, model ${answer.releases.model}`, 16, 400, SOFT],
  ];
  return parts.flatMap(([text, size, weight, colour]) =>
    wrapped(pen, text, size, weight).map((part) => ({ text: part, size, weight, colour })),
  );
}

function moreThan({ packages }) {
  return packages && packages.grid.length > MOST_PACKAGES ? `The best ${MOST_PACKAGES} of ${packages.grid.length} packages are shown.` : "";
}

function wrapped(pen, text, size, weight) {
  pen.font = `${weight} ${size}px ${FONT}`;
  const lines = [];
  let open = "";
  // A word that is wider than the picture, as in languages without spaces, is divided between its letters.
  for (const part of text.split(/(?<= )/).flatMap((word) => (pen.measureText(word).width > WIDTH - 2 * EDGE ? [...word] : [word]))) {
    if (open && pen.measureText(open + part).width > WIDTH - 2 * EDGE) {
      lines.push(open);
      open = "";
    }
    open += part;
  }
  return open ? [...lines, open] : lines;
}

function write(pen, text, x, y, { size, weight, colour, width }) {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.fillStyle = colour;
  let shown = text;
  while (width !== undefined && shown.length > 1 && pen.measureText(shown).width > width) shown = `${shown.slice(0, -2)}…`;
  pen.fillText(shown, x, y);
}

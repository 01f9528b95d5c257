// Draw the answer on the page as one picture.

import { percent } from "./dom.js";
import { blobOf, drawn } from "./drawn_pictures.js";
import { adaptation, asked, isWithoutSkill, placeOf, ranked, skillOf, verdict } from "./words.js";

const [WIDTH, EDGE, GAP] = [1200, 40, 24];
const FONT = "system-ui, sans-serif";
const [GROUND, TEXT, SOFT, FRAME] = ["#ffffff", "#1d2326", "#5b6569", "#0f766e"];

export async function resultImage(comparison) {
  const { answer } = comparison;
  const pairs = ranked(comparison);
  const columns = pairs.length <= 4 ? 2 : pairs.length <= 9 ? 3 : 4;
  const tile = (WIDTH - 2 * EDGE - (columns - 1) * GAP) / columns;
  const high = (tile * 9) / 16;
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const head = headLines(pen, comparison);
  const rows = Math.ceil(pairs.length / columns);
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
  for (const [row, { thumbnail, entry }] of pairs.entries()) {
    const left = EDGE + (row % columns) * (tile + GAP);
    const top = y + Math.floor(row / columns) * (high + 76);
    const picture = await drawn(entry.file, Math.round(tile));
    pen.fillStyle = "#e9e6df";
    pen.fillRect(left, top, tile, high);
    if (picture) pen.drawImage(picture, left, top, tile, high);
    if (thumbnail.rank === 1 && !isWithoutSkill(answer)) {
      pen.lineWidth = 6;
      pen.strokeStyle = FRAME;
      pen.strokeRect(left, top, tile, high);
    }
    const chance = thumbnail.win_probability === null ? "" : ` · ${percent(thumbnail.win_probability)} chance to win`;
    write(pen, placeOf(thumbnail, answer) + chance, left, top + high + 26, { size: 20, weight: 600, colour: TEXT, width: tile });
    write(pen, thumbnail.id, left, top + high + 50, { size: 16, weight: 400, colour: SOFT, width: tile });
  }
  return blobOf(canvas, "image/png");
}

function headLines(pen, comparison) {
  const { answer } = comparison;
  const [, heading, explanation] = verdict(answer);
  const facts = asked(comparison);
  const parts = [
    [heading, 36, 700, TEXT],
    [explanation, 20, 400, TEXT],
    [skillOf(answer), 18, 400, SOFT],
    [adaptation(answer.channel), 18, 400, SOFT],
    [comparison.note, 18, 700, TEXT],
    [facts.map(([name, value]) => `${name}: ${value}`).join("  ·  "), 18, 400, SOFT],
    [`Thumbnail Lab, model ${answer.releases.model}`, 16, 400, SOFT],
  ];
  return parts.flatMap(([text, size, weight, colour]) =>
    wrapped(pen, text, size, weight).map((part) => ({ text: part, size, weight, colour })),
  );
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

// The legend: what the colours of the points mean, in words.

import { byId, line } from "../dom.js";

export function drawLegend({ words, ramp = null, ticks = [], set = [], none = null }) {
  const box = byId("legend");
  box.replaceChildren(line("h3", words, "legend-name"));
  if (ramp !== null) {
    const bar = line("div", "", "legend-bar");
    // The Content-Security-Policy forbids style attributes, but allows setting a property.
    bar.style.backgroundImage = `linear-gradient(to right, ${ramp.join(", ")})`;
    bar.setAttribute("aria-hidden", "true");
    const under = line("p", "", "legend-ticks");
    under.append(...ticks.map((text) => line("span", text)));
    box.append(bar, ticks.length === 0 ? line("p", "No video of this map has this figure.", "soft") : under);
  }
  const list = line("ul", "", "legend-set");
  list.append(...set.map(([colour, text]) => swatch(colour, text)));
  if (none !== null) list.append(swatch(none, "not known"));
  if (list.children.length > 0) box.append(list);
}

function swatch(colour, text) {
  const item = line("li", text);
  const dot = line("i", "");
  dot.style.backgroundColor = colour;
  item.prepend(dot);
  return item;
}

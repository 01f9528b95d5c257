// Connect the parts of the page.

import { drawDegraded } from "./answer.js";
import { checkKey, refuseOthers, showChannel, takeExports, wireChannel } from "./channel.js";
import { comparison, followChanges, markIfOutdated, onAnswer, reopen, warnOfNiche } from "./compare.js";
import { byId, say } from "./dom.js";
import { overlaysShown, showOverlays } from "./evidence.js";
import { exportsOf } from "./exports.js";
import { drawHistory, keepInHistory, onReopen, wireHistory } from "./history.js";
import { takeKey } from "./key.js";
import { onLabShown, showLab, welcome } from "./lab.js";
import { drawDetails } from "./lab_view.js";
import { restoreAsked } from "./last_asked.js";
import { drawNicheList, wireNiches } from "./niches/list.js";
import { acceptDropsAndPastes, onPicturesChanged } from "./pictures.js";
import { drawSurroundings, showBest, wireSurroundings } from "./surroundings.js";

const VIEWS = ["compare", "channel", "history", "lab"];

function showView() {
  takeKey();
  const wanted = location.hash.slice(1);
  const view = VIEWS.includes(wanted) ? wanted : "compare";
  for (const name of VIEWS) {
    byId(`view-${name}`).hidden = name !== view;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "channel") showChannel();
  if (view === "history") drawHistory();
  if (view === "lab") {
    showLab();
    drawDetails();
    drawNicheList();
  }
}

function goTo(view) {
  if (location.hash !== `#${view}`) history.pushState(null, "", `#${view}`);
  showView();
}

window.addEventListener("hashchange", showView);
window.addEventListener("popstate", showView);
onLabShown(drawDegraded);
onPicturesChanged(() => {
  markIfOutdated();
  drawSurroundings();
});
onAnswer((made, live) => {
  keepInHistory(made, live);
  if (live) drawSurroundings();
  else showBest(made);
});
onReopen((stored) => {
  goTo("compare");
  reopen(stored);
  showBest(comparison());
});
acceptDropsAndPastes(() => goTo("compare"), (files) => {
  const taken = takeExports(files);
  if (taken) goTo("channel");
  // A file that is dropped on the part My channel is probably an export, unless it is a picture.
  const isMistaken = !taken && files.length > 0 && !byId("view-channel").hidden && !files.some((file) => file.type.startsWith("image/"));
  if (isMistaken) refuseOthers(files);
  return taken || isMistaken;
});
wireChannel(() => goTo("compare"));
followChanges();
restoreAsked();
wireSurroundings();
wireHistory();
wireNiches();
document.addEventListener("library-pictures", drawSurroundings);
document.addEventListener("channels-known", () => {
  warnOfNiche();
  drawSurroundings();
});
byId("see").addEventListener("click", () => showOverlays(!overlaysShown()));
for (const [id, make] of Object.entries(exportsOf)) {
  byId(id).addEventListener("click", async () => {
    try {
      await make(comparison());
      say("exported", "");
    } catch (error) {
      say("exported", `The file could not be made: ${error.message}`);
    }
  });
}
welcome();
showView();
checkKey();
showLab();

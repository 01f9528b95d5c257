// The steps of an import in words, and how many of them there are.

const WORDS = {
  "reading exports": "Reading your export",
  "loading the encoders": "Getting ready to look at thumbnails",
  pictures: "Downloading your thumbnails",
  "encoding thumbnails": "Looking at your thumbnails",
  "encoding titles": "Reading your titles",
  measuring: "Measuring your thumbnails",
  "building the index": "Making the library of your niche",
  "exporting the image encoder": "Making the library of your niche ready",
  "building the training pairs": "Comparing your videos with each other",
  training: "Learning what is watched",
  "training without the channels of the evaluation": "Learning without some of the channels, to see how much that helps with new ones",
  "evaluating the model": "Counting how often it is right",
};
const OF_FIRST_MODEL = ["measuring", "building the index", "building the training pairs", "training", "evaluating the model"];
const OF_FIRST_LIBRARY = OF_FIRST_MODEL.slice(0, 2);
const UNCOUNTED = ["loading the encoders", "exporting the image encoder", "training without the channels of the evaluation"]; // Many imports do not have these steps.
const ALL = Object.keys(WORDS).filter((name) => !UNCOUNTED.includes(name));
const ALWAYS = ALL.filter((name) => !OF_FIRST_MODEL.includes(name));

const NICHE = /^[a-z0-9-]+: /; // A step that concerns a whole niche has the niche before its name.

// Return the name of a step without its niche, and without the number of a part such as (1 of 3).
const plain = (name) => name.replace(NICHE, "").replace(/ \(\d+ of \d+\)$/, "");

export const wordsOf = (name) => WORDS[plain(name)] ?? name.charAt(0).toUpperCase() + name.slice(1);

// Return the steps, each with its words and whether it is over. A step is over when the next step has begun, because the training
// may stop before its last round. All steps are over when the import is over.
export function shownSteps({ steps, state }) {
  return steps.map((step, row) => ({
    ...step,
    words: wordsOf(step.name),
    over: state === "done" || row < steps.length - 1 || step.done >= step.total,
  }));
}

// Return the steps of an import in their order. A lab without a model first trains a model. A niche without a library first
// gets a library, and the names of these steps begin with the niche.
function allSteps(steps, hasModel) {
  const begun = steps.map(({ name }) => plain(name));
  if (!hasModel || begun.some((name) => OF_FIRST_MODEL.includes(name) && !OF_FIRST_LIBRARY.includes(name))) return ALL;
  return steps.some(({ name }) => NICHE.test(name)) ? [...ALWAYS, ...OF_FIRST_LIBRARY] : ALWAYS;
}

// Return the present step in words. `hasModel` says whether the lab serves a model.
export function stepNow({ steps }, hasModel) {
  const last = steps.at(-1);
  if (last === undefined) return "It begins.";
  const all = allSteps(steps, hasModel);
  const at = all.indexOf(plain(last.name)) + 1;
  if (at === all.length && last.done >= last.total) return "The last step: adapting the model to your channel";
  if (last.done >= last.total) return `${wordsOf(last.name)}: done. The lab is at work on the next step`;
  const counted = last.total > 1 ? `, ${last.done} of ${last.total}` : "";
  return `${at > 0 ? `Step ${at} of ${all.length}: ` : ""}${wordsOf(last.name)}${counted}`;
}

// Return how long an import has taken so far, in minutes and seconds.
export function elapsed({ created_at: since }) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min so far`;
}

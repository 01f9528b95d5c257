// Sentences that name a command. A person at this page may have no shell, so the page shows the sentences without the command.
// The whole sentences are in a section that is closed at first, for the person who runs the lab.

import { byId, capital, line, say } from "./dom.js";

const COMMAND = /`(thumblab|make|pip) [^`]*`|THUMBLAB_/;
const CLAUSES = /;\s+|:\s+(?=run )/;

export const namesCommand = (sentence) => COMMAND.test(sentence);

// Return the sentence without the clauses that name a command. It is "" if nothing else is left.
export function withoutCommands(sentence) {
  if (!namesCommand(sentence)) return sentence;
  return sentence.split(CLAUSES).filter((clause) => !namesCommand(clause)).join("; ").replace(/[.,:]$/, "");
}

// Return the reason of an error for a person at the page. The reason stays as it is if it names no command.
export function forCreator(reason) {
  const left = namesCommand(reason) ? withoutCommands(reason) : "";
  return left ? sentence(left) : reason;
}

// Show an error in the element with this id, or hide the element if there is no error. If the error names a command, the whole error
// is in a closed section below the element.
export function sayProblem(id, error) {
  const shown = error && forCreator(error);
  say(id, shown);
  byId(`${id}-whole`)?.remove();
  if (shown === error) return;
  const fold = operatorsFold([error]);
  fold.id = `${id}-whole`;
  byId(id).after(fold);
}

// Return a closed section (<details>) with these sentences, or null if there are none.
export function operatorsFold(sentences) {
  if (sentences.length === 0) return null;
  const fold = line("details", "", "for-operators");
  const list = document.createElement("ul");
  list.append(...sentences.map((text) => line("li", sentence(text))));
  fold.append(line("summary", "For the person who runs the lab"), list);
  return fold;
}

// Return a limit of an answer as a sentence for a person at the page: without commands, and with the title of the channel.
// It is "" if nothing is left.
export function limitOf(text, { channel, thumbnails }) {
  const left = withoutCommands(text);
  const titled = channel?.title ? left.replaceAll(channel.channel_id, channel.title) : left;
  return titled && sentence(titled, thumbnails.map(({ id }) => id));
}

// Return a clause of the service as a sentence. A name at its start, such as that of a picture, keeps its first letter.
export function sentence(text, names = []) {
  const first = names.some((name) => text.startsWith(name.slice(0, 60))) ? text : capital(text);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

// The channels that the lab has learnt. The form offers their titles. The page shows a title wherever an answer or the
// history has an id.

import { byId } from "./dom.js";
import { currentKey } from "./key.js";
import { knownChannels } from "./service.js";

let channels = [];
let asked = 0; // The number of the newest request. The answers of older requests are dropped.

export const learnt = () => channels;

// Request the channels of the lab, and offer them in the form. Throws an error if the service refuses or does not answer.
export async function askForChannels() {
  if (!currentKey()) return channels;
  asked += 1;
  const mine = asked;
  const answer = await knownChannels();
  if (mine !== asked) return channels;
  ({ channels } = answer);
  byId("learnt-channels").replaceChildren(...channels.map((channel) => new Option(labelOf(channel), nameOf(channel.channel_id))));
  return channels;
}

const labelOf = ({ title, videos }) => `${title}, learnt from ${videos} videos`;

// Return the learnt channel that a person names by its title or its id, or null.
export function find(name) {
  const titled = channels.filter(({ title }) => title === name);
  return channels.find(({ channel_id: id }) => id === name) ?? (titled.length === 1 ? titled[0] : null);
}

// Return what to write into a field for a channel: its title, or its id if several channels have its title.
export function nameOf(channelId) {
  const title = channels.find(({ channel_id: id }) => id === channelId)?.title;
  return title && channels.filter((other) => other.title === title).length === 1 ? title : channelId;
}

// Return the title of a channel that is given by its title or its id. For an unknown channel, return what was given.
export const titleOf = (name) => find(name)?.title ?? name;

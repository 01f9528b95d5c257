// The people who have a name. They are searched here and not by the service, because a name in the address of a request
// would get into the logs of proxies.

import { keyOf } from "./words.js";
import { listClusters, readCluster } from "./service.js";

const PART = 500;
const ID = /^(?:(?:person_|unknown_cluster_|clu_)?[0-9a-f]{12})$/;

let asked = null; // The promise of the list.

export function forgetKnown() {
  asked = null;
}

export function knownPeople() {
  asked ??= all().catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

async function all() {
  const people = [];
  for (;;) {
    const { clusters } = await listClusters("person", PART, people.length);
    people.push(...clusters);
    if (clusters.length < PART) return people;
  }
}

// Return the form in which names are compared: "ALICE" and "Alice" are one name. The service compares some letters in another
// way, such as "ß" and "ss". So only the service decides whether a name is known.
export const nameKey = (name) => name.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean).join(" ");

// Return the people whose name contains this text, and the cluster whose id is this text. The largest clusters come first.
export async function found(text) {
  const wanted = nameKey(text);
  const people = (await knownPeople()).filter(({ name }) => nameKey(name).includes(wanted));
  if (!ID.test(text.trim())) return people;
  try {
    const cluster = await readCluster(text.trim(), 1);
    return [cluster, ...people.filter(({ cluster_id: id }) => keyOf(id) !== keyOf(cluster.cluster_id))];
  } catch (error) {
    if (error.status === 404) return people;
    throw error;
  }
}

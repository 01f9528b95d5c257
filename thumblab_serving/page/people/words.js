// Clusters, faces and changes in words.

const KEY = /[0-9a-f]{12}$/;

// Return the part of a cluster's id that stays the same when the cluster gets a name.
export const keyOf = (clusterId) => KEY.exec(clusterId)?.[0] ?? null;

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

const unknown = (clusterId) => (clusterId === null ? "a cluster that is gone" : `the unknown cluster ${keyOf(clusterId)}`);

export const who = ({ name, cluster_id: id }) => (name ? `“${name}”` : unknown(id));

// Return the size of a cluster in words.
export function sizeOf({ faces, pictures, channels }) {
  const of = channels > 0 ? ` · ${plural(channels, "channel")}` : "";
  return `${plural(faces, "face")} · ${plural(pictures, "picture")}${of}`;
}

// Return a change in words, such as: named “Alice”.
export function changeWords(change) {
  const { kind, name_before: before, other_id: other, faces } = change;
  const changed = who(change);
  const count = plural(faces, "face");
  switch (kind) {
    case "label":
      return before === null ? `named ${changed}` : `renamed “${before}”, now ${changed}`;
    case "unlabel":
      return `took the name “${before}” away`;
    case "owner":
      return `said whether ${changed} runs the channel`;
    case "merge":
      return `merged ${before === null ? unknown(other) : `“${before}”`} into ${changed}`;
    case "unmerge":
      return `took ${unknown(other)} out of ${changed} again`;
    case "move":
      return `moved ${count} to ${changed}`;
    default:
      return `said that ${count === "1 face" ? "a face is" : `${count} are`} not ${changed}`;
  }
}

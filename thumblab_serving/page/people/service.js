// The requests about people and faces. Each function returns the answer, or throws an error with a message for people.

import { call } from "../service.js";

const FACES = "api/v1/faces";

const get = (path, query = {}) => call(`${FACES}/${path}?${new URLSearchParams(query)}`, {}, true);

function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return call(`${FACES}/${path}`, { method: "POST", headers, body: JSON.stringify(body) }, true);
}

export const figures = () => get("stats");
export const listClusters = (kind, limit, offset) => get("clusters", { kind, limit, offset });
export const readCluster = (id, limit, offset = 0) => get(`clusters/${id}`, { limit, offset });
export const unassigned = (limit, offset) => get("unassigned", { limit, offset });
export const readPicture = (sha256) => get(`pictures/${sha256}`);
export const listChanges = (limit) => get("changes", { limit });

// `merge`: whether the cluster may join a person who has this name already. If not, the service refuses with `KNOWN_NAME`.
export const label = (id, name, merge) => post(`clusters/${id}/label`, { name, merge });
export const KNOWN_NAME = "urn:thumblab:known-name";
export const unlabel = (id) => call(`${FACES}/clusters/${id}/label`, { method: "DELETE" }, true);
export const merge = (id, into) => post(`clusters/${id}/merge`, { into });
export const move = (faces, to) => post("move", { faces, to });
export const notThisPerson = (face, clusterId) => post(`${face}/not-this-person`, { cluster_id: clusterId });
// By the number of the change, the service can refuse the request if somebody else has made a later change.
export const undo = (changeId) => post("undo", { change_id: changeId });
export const unmerge = (changeId) => post(`merges/${changeId}/undo`, {});

// Start a run: "detect", "cluster/dual" or "train".
export const start = (path) => post(path, { queue: true });
export const runState = (id) => call(`internal/runs/${id}`, {}, true);

export const cropsPath = (faceIds) => `${FACES}/crops?${new URLSearchParams(faceIds.map((id) => ["face_id", id]))}`;
export const imagePath = (sha256) => `${FACES}/pictures/${sha256}/image`;

// The requests about niches. Their key needs the scope admin.

import { call } from "../service.js";

export const FOLLOWED_MS = 1200; // The service follows a change of the niches about a second later.

const PATH = "api/v1/niches";

const sent = (method, path, body) =>
  call(path, { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }, true);

export const allNiches = () => call(PATH, {}, true);

export const addNiche = (niche) => sent("POST", PATH, niche);

export const changeNiche = (name, change) => sent("PUT", `${PATH}/${name}`, change);

export const retireNiche = (name) => call(`${PATH}/${name}/retire`, { method: "POST" }, true);

export const restoreNiche = (name) => call(`${PATH}/${name}/restore`, { method: "POST" }, true);

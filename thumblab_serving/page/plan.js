// The plan of a test on YouTube, see the field `test_plan` of an answer.

import { byId, line, percent } from "./dom.js";

// Return the plan as sentences. There are none if the answer has no plan.
export function planOf({ test_plan: plan, packages }) {
  if (!plan) return [];
  const rate = `${Number((100 * plan.click_through_rate).toFixed(1))}%`;
  const usual = plan.click_through_rate_of === "channel" ? `your channel's usual click-through rate of ${rate}` : `an assumed click-through rate of ${rate}`;
  const size = `Each picture needs ${plan.impressions_per_variant.toLocaleString("en")} impressions. Such a test finds a difference of ${percent(plan.lift)} in ${Math.round(100 * plan.power)} of 100 cases. This is computed from ${usual}.`;
  const alike = plan.too_alike.map(({ first, second }) => `${first} and ${second} look almost the same, so a test of the two would hardly show a difference.`);
  return [packages ? `Under the first title: ${pairOf(plan)}` : pairOf(plan), size, ...alike];
}

function pairOf({ pair, advice }) {
  if (pair === null) return advice ? `${advice.charAt(0).toUpperCase()}${advice.slice(1)}.`.replace(/\.\.$/, ".") : "Test the two pictures that you like best.";
  return `Test ${pair.first} against ${pair.second}: the outcome of this test is the least certain (${percent(pair.win_probability)} for ${pair.first}).`;
}

export function drawPlan(answer) {
  const sentences = planOf(answer);
  byId("plan").hidden = sentences.length === 0;
  byId("plan-words").replaceChildren(...sentences.map((text) => line("p", text)));
}

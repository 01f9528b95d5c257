// What the page says about a niche and its cost.

const CATEGORIES = {
  1: "Film & Animation",
  2: "Autos & Vehicles",
  10: "Music",
  15: "Pets & Animals",
  17: "Sports",
  19: "Travel & Events",
  20: "Gaming",
  22: "People & Blogs",
  23: "Comedy",
  24: "Entertainment",
  25: "News & Politics",
  26: "Howto & Style",
  27: "Education",
  28: "Science & Technology",
  29: "Nonprofits & Activism",
};

export const categories = Object.entries(CATEGORIES);

export const categoryName = (id) => (CATEGORIES[id] ? `${CATEGORIES[id]} (${id})` : `category ${id}`);

const number = (value) => value.toLocaleString("en");

// Return where the videos of a niche come from, as a list of facts.
export function sources({ category_id: category, searches, channels, exclude, region, language }) {
  const facts = [];
  if (searches.length > 0) facts.push(["Searches", searches.join(", ")]);
  if (category !== null) facts.push([searches.length > 0 ? "Only in" : "Category", categoryName(category)]);
  if (channels.length > 0) facts.push(["Channels", channels.join(", ")]);
  if (exclude.length > 0) facts.push(["Without titles with", exclude.join(", ")]);
  if (region !== null) facts.push(["Region", region]);
  if (language !== null) facts.push(["Language", language]);
  return facts;
}

// Return what the refresh of a niche costs in a day.
export function costWords({ searches, quota_searches: allSearches, units, quota_units: allUnits }) {
  return `at most ${number(searches)} of ${number(allSearches)} searches and ${number(units)} of ${number(allUnits)} units a day`;
}

// Return what the refreshes of all these niches cost together in a day.
export function totalWords(niches) {
  if (niches.length === 0) return "";
  const sum = (name) => niches.reduce((total, { cost }) => total + cost[name], 0);
  const cost = { ...niches[0].cost, searches: sum("searches"), units: sum("units") };
  const over = cost.searches > cost.quota_searches || cost.units > cost.quota_units;
  const late = " That is more than YouTube allows, so the last niches of a day are not refreshed.";
  return `Together, the ${niches.length === 1 ? "niche costs" : `${niches.length} niches cost`} ${costWords(cost)}.${over ? late : ""}`;
}

// Return the texts in a field with one text a line.
export const linesOf = (text) => text.split("\n").map((one) => one.trim()).filter(Boolean);

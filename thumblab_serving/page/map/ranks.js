// The order in which pictures are shown if there is not enough room for all.

export const LANDMARK = -1e6 + 1; // The highest rank of a landmark.
const FOUND = -1e7;

// Return the rank of each point. The lowest ranks belong to the found videos, the next to the landmarks of groups. The other
// points are ranked by their outlier multiples, the largest first.
export function ranks(points, clusters, found) {
  const rank = new Float32Array(points.length);
  for (let row = 0; row < points.length; row += 1) rank[row] = Number.isFinite(points.outlier_multiple[row]) ? -Math.min(points.outlier_multiple[row], 1e5) : 1;
  for (const { medoid, level } of clusters) {
    const row = points.find(medoid);
    if (row >= 0) rank[row] = Math.min(rank[row], LANDMARK - 1 + level);
  }
  found.forEach((row, place) => (rank[row] = FOUND + place));
  return rank;
}

"""Measure how well a map keeps neighbourhoods: trustworthiness and continuity [1]_.

Let U(i) be the videos that are among the k nearest to video i on the map, but not among the k nearest by vectors. Let
r(i, j) be the rank of video j if all videos are ordered by the distance of their vectors to video i. For n videos,

    trustworthiness = 1 - 2 / (n k (2n - 3k - 1)) * sum over i and j in U(i) of (r(i, j) - k)

Continuity is computed in the same way, but with the map and the vectors exchanged. Both figures are 1 if all
neighbourhoods are the same, and about 0.5 for random places.

.. [1] J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an experimental study", ICANN,
   2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float64s, Floats, Rows

NEIGHBOURS = 15
_SAMPLE = 1_000
"""Maximum number of videos whose neighbourhoods are compared. The time for each video grows with the size of the
library.
"""


@dataclass(frozen=True)
class Quality:
    """Trustworthiness and continuity of a map, each 0 to 1, with the number of neighbours that were compared."""

    trustworthiness: float
    continuity: float
    neighbours: int


def neighbourhoods(vectors: Floats, places: Floats) -> Quality | None:
    """Compare the nearest videos by unit vectors [n, d] with the nearest videos by places [n, 2].

    Return None for fewer than 5 videos. Trustworthiness and continuity are defined only for fewer than n / 2
    neighbours. So for fewer than 31 videos, fewer than 15 neighbours are compared.
    """
    count = min(NEIGHBOURS, (len(vectors) - 1) // 2)
    if count < 2:
        return None
    rows = np.random.default_rng(0).permutation(len(vectors))[:_SAMPLE]
    lost_by_vectors, lost_on_map = 0.0, 0.0
    for part in np.array_split(rows, max(1, len(rows) * len(vectors) // 4_000_000)):
        by_vectors = _ranks(-(vectors[part] @ vectors.T).astype(np.float64), part)
        squares = ((places[part, None].astype(np.float64) - places[None]) ** 2).sum(2)
        on_map = _ranks(squares, part)
        lost_by_vectors += float((by_vectors - count)[(on_map <= count) & (by_vectors > count)].sum())
        lost_on_map += float((on_map - count)[(by_vectors <= count) & (on_map > count)].sum())
    scale = 2 / (len(rows) * count * (2 * len(vectors) - 3 * count - 1))
    return Quality(1 - scale * lost_by_vectors, 1 - scale * lost_on_map, count)


def _ranks(distances: Float64s, rows: Rows) -> Rows:
    """Return the rank of each distance [m, n] within its row. Row i has the distances from video `rows[i]` to all n
    videos.

    The video itself has the rank 0, and the nearest other video has the rank 1.
    """
    distances[np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    return ranks

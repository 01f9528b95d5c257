"""Measure how well a map keeps neighbourhoods: trustworthiness and continuity [1]_.

Let U(i) be the videos that are among the k nearest of video i on the map, but not among its k nearest by their vectors,
and r(i, j) the rank of video j among the nearest videos of i by their vectors. With n videos,

    trustworthiness = 1 - 2 / (n k (2n - 3k - 1)) * sum over i and j in U(i) of (r(i, j) - k)

Continuity is the same with the map and the vectors exchanged. Both are 1 if all neighbourhoods are the same, and about
0.5 for random places.

.. [1] J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an experimental study", ICANN,
   2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float64s, Floats, Rows

NEIGHBOURS = 15
_SAMPLE = 1_000
"""Largest number of videos whose neighbourhoods are compared. The time for each grows with the size of the library."""


@dataclass(frozen=True)
class Quality:
    """Trustworthiness and continuity of a map, each 0 to 1, with the number of neighbours that were compared."""

    trustworthiness: float
    continuity: float
    neighbours: int


def neighbourhoods(vectors: Floats, places: Floats) -> Quality | None:
    """Compare the neighbourhoods of the unit vectors [n, d] with those of the places [n, 2]. None below 5 videos.

    Both figures are defined for fewer than n / 2 neighbours, so small libraries are compared with fewer than 15.
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
    """Return the rank of each column among the distances [m, n] of each row, 1 for the nearest.

    The rank of a video among its own distances is 0.
    """
    distances[np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    return ranks

"""Find clusters on a map at two levels by HDBSCAN [1]_. A cluster keeps its number (its id) on the next map.

.. [1] R. Campello, D. Moulavi and J. Sander, "Density-based clustering based on hierarchical density estimates", PAKDD,
   2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float64s, Rows

NONE = -1
_COARSE_SHARE, _FINE_SHARE, _LEAST = 0.02, 0.01, 5
"""Minimum size of a coarse and of a fine cluster, as a share of all videos. Each cluster has at least `_LEAST` videos.
"""
_LARGEST_SHARE = 0.3
"""Maximum size of a coarse cluster, as a share of all videos. A cluster with most of the videos would be of no use."""
_SAMPLES = 3
"""HDBSCAN estimates the density at a video from this number of neighbours. With a larger number, more videos are in no
cluster.
"""
_SAME = 0.3
"""A cluster gets the number of an earlier cluster if the two clusters have enough videos in common. The common videos
must be at least this share of all videos in the two clusters.
"""


@dataclass(frozen=True)
class Clusters:
    """The cluster number of each video at both levels, or `NONE`. A fine cluster is a part of one coarse cluster."""

    coarse: Rows
    fine: Rows


def find_clusters(places: Float64s) -> Clusters:
    """Return the clusters of the places [n, 2]. Numbers begin at 0."""
    coarse = _hdbscan(places, _COARSE_SHARE * len(places), largest=_LARGEST_SHARE * len(places))
    fine = np.full(len(places), NONE, np.intp)
    for number in range(coarse.max(initial=NONE) + 1):
        members = np.flatnonzero(coarse == number)
        parts = _hdbscan(places[members], _FINE_SHARE * len(places))
        placed = parts != NONE
        fine[members[placed]] = parts[placed] + fine.max(initial=NONE) + 1
    return Clusters(coarse, fine)


def renumbered(found: Rows, earlier: Rows) -> Rows:
    """Return the clusters `found` [n] with new numbers, so that a cluster keeps its number from one map to the next.

    A cluster gets the number of the `earlier` cluster [n] that has mostly the same videos. All other clusters get
    numbers above the earlier numbers. `earlier` is `NONE` for a new video.
    """
    numbers, sizes = np.unique(found[found != NONE], return_counts=True)
    size_of = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    earlier_size = dict(zip(*(part.tolist() for part in np.unique(earlier, return_counts=True)), strict=True))
    both = (found != NONE) & (earlier != NONE)
    pairs, shared = np.unique(np.stack([found[both], earlier[both]]), axis=1, return_counts=True)
    alike = sorted(
        (
            (-common / (size_of[new] + earlier_size[old] - common), new, old)
            for (new, old), common in zip(pairs.T.tolist(), shared.tolist(), strict=True)
        ),
    )
    kept: dict[int, int] = {}
    for minus_share, new, old in alike:
        if -minus_share >= _SAME and new not in kept and old not in kept.values():
            kept[new] = old
    following = int(earlier.max(initial=NONE)) + 1
    for new in numbers.tolist():
        if new not in kept:
            kept[new] = following
            following += 1
    return np.array([kept.get(number, NONE) for number in found.tolist()], np.intp)


def _hdbscan(places: Float64s, smallest: float, largest: float | None = None) -> Rows:
    """Return the cluster of each place [n], by HDBSCAN.

    If `largest` is None, the smallest clusters are returned. Otherwise, a cluster has at most `largest` places, and the
    result is the clusters that exist over the widest ranges of density.
    """
    from sklearn.cluster import HDBSCAN

    size = max(_LEAST, round(smallest))
    if len(places) < 2 * size:
        return np.full(len(places), NONE, np.intp)
    model = HDBSCAN(
        min_cluster_size=size,
        min_samples=_SAMPLES,
        cluster_selection_method="leaf" if largest is None else "eom",
        max_cluster_size=None if largest is None else max(size + 1, round(largest)),
        copy=True,
    )
    return np.asarray(model.fit(places).labels_, np.intp)

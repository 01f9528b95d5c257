"""Measure how similar each face is to its cluster."""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.people.clustering.centroids import Centroids, without_itself


def similarities(vectors: Float64s, clusters: Rows, centroids: Centroids) -> Float64s:
    """Return the cosine of each face [n] to the nearest centroid of its cluster. Return 0 for a face in no cluster.

    The face itself is left out of the centroid. A face that is alone in its cluster gets 0.
    """
    order = np.argsort(centroids.owners, kind="stable")
    starts = np.searchsorted(centroids.owners[order], clusters, side="left")
    numbers = np.searchsorted(centroids.owners[order], clusters, side="right") - starts
    best = np.full(len(clusters), -1.0)
    for place in range(int(numbers.max(initial=0))):
        rows = np.flatnonzero(numbers > place)
        centroid = order[starts[rows] + place]
        best[rows] = np.maximum(best[rows], _cosines(vectors, rows, centroid, centroids))
    return np.where((numbers > 0) & (best > -1), best, 0.0)


def _cosines(vectors: Float64s, rows: Rows, centroid: Rows, centroids: Centroids) -> Float64s:
    """Return the cosine [m] of each face in `rows` to its centroid in `centroid`, a row number of `centroids.sums`."""
    cosines = np.asarray(np.einsum("md,md->m", vectors[rows], centroids.directions()[centroid]), np.float64)
    adding = np.flatnonzero(centroids.of_face[rows] == centroid)
    cosines[adding] = without_itself(vectors[rows[adding]], centroids.sums[centroid[adding]])
    return cosines

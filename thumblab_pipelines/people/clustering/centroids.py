"""Centroids of clusters: one for most, several where the faces of a person differ much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows

_MOST = 6
"""The largest number of centroids of a person."""
_ROUNDS = 10
_BATCH = 4096


@dataclass(frozen=True)
class Centroids:
    """The centroids of clusters.

    Parameters
    ----------
    sums
        The sum of the faces of each centroid [c, d].
    owners
        The cluster of each centroid [c].
    of_face
        The centroid to which each face [n] adds its part, or -1.
    """

    sums: Float64s
    owners: Rows
    of_face: Rows

    def directions(self) -> Float64s:
        """Return the centroids as unit vectors [c, d]."""
        return unit(self.sums)


def unit(sums: Float64s) -> Float64s:
    """Divide each row by its length. A row of zeros stays."""
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=-1, keepdims=True), 1e-12))


def summed(vectors: Float64s, numbers: Rows, count: int) -> tuple[Float64s, Rows]:
    """Return the sum of the vectors with each number [count, d], and how many there are. Negative numbers are left out."""
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers[order], 0) :]
    sizes = np.bincount(numbers[order], minlength=count)
    sums = np.zeros((count, vectors.shape[1]))
    filled = np.flatnonzero(sizes)
    if len(filled):
        sums[filled] = np.add.reduceat(vectors[order], (np.cumsum(sizes) - sizes)[filled], axis=0)
    return sums, sizes


def centroids_of(vectors: Float64s, clusters: Rows, count: int, sure: Flags, least: int, cosine: float) -> Centroids:
    """Compute the centroids of `count` clusters.

    Parameters
    ----------
    vectors, clusters
        The faces [n, d], and the cluster of each one that adds its part, or a negative number.
    sure
        Whether each face [n] surely shows the person of its cluster. A cluster gets several centroids only if `least` sure
        faces are far from its centroid. Otherwise, a few faces of a similar person would get their own centroid, and attract
        more faces of that person. See `spherical_k_means` for `least` and `cosine`.
    """
    of_face = clusters.copy()
    owners = list(range(count))
    sums = summed(vectors, clusters, count)[0]
    inside = np.flatnonzero(clusters >= 0)
    own = np.einsum("nd,nd->n", vectors[inside], unit(sums)[clusters[inside]])
    far = np.bincount(clusters[inside[(own < cosine) & sure[inside]]], minlength=count)
    for cluster in np.flatnonzero(far >= least):
        rows = np.flatnonzero(clusters == cluster)
        part = spherical_k_means(vectors[rows], least, cosine)
        of_face[rows[part > 0]] = len(owners) + part[part > 0] - 1
        owners += [int(cluster)] * int(part.max())
    if len(owners) > count:
        sums = summed(vectors, of_face, len(owners))[0]
    return Centroids(sums, np.array(owners, np.intp), of_face)


def spherical_k_means(vectors: Float64s, least: int, cosine: float) -> Rows:
    """Return the part of each face [n] of one person, from 0 on.

    A part is added while `least` faces or more have a cosine below `cosine` to the nearest centroid, so that they would
    not be matched by themselves. The new centroid starts at the face that is farthest from all centroids. It is kept if
    each part has at least `least` faces, and if fewer faces are far from all centroids than before.
    """
    centres = unit(vectors.sum(axis=0, keepdims=True))
    part = np.zeros(len(vectors), np.intp)
    near = (vectors @ centres.T).max(axis=1)
    while len(centres) < _MOST and (near < cosine).sum() >= least:
        more = np.vstack([centres, vectors[near.argmin()]])
        for _ in range(_ROUNDS):
            wanted = (vectors @ more.T).argmax(axis=1)
            more = unit(summed(vectors, wanted, len(more))[0])
        now = (vectors @ more.T).max(axis=1)
        if np.bincount(wanted, minlength=len(more)).min() < least or (now < cosine).sum() >= (near < cosine).sum():
            break
        centres, part, near = more, wanted, now
    return part


@dataclass(frozen=True)
class Candidates:
    """Clusters that faces could join: the face, the cluster and their cosine [m], best first."""

    faces: Rows
    clusters: Rows
    cosines: Float64s


def candidates(vectors: Float64s, centroids: Centroids, faces: Rows, least: float) -> Candidates:
    """Return the clusters whose centroids have at least the cosine `least` with the rows `faces` of `vectors`.

    A face is left out of the centroid to which it adds its part. Otherwise small clusters would hold together only
    because each face is like itself.
    """
    directions = centroids.directions().astype(np.float32)
    rows, owners, cosines = [], [], []
    for start in range(0, len(faces), _BATCH):
        batch = faces[start : start + _BATCH]
        near = vectors[batch].astype(np.float32) @ directions.T
        own = centroids.of_face[batch]
        adding = np.flatnonzero(own >= 0)
        near[adding, own[adding]] = without_itself(vectors[batch[adding]], centroids.sums[own[adding]])
        # A flat array is searched much faster than one of two dimensions.
        face, centroid = np.divmod(np.flatnonzero(near >= least), near.shape[1])
        rows.append(batch[face])
        owners.append(centroids.owners[centroid])
        cosines.append(near[face, centroid].astype(np.float64))
    if not rows:
        return Candidates(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
    row, owner, cosine = np.concatenate(rows), np.concatenate(owners), np.concatenate(cosines)
    best_first = np.lexsort((owner, row, -cosine))
    return Candidates(row[best_first], owner[best_first], cosine[best_first])


def without_itself(vectors: Float64s, sums: Float64s) -> Float64s:
    """Return the cosine of each vector [m, d] with the rest of its sum [m, d], or -1 if nothing is left."""
    rest = sums - vectors
    length = np.linalg.norm(rest, axis=1)
    return np.where(length > 1e-6, np.einsum("md,md->m", rest, vectors) / np.maximum(length, 1e-6), -1.0)


def halves(vectors: Float64s) -> Rows:
    """Split the faces [n, d] into two parts, 0 and 1, by spherical 2-means from their main direction."""
    centred = vectors - vectors.mean(axis=0)
    # The power method finds the main direction well enough for a start, and faster than a decomposition.
    side = centred[np.einsum("nd,nd->n", centred, centred).argmax()]
    for _ in range(2 * _ROUNDS):
        side = unit(centred.T @ (centred @ side))
    along = centred @ side
    part: Rows = (along > 0).astype(np.intp)
    for _ in range(_ROUNDS):
        sums, sizes = summed(vectors, part, 2)
        if sizes.min() == 0:
            break
        wanted = (vectors @ unit(sums).T).argmax(axis=1)
        if np.array_equal(wanted, part):
            break
        part = wanted
    return np.asarray(part, np.intp)


def mean_within(sums: Float64s, sizes: Rows) -> Float64s:
    """Return the mean cosine of the pairs inside each cluster, from the sums [k, d] and numbers [k] of its faces.

    A cluster of one face gets 1.
    """
    squared = np.einsum("kd,kd->k", sums, sums)
    return np.where(sizes > 1, (squared - sizes) / np.maximum(sizes * (sizes - 1), 1), 1.0)

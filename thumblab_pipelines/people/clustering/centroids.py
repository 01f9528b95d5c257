"""Compute the centroids of clusters. Most clusters have one centroid. A cluster whose faces differ much has several
centroids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows

_MOST = 6
"""Maximum number of centroids of a cluster."""
_ROUNDS = 10
_BATCH = 4096


@dataclass(frozen=True)
class Centroids:
    """The centroids of clusters.

    Parameters
    ----------
    sums
        The sum of the face vectors of each centroid [c, d].
    owners
        The cluster of each centroid [c].
    of_face
        For each face [n], the number of the centroid whose sum includes the face, or -1 if no sum includes the face.
    """

    sums: Float64s
    owners: Rows
    of_face: Rows

    def directions(self) -> Float64s:
        """Return the centroids as unit vectors [c, d]."""
        return unit(self.sums)


def unit(sums: Float64s) -> Float64s:
    """Divide each row by its length. A row of zeros does not change."""
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=-1, keepdims=True), 1e-12))


def summed(vectors: Float64s, numbers: Rows, count: int) -> tuple[Float64s, Rows]:
    """Return the sum of the vectors of each group [count, d], and the size of each group [count].

    `numbers` [n]: the group of each vector. A vector with a negative number is left out.
    """
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
        The faces [n, d], and the cluster [n] of each face. A face whose cluster is negative is in no cluster.
    sure
        Whether each face [n] surely shows the person of its cluster. A cluster gets several centroids only if
        `least` or more of its sure faces are far from its centroid. Without this rule, a few faces of a similar person
        would get their own centroid, which would attract more faces of the similar person.
    least, cosine
        See `spherical_k_means`.
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
    """Divide the faces [n] of one person into parts. Return the number of each face's part [n], starting at 0.

    Each part has a centroid. A face is far if its cosine to the nearest centroid is below `cosine`. As long as `least`
    faces or more are far, one more part is tried. The centroid of the new part starts at the farthest face. The new
    part is kept if each part has at least `least` faces, and if fewer faces are far than before. Otherwise the division
    ends.
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
    """The m pairs of a face and a cluster that the face could join, with their cosines. The largest cosine comes
    first."""

    faces: Rows
    clusters: Rows
    cosines: Float64s


def candidates(vectors: Float64s, centroids: Centroids, faces: Rows, least: float) -> Candidates:
    """Return the pairs of a face and a cluster whose cosine is at least `least`. `faces` are rows of `vectors`.

    Before a face is compared with its own centroid, the face is removed from the centroid. Otherwise the faces of small
    clusters would match only because each face is like itself.
    """
    directions = centroids.directions().astype(np.float32)
    rows, owners, cosines = [], [], []
    for start in range(0, len(faces), _BATCH):
        batch = faces[start : start + _BATCH]
        near = vectors[batch].astype(np.float32) @ directions.T
        own = centroids.of_face[batch]
        adding = np.flatnonzero(own >= 0)
        near[adding, own[adding]] = without_itself(vectors[batch[adding]], centroids.sums[own[adding]])
        # A flat array is searched much faster than an array of two dimensions.
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
    """Return the cosine [m] of each vector with its sum, after the vector is removed from the sum.

    `sums` [m, d]: the sum that contains each vector. The cosine is -1 if no other vector is in the sum.
    """
    rest = sums - vectors
    length = np.linalg.norm(rest, axis=1)
    return np.where(length > 1e-6, np.einsum("md,md->m", rest, vectors) / np.maximum(length, 1e-6), -1.0)


def halves(vectors: Float64s) -> Rows:
    """Split the faces [n, d] into the parts 0 and 1 by spherical 2-means. Start with a split along the main
    direction."""
    centred = vectors - vectors.mean(axis=0)
    # The power method is precise enough for a first split, and faster than a decomposition of the matrix.
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
    """Return the mean cosine [k] of the pairs of faces in each cluster. The result is 1 for a cluster of one face.

    `sums` [k, d]: the sum of the face vectors of each cluster. `sizes` [k]: the number of faces of each cluster.
    """
    squared = np.einsum("kd,kd->k", sums, sums)
    return np.where(sizes > 1, (squared - sizes) / np.maximum(sizes * (sizes - 1), 1), 1.0)

"""Improve clusters: split mixed clusters, merge parts of one person, and put each face into the nearest cluster."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.recognition.match_scores import Calibration
from thumblab_pipelines.people.clustering.centroids import (
    Centroids,
    candidates,
    centroids_of,
    halves,
    mean_within,
    summed,
    unit,
)
from thumblab_pipelines.people.clustering.faces import NONE, ClusterSettings, Faces, founders
from thumblab_pipelines.people.clustering.members import Members
from thumblab_pipelines.people.clustering.thresholds import Thresholds

_ALIKE = 0.5
"""Minimum ratio of two mean cosines for a merge: the mean cosine between the two clusters, divided by the mean cosine
within the less uniform cluster."""

_BATCH = 2048


@dataclass(frozen=True)
class Work:
    """The data that the steps of a clustering share.

    Parameters
    ----------
    faces
        The faces in canonical order.
    vectors
        The vectors of the faces [n, d] in double precision.
    anchors
        The codes [k] of the clusters that are anchors, see `cluster_faces`. In `assign_faces`, all existing clusters
        are anchors.
    base
        The number of the anchor in which each face [n] stays, or `NONE`.
    """

    faces: Faces
    vectors: Float64s
    calibration: Calibration
    settings: ClusterSettings
    anchors: Rows
    base: Rows

    @property
    def founders(self) -> Flags:
        return founders(self.faces, self.settings)

    @property
    def labelled(self) -> Rows:
        """The codes of the clusters that have a name or pinned faces."""
        return np.union1d(self.faces.named, self.faces.pinned[self.faces.pinned >= 0]).astype(np.intp)

    def members(self, count: int) -> Members:
        """Return `count` clusters. Anchors contain the faces that stay in them. All other clusters are empty."""
        members = Members(self.faces, self.anchors, count)
        for face in np.flatnonzero(self.base >= 0).tolist():
            members.join(face, int(self.base[face]))
        return members

    def thresholds(self, clusters: int) -> Thresholds:
        return Thresholds.of(self.calibration, self.settings, clusters)

    def centroids(self, clusters: Rows, count: int) -> Centroids:
        """Compute the centroids from the faces of good quality. For an anchor without faces of good quality, use all
        its faces."""
        adding = np.where(self.founders, clusters, NONE)
        without = np.setdiff1d(np.arange(len(self.anchors)), adding)
        if len(without):
            adding = np.where(np.isin(clusters, without), clusters, adding)
        least, cosine = self.settings.minimum_cluster_size, self.thresholds(count).join
        sure = (self.base >= 0) & np.append(np.isin(self.anchors, self.labelled), False)[self.base]
        return centroids_of(self.vectors, adding, count, sure, least, cosine)


def assign(work: Work, clusters: Rows, count: int) -> Rows:
    """Put each face into the nearest cluster that it may join. Return the cluster of each face [n].

    The nearest pairs of a face and a cluster are handled first. When all faces are placed, a cluster with too few faces
    of good quality is dissolved, unless it is an anchor.
    """
    centroids = work.centroids(clusters, count)
    members = work.members(count)
    free = np.flatnonzero(work.base < 0)
    near = candidates(work.vectors, centroids, free, work.thresholds(count).join)
    for face, cluster in zip(near.faces.tolist(), near.clusters.tolist(), strict=True):
        members.join(face, cluster)
    return without_small(work, members.clusters, count)


def without_small(work: Work, clusters: Rows, count: int) -> Rows:
    """Dissolve each cluster that has too few faces of good quality, unless it is an anchor."""
    good = np.bincount(clusters[work.founders & (clusters >= 0)], minlength=count)
    kept = (good >= work.settings.minimum_cluster_size) | (np.arange(count) < len(work.anchors))
    # A face in no cluster has the cluster number -1. As an index, -1 means the last element, so False is added at the
    # end.
    return np.where(np.append(kept, False)[clusters], clusters, NONE)


def split(work: Work, clusters: Rows, count: int, whole: set[bytes]) -> tuple[Rows, int]:
    """Split each cluster, except anchors, whose two halves look like two people. Return the clusters and their number.

    `whole` contains the clusters that were not split. The next call skips these clusters if they have not changed.
    """
    clusters = clusters.copy()
    least = work.settings.minimum_cluster_size
    merge = work.thresholds(count).merge
    adding = np.where(work.founders, clusters, NONE)
    order = np.argsort(adding, kind="stable")
    starts = np.searchsorted(adding[order], np.arange(len(work.anchors), count + 1))
    waiting = [order[start:end] for start, end in pairwise(starts)]
    while waiting:
        rows = waiting.pop()
        if len(rows) < 2 * least or rows.tobytes() in whole:
            continue
        part = halves(work.vectors[rows])
        sums, sizes = summed(work.vectors[rows], part, 2)
        if sizes.min() < least or _one_person(sums, sizes, np.array([0]), np.array([1]), merge)[0]:
            whole.add(rows.tobytes())
            continue
        clusters[rows[part == 1]] = count
        count += 1
        waiting += [rows[part == 0], rows[part == 1]]
    return clusters, count


def merge(work: Work, members: Members) -> None:
    """Merge clusters that look like one person, if `Members.may_merge` allows it. The most similar clusters come
    first."""
    clusters, count = members.clusters, len(members)
    good = np.where(work.founders, clusters, NONE)
    sums, sizes = summed(work.vectors, good, count)
    least = work.thresholds(int((sizes > 0).sum())).merge
    directions = unit(sums).astype(np.float32)
    pairs = []
    for start in range(0, count, _BATCH):
        first, second = np.nonzero(directions[start : start + _BATCH] @ directions.T >= least)
        keep = start + first < second
        pairs.append(np.column_stack([start + first[keep], second[keep]]))
    one, other = np.concatenate(pairs).T if pairs else np.empty((2, 0), np.intp)
    fits = _one_person(sums, sizes, one, other, least)
    one, other = one[fits], other[fits]
    cosines = np.einsum("md,md->m", unit(sums[one]), unit(sums[other]))
    into = np.arange(count)
    for pair in np.lexsort((other, one, -cosines)).tolist():
        a, b = sorted((_root(into, int(one[pair])), _root(into, int(other[pair]))))
        if a == b or not members.may_merge(a, b):
            continue
        # An earlier merge may have changed the two clusters, so the pair is tested again.
        both = np.array([a, b])
        if _one_person(sums[both], sizes[both], np.array([0]), np.array([1]), least)[0]:
            members.merge(a, b)
            into[b], sums[a], sizes[a] = a, sums[a] + sums[b], sizes[a] + sizes[b]


def _root(into: Rows, cluster: int) -> int:
    while into[cluster] != cluster:
        cluster = int(into[cluster])
    return cluster


def _one_person(sums: Float64s, sizes: Rows, one: Rows, other: Rows, least: float) -> Flags:
    """Return for each pair of clusters [m] whether they look like parts of one person."""
    across = np.einsum("md,md->m", sums[one], sums[other])
    lengths = np.linalg.norm(sums[one], axis=1) * np.linalg.norm(sums[other], axis=1)
    within = mean_within(sums, sizes)
    mean = across / np.maximum(sizes[one] * sizes[other], 1)
    alike = mean >= _ALIKE * np.minimum(within[one], within[other])
    return np.asarray((across >= least * np.maximum(lengths, 1e-12)) & alike & (sizes[one] > 0) & (sizes[other] > 0))

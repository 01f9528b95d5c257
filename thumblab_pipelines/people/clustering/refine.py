"""Improve clusters: split mixed ones, merge parts of one person, and put each face into the nearest cluster."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.recognition.match_scores import Calibration, join_rate
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

_STRICTER = 0.1
"""Two clusters are merged at a false accept rate lower by this factor. A wrong merge is harder to see than a missing one."""

_ALIKE = 0.5
"""Two parts of one person have a mean cosine of at least this share of the mean cosine inside the less uniform part."""

_BATCH = 2048


@dataclass(frozen=True)
class Thresholds:
    """The cosines from which a face joins a cluster, and from which two clusters are one person."""

    join: float
    merge: float

    @classmethod
    def of(cls, calibration: Calibration, settings: ClusterSettings, clusters: int) -> Thresholds:
        """Compute the thresholds for a number of clusters."""
        rate = join_rate(settings.person_match_threshold, clusters)
        return cls(calibration.cosine_at_rate(rate), calibration.cosine_at_rate(rate * _STRICTER))


@dataclass(frozen=True)
class Work:
    """The data that the steps of a clustering share.

    Parameters
    ----------
    faces
        The faces in canonical order.
    vectors
        Their vectors [n, d] in double precision.
    anchors
        The codes of the clusters that are given [k]: those about which persons said something, or all if faces are only
        assigned.
    base
        The number of the anchor in which each face stays [n], or `NONE`.
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
        """Return `count` clusters: the anchors with the faces that stay in them, and empty ones."""
        members = Members(self.faces, self.anchors, count)
        for face in np.flatnonzero(self.base >= 0).tolist():
            members.join(face, int(self.base[face]))
        return members

    def thresholds(self, clusters: int) -> Thresholds:
        return Thresholds.of(self.calibration, self.settings, clusters)

    def centroids(self, clusters: Rows, count: int) -> Centroids:
        """Compute the centroids from the faces of good quality. An anchor without such faces uses those that it has."""
        adding = np.where(self.founders, clusters, NONE)
        without = np.setdiff1d(np.arange(len(self.anchors)), adding)
        if len(without):
            adding = np.where(np.isin(clusters, without), clusters, adding)
        least, cosine = self.settings.minimum_cluster_size, self.thresholds(count).join
        sure = (self.base >= 0) & np.append(np.isin(self.anchors, self.labelled), False)[self.base]
        return centroids_of(self.vectors, adding, count, sure, least, cosine)


def assign(work: Work, clusters: Rows, count: int) -> Rows:
    """Put each face into the nearest cluster that it may join. Return the cluster of each face [n].

    The nearest pairs of a face and a cluster come first. Clusters other than anchors that are left with too few faces of
    good quality are dissolved.
    """
    centroids = work.centroids(clusters, count)
    members = work.members(count)
    free = np.flatnonzero(work.base < 0)
    near = candidates(work.vectors, centroids, free, work.thresholds(count).join)
    for face, cluster in zip(near.faces.tolist(), near.clusters.tolist(), strict=True):
        members.join(face, cluster)
    return without_small(work, members.clusters, count)


def without_small(work: Work, clusters: Rows, count: int) -> Rows:
    """Dissolve clusters other than anchors that have too few faces of good quality."""
    good = np.bincount(clusters[work.founders & (clusters >= 0)], minlength=count)
    kept = (good >= work.settings.minimum_cluster_size) | (np.arange(count) < len(work.anchors))
    # The last element stands for the faces in no cluster.
    return np.where(np.append(kept, False)[clusters], clusters, NONE)


def split(work: Work, clusters: Rows, count: int, whole: set[bytes]) -> tuple[Rows, int]:
    """Split clusters other than anchors whose halves do not look like one person. Return the clusters and their number.

    `whole` keeps the clusters that were not split, because most of them are the same the next time.
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
    """Merge clusters that look like one person and have no conflict, the most similar ones first."""
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
        # A merge has changed what the pair stands for, so it is tested again.
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

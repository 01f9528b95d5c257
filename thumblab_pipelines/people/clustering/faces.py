"""Define the input and the result of a clustering."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

import numpy as np

from thumblab_core.arrays import Flags, Float32s, Floats, Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.people.clustering.order import canonical_order

NONE = -1
"""The code of a face that is in no cluster."""


class FacesError(LabError):
    """Raised if the changes that users made contradict each other, or if the arrays do not fit together."""


class How(IntEnum):
    """Why a face is in its cluster."""

    NONE = 0
    PINNED = 1
    """A person put the face into the cluster."""
    MATCHED = 2
    """The face is near enough to a cluster that has a name or pinned faces."""
    GROUPED = 3
    """The face belongs to a cluster that was found without labels."""


UnknownMethod = Literal["hdbscan", "dbscan", "agglomerative"]


@dataclass(frozen=True)
class ClusterSettings:
    """How faces are clustered.

    Parameters
    ----------
    person_match_threshold
        A face joins a cluster only if its match score is at least this value, which is above 0.1 and at most 1. With a
        higher value, fewer faces join.
    unknown_method
        The algorithm that groups the faces without a matching cluster.
    minimum_cluster_size
        The minimum number of faces of good quality in a new cluster, 2 or more.
    founding_quality
        The minimum quality of a face from which a new cluster can be formed. A face of lower quality may join a
        cluster, but does not move the centroid of the cluster.
    """

    person_match_threshold: float = 0.7
    unknown_method: UnknownMethod = "hdbscan"
    minimum_cluster_size: int = 3
    founding_quality: float = 0.4

    def __post_init__(self) -> None:
        if not 0.1 < self.person_match_threshold <= 1:
            raise FacesError(
                f"The person match threshold is {self.person_match_threshold}; use a number above 0.1 and up to 1."
            )
        if self.minimum_cluster_size < 2:
            raise FacesError(f"The minimum cluster size is {self.minimum_cluster_size}; use 2 or more.")
        if self.unknown_method not in ("hdbscan", "dbscan", "agglomerative"):
            raise FacesError(f"The method {self.unknown_method!r} is not known; use hdbscan, dbscan or agglomerative.")


@dataclass(frozen=True)
class Faces:
    """Faces to cluster, the changes that users made to the clusters, and the previous clusters of the faces.

    Parameters
    ----------
    vectors
        Unit vectors [n, d].
    pictures
        The code of the picture of each face [n]. Two faces of one picture are never in one cluster.
    quality
        The quality of each face [n], 0 to 1.
    pinned
        The cluster into which a person put each face [n], or `NONE`.
    banned
        Pairs [m, 2] of a face and a cluster. A person said that the face does not belong to the cluster. The face is
        given by its row, and the cluster by its code.
    named
        The codes of the clusters that have a name [k].
    previous
        The cluster of each face [n] in the last clustering, or `NONE`.
    """

    vectors: Float32s
    pictures: Rows
    quality: Floats
    pinned: Rows
    banned: Rows = field(default_factory=lambda: np.empty((0, 2), np.intp))
    named: Rows = field(default_factory=lambda: np.empty(0, np.intp))
    previous: Rows | None = None

    def __post_init__(self) -> None:
        count = len(self.vectors)
        lengths = {"pictures": self.pictures, "quality": self.quality, "pinned": self.pinned, "previous": self.before}
        for name, values in lengths.items():
            if values.shape != (count,):
                raise FacesError(
                    f"{name} has the shape {values.shape}, but there are {count} faces; give one value for each face."
                )
        if self.vectors.ndim != 2 or not np.allclose(np.linalg.norm(self.vectors, axis=1), 1, atol=1e-3):
            raise FacesError("The face vectors are not unit vectors; divide each vector by its length.")
        if (
            self.banned.ndim != 2
            or self.banned.shape[1] != 2
            or np.any((self.banned[:, 0] < 0) | (self.banned[:, 0] >= count))
        ):
            raise FacesError("Each row of banned must have two numbers: the row of a face, and the code of a cluster.")
        self._check_that_persons_agree()

    @property
    def before(self) -> Rows:
        """The previous cluster of each face [n], or `NONE`."""
        return np.full(len(self.vectors), NONE, np.intp) if self.previous is None else self.previous

    def taken(self, rows: Rows) -> Faces:
        """Return the faces in the order of `rows`. `rows` must contain every row once."""
        place = np.empty(len(rows), np.intp)
        place[rows] = np.arange(len(rows))
        banned = np.column_stack([place[self.banned[:, 0]], self.banned[:, 1]])
        return replace(
            self,
            vectors=self.vectors[rows],
            pictures=self.pictures[rows],
            quality=self.quality[rows],
            pinned=self.pinned[rows],
            banned=banned[np.lexsort((banned[:, 1], banned[:, 0]))],
            named=np.unique(self.named),
            previous=self.before[rows],
        )

    def canonical_order(self) -> Rows:
        """Return the rows in an order that does not depend on the order of the input.

        Faces whose data are all equal may be in any order.
        """
        bans = np.zeros(len(self.vectors), np.int64)
        np.add.at(bans, self.banned[:, 0], self.banned[:, 1] + 1)
        return canonical_order(self.vectors, self.pictures, self.quality, self.pinned, self.before, bans)

    def _check_that_persons_agree(self) -> None:
        pinned = np.flatnonzero(self.pinned >= 0)
        places, counts = np.unique(
            np.column_stack([self.pictures[pinned], self.pinned[pinned]]), axis=0, return_counts=True
        )
        if len(counts) and counts.max() > 1:
            picture, cluster = places[counts.argmax()]
            raise FacesError(
                f"Two faces of picture {picture} are pinned to cluster {cluster}; two faces of one picture are two people."
            )
        against = self.banned[:, 1] == self.pinned[self.banned[:, 0]]
        if np.any(against & (self.banned[:, 1] >= 0)):
            face, cluster = self.banned[against][0]
            raise FacesError(
                f"Face {face} is pinned to cluster {cluster} and banned from it; remove the pin or the ban."
            )


@dataclass(frozen=True)
class Clustering:
    """The cluster of each face.

    Parameters
    ----------
    clusters
        The cluster code of each face [n], or `NONE`.
    similarity
        The cosine of each face [n] to the nearest centroid of its cluster. The face itself is left out of the centroid.
        The value is 0 if the face is in no cluster.
    how
        The `How` of each face [n].
    """

    clusters: Rows
    similarity: Floats
    how: Rows

    def taken(self, rows: Rows) -> Clustering:
        return Clustering(self.clusters[rows], self.similarity[rows], self.how[rows])


def founders(faces: Faces, settings: ClusterSettings) -> Flags:
    """Return for each face [n] whether its quality is good enough that a new cluster can be formed from it."""
    return np.asarray(faces.quality >= settings.founding_quality, np.bool_)

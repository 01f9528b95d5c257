"""Recognise the people who have a name, by the centroids and the calibration that the last grouping stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select

from thumblab_core.arrays import Float32s
from thumblab_core.database.tables import face_assignments, face_clusters
from thumblab_core.people.learned import read_calibration, read_centroids
from thumblab_core.recognition.match_scores import Calibration, join_rate


@dataclass(frozen=True)
class Match:
    """A person whom a face matches. `key`: the key of the cluster. `score`: the match score, 0 to 1."""

    key: str
    name: str
    score: float


@dataclass(frozen=True)
class KnownPeople:
    """The clusters to which a face may belong, in one space (`recognition.space`).

    Attributes:
        names: the name of each person, by the key of the cluster.
        owners: the key of the cluster of each centroid.
        centroids: unit vectors, float32 [c, d], of people and of unknown clusters.
        calibration: what a cosine means. None if faces were never grouped in this space.
        threshold: the threshold of the last grouping, as a match score.
        waiting: how many people have faces but no centroid yet. Somebody has changed these clusters since the last
        grouping.
    """

    names: Mapping[str, str]
    owners: tuple[str, ...]
    centroids: Float32s
    calibration: Calibration | None
    threshold: float
    waiting: int

    @property
    def least_cosine(self) -> float:
        """The least cosine at which a face matches. The grouping of faces computes its least cosine in the same way
        from the threshold and the number of clusters.
        """
        if self.calibration is None:
            return 1.0
        return self.calibration.cosine_at_rate(join_rate(self.threshold, len({*self.names, *self.owners})))

    @property
    def least_score(self) -> float:
        """The least match score at which a face matches. It is the threshold, or higher if there are many clusters."""
        return 1.0 if self.calibration is None else float(self.calibration.score(self.least_cosine))

    def match(self, vectors: Float32s) -> list[Match | None]:
        """Return the person of each face of one picture, or None for a face that matches no named person.

        `vectors`: unit vectors of this space, float32 [m, d]. The best pairs of a face and a cluster are matched first.
        Two faces of one picture are never one person. A face that is most like an unknown cluster matches nobody.
        """
        found: list[Match | None] = [None] * len(vectors)
        if self.calibration is None or not len(vectors) or not self.owners:
            return found
        cosines = vectors @ self.centroids.T
        faces, centroids = np.nonzero(cosines >= self.least_cosine)
        near = cosines[faces, centroids]
        placed: set[int] = set()
        taken: set[str] = set()
        for pair in np.lexsort((centroids, faces, -near)).tolist():
            face, key = int(faces[pair]), self.owners[centroids[pair]]
            if face in placed or key in taken:
                continue
            placed.add(face)
            taken.add(key)
            if key in self.names:
                found[face] = Match(key, self.names[key], float(self.calibration.score(near[pair])))
        return found


def read_known_people(connection: Connection, space: str, threshold: float) -> KnownPeople:
    """Return the people of a space, given by its fingerprint.

    `threshold`: the setting of the lab. This setting is used if the last grouping was made by a version that stored no
    threshold.
    """
    in_use = face_clusters.c.merged_into.is_(None), face_clusters.c.name.is_not(None)
    rows = connection.execute(
        select(face_clusters.c.cluster_key, face_clusters.c.name, func.count(face_assignments.c.face_id).label("faces"))
        .outerjoin(face_assignments, face_assignments.c.cluster_key == face_clusters.c.cluster_key)
        .where(*in_use)
        .group_by(face_clusters.c.cluster_key)
    ).all()
    owners, centroids = read_centroids(connection, space)
    stored = dict(read_calibration(connection, space) or {})
    threshold = float(stored.pop("threshold", threshold))
    return KnownPeople(
        names={row.cluster_key: row.name for row in rows},
        owners=tuple(owners),
        centroids=centroids,
        calibration=Calibration.from_json(json.dumps(stored)) if stored else None,
        threshold=threshold,
        waiting=sum(row.faces > 0 and row.cluster_key not in owners for row in rows),
    )

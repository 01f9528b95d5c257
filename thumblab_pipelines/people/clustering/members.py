"""Record which faces are in which cluster while clusters are formed. Check the rules about which faces may be in one
cluster.
"""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_pipelines.people.clustering.faces import NONE, Faces


class Members:
    """The cluster of each face. Methods check whether a face may join a cluster, and whether two clusters may merge.

    An anchor is a cluster that already has a code. The anchors have the lowest cluster numbers. A face can be banned
    only from an anchor.
    """

    def __init__(self, faces: Faces, anchors: Rows, count: int) -> None:
        """Make `count` empty clusters. The first k clusters are the anchors. `anchors` [k]: their codes."""
        self._pictures = faces.pictures.tolist()
        self._banned: dict[int, set[int]] = {}
        number = {code: anchor for anchor, code in enumerate(anchors.tolist())}
        for face, code in faces.banned.tolist():
            if code in number:
                self._banned.setdefault(face, set()).add(number[code])
        self._anchors = len(anchors)
        self._of_face = [NONE] * len(faces.pictures)
        self._faces: list[set[int]] = [set() for _ in range(count)]
        self._pictures_of: list[set[int]] = [set() for _ in range(count)]
        self._bans_of: list[set[int]] = [set() for _ in range(count)]

    @property
    def clusters(self) -> Rows:
        """The number of the cluster of each face [n], or `NONE`."""
        return np.array(self._of_face, np.intp)

    def __len__(self) -> int:
        return len(self._faces)

    def join(self, face: int, cluster: int) -> None:
        """Put a face into `cluster`. Do nothing if the face is in a cluster already, or must not join this cluster."""
        bans = self._banned.get(face, ())
        if self._of_face[face] != NONE or self._pictures[face] in self._pictures_of[cluster] or cluster in bans:
            return
        self._of_face[face] = cluster
        self._faces[cluster].add(face)
        self._pictures_of[cluster].add(self._pictures[face])
        self._bans_of[cluster].update(bans)

    def may_merge(self, one: int, other: int) -> bool:
        """Return whether two clusters may merge.

        Two anchors never merge. Clusters with faces of the same picture, or with a face that is banned from the other
        cluster, do not merge either.
        """
        return (
            (one >= self._anchors or other >= self._anchors)
            and self._pictures_of[one].isdisjoint(self._pictures_of[other])
            and one not in self._bans_of[other]
            and other not in self._bans_of[one]
        )

    def merge(self, kept: int, given: int) -> None:
        """Put all faces of the cluster `given` into `kept`. `may_merge` must be true for the two clusters."""
        for face in self._faces[given]:
            self._of_face[face] = kept
        for sets in (self._faces, self._pictures_of, self._bans_of):
            sets[kept] |= sets[given]
            sets[given] = set()

"""The answers about clusters of faces, about faces, and about what a person changed or forgot.

This file is generated: change `thumblab_serving/schemas/people/clusters.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FaceClusterOut:
    """A cluster of faces. If a person has named it, it is a person."""

    cluster_id: str
    """`person_` or `unknown_cluster_` and a key of 12 digits. A request may also write `clu_` or nothing before the
    key, and the id that the cluster had before it was named or merged.
    """

    person_id: str | None
    """The same id, if the cluster has a name. Else null."""

    kind: Literal["person", "unknown"]
    name: str | None
    """The name that a person gave. The lab never guesses a name."""

    is_owner: bool
    """Whether a person said that this person runs the channel."""

    faces: int
    pictures: int
    channels: int
    """How many channels show or showed its pictures."""

    pinned: int
    """How many of the faces a person put there. The lab never moves them by itself."""

    samples: list[str]
    """The ids of the faces of best quality, at most 6."""

    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class LabelledClusterOut:
    """The cluster that has the name now."""

    cluster_id: str
    """`person_` or `unknown_cluster_` and a key of 12 digits. A request may also write `clu_` or nothing before the
    key, and the id that the cluster had before it was named or merged.
    """

    person_id: str | None
    """The same id, if the cluster has a name. Else null."""

    kind: Literal["person", "unknown"]
    name: str | None
    """The name that a person gave. The lab never guesses a name."""

    is_owner: bool
    """Whether a person said that this person runs the channel."""

    faces: int
    pictures: int
    channels: int
    """How many channels show or showed its pictures."""

    pinned: int
    """How many of the faces a person put there. The lab never moves them by itself."""

    samples: list[str]
    """The ids of the faces of best quality, at most 6."""

    created_at: datetime
    merged: bool
    """Whether another cluster had the name already. The cluster of the request was then merged into it, and this is
    that other cluster.
    """

    merge_id: int | None
    """The number of this merge, with which it can be taken back. Else null."""


@dataclass(frozen=True, kw_only=True)
class FaceClustersOut:
    """A part of the list of clusters, the largest first."""

    total: int
    """How many clusters the whole list has."""

    clusters: list[FaceClusterOut]


@dataclass(frozen=True, kw_only=True)
class StoredFaceOut:
    """A face in a stored picture."""

    face_id: str
    sha256: str
    """The picture, by the SHA-256 of its file."""

    box: list[float]
    """The left, upper, right and lower edge, as fractions of the picture's width and height."""

    confidence: float
    """How sure the detector is that this is a face."""

    quality: float
    """From size, sharpness, pose and confidence."""

    cluster_id: str | None
    """Null if the face is in no cluster."""

    name: str | None
    """The name of its cluster, if a person named it."""

    pinned: bool
    """Whether a person put it there."""

    similarity: float | None
    """The cosine of the face and its cluster. Null if a person put it there."""

    detected_at: datetime


@dataclass(frozen=True, kw_only=True)
class FaceClusterFacesOut:
    """A cluster, with a part of its faces, the best quality first. `faces` counts all of them."""

    cluster_id: str
    """`person_` or `unknown_cluster_` and a key of 12 digits. A request may also write `clu_` or nothing before the
    key, and the id that the cluster had before it was named or merged.
    """

    person_id: str | None
    """The same id, if the cluster has a name. Else null."""

    kind: Literal["person", "unknown"]
    name: str | None
    """The name that a person gave. The lab never guesses a name."""

    is_owner: bool
    """Whether a person said that this person runs the channel."""

    faces: int
    pictures: int
    channels: int
    """How many channels show or showed its pictures."""

    pinned: int
    """How many of the faces a person put there. The lab never moves them by itself."""

    samples: list[str]
    """The ids of the faces of best quality, at most 6."""

    created_at: datetime
    members: list[StoredFaceOut]


@dataclass(frozen=True, kw_only=True)
class NearFaceOut:
    """A face that looks like the face of the request."""

    face_id: str
    sha256: str
    """The picture, by the SHA-256 of its file."""

    box: list[float]
    """The left, upper, right and lower edge, as fractions of the picture's width and height."""

    confidence: float
    """How sure the detector is that this is a face."""

    quality: float
    """From size, sharpness, pose and confidence."""

    cluster_id: str | None
    """Null if the face is in no cluster."""

    name: str | None
    """The name of its cluster, if a person named it."""

    pinned: bool
    """Whether a person put it there."""

    similarity: float | None
    """The cosine of the face and its cluster. Null if a person put it there."""

    detected_at: datetime
    cosine: float
    """Of the vectors of the two faces. What it means depends on the network."""


@dataclass(frozen=True, kw_only=True)
class NearFacesOut:
    """The faces that look most like a face, the nearest first."""

    faces: list[NearFaceOut]


@dataclass(frozen=True, kw_only=True)
class UnassignedFacesOut:
    """A part of the faces that are in no cluster, the best quality first."""

    faces: list[StoredFaceOut]


@dataclass(frozen=True, kw_only=True)
class ShownPictureOut:
    """A video that shows or showed a picture, or the file that a person gave."""

    video_id: str | None
    """Null for a picture that a person gave."""

    title: str | None
    channel_id: str | None
    channel: str | None
    """The title of the channel."""

    current: bool
    """Whether the video shows this picture now."""

    file_name: str | None
    """The name of a picture that a person gave. Null for any other."""


@dataclass(frozen=True, kw_only=True)
class PictureFacesOut:
    """The faces of a picture, from left to right."""

    sha256: str
    video_id: str | None
    """The video of the request, if it named one."""

    faces: list[StoredFaceOut]
    shown_in: list[ShownPictureOut]
    """The videos that show or showed it, the newest first, at most 100."""


@dataclass(frozen=True, kw_only=True)
class FaceChangeOut:
    """A change that a person made. `ban` is "not this person"."""

    change_id: int
    kind: Literal["label", "unlabel", "owner", "merge", "unmerge", "move", "ban"]
    cluster_id: str | None
    """The changed cluster."""

    other_id: str | None
    """The cluster that was merged into the changed one, or split off it."""

    name: str | None
    """The name that the changed cluster has now."""

    name_before: str | None
    """The name that the change may have removed."""

    faces: int
    """How many faces it concerned."""

    reverted: bool
    """Whether it is a merge that was taken back."""

    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class FaceChangesOut:
    """The latest changes, the latest first. Changes that were undone are left out."""

    changes: list[FaceChangeOut]


@dataclass(frozen=True, kw_only=True)
class ForgottenOut:
    """The faces, pictures and heads that were deleted for good."""

    faces: int
    """How many faces, with their vectors and the changes that a person made to them."""

    pictures: int
    """How many pictures that a person had given. The thumbnails of videos stay."""

    heads: list[str]
    """The releases of trained heads that had learnt from these faces."""

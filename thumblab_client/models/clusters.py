"""The answers about clusters of faces, about faces, and about changes and deletions.

This file is generated: change `thumblab_serving/schemas/people/clusters.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FaceClusterOut:
    """A cluster of faces. A cluster that was given a name is a person."""

    cluster_id: str
    """`person_` or `unknown_cluster_`, followed by a key of 12 hexadecimal digits. In a request, the key may also
    stand alone or follow `clu_`. A request may also use an id that the cluster had before it was named or merged.
    """

    person_id: str | None
    """The same as `cluster_id` if the cluster has a name, otherwise null."""

    kind: Literal["person", "unknown"]
    name: str | None
    """The name that a person gave. The lab never guesses a name."""

    is_owner: bool
    """Whether a user marked this person as the owner of a channel."""

    faces: int
    pictures: int
    channels: int
    """How many channels show or showed the pictures of this cluster."""

    pinned: int
    """How many faces a person put into the cluster. The lab never moves these faces by itself."""

    samples: list[str]
    """The ids of the faces of best quality, at most 6."""

    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class LabelledClusterOut:
    """The answer to a request that gives a name to a cluster: the cluster that has this name now."""

    cluster_id: str
    """`person_` or `unknown_cluster_`, followed by a key of 12 hexadecimal digits. In a request, the key may also
    stand alone or follow `clu_`. A request may also use an id that the cluster had before it was named or merged.
    """

    person_id: str | None
    """The same as `cluster_id` if the cluster has a name, otherwise null."""

    kind: Literal["person", "unknown"]
    name: str | None
    """The name that a person gave. The lab never guesses a name."""

    is_owner: bool
    """Whether a user marked this person as the owner of a channel."""

    faces: int
    pictures: int
    channels: int
    """How many channels show or showed the pictures of this cluster."""

    pinned: int
    """How many faces a person put into the cluster. The lab never moves these faces by itself."""

    samples: list[str]
    """The ids of the faces of best quality, at most 6."""

    created_at: datetime
    merged: bool
    """Whether another cluster had this name already. If so, the cluster of the request was merged into the other
    cluster, and the answer describes the other cluster.
    """

    merge_id: int | None
    """The number with which the merge can be undone. Null if nothing was merged."""


@dataclass(frozen=True, kw_only=True)
class FaceClustersOut:
    """A part of the list of clusters. The largest cluster comes first."""

    total: int
    """How many clusters the whole list has."""

    clusters: list[FaceClusterOut]


@dataclass(frozen=True, kw_only=True)
class FaceCropOut:
    """The crop of a face."""

    face_id: str
    image_base64: str
    """A JPEG of 112x112 pixels in base64."""


@dataclass(frozen=True, kw_only=True)
class FaceCropsOut:
    """The crops of several faces."""

    crops: list[FaceCropOut]
    missing: list[str]
    """The faces that the lab does not have, and the faces whose picture cannot be read. `GET {face_id}/crop` says why.
    """


@dataclass(frozen=True, kw_only=True)
class StoredFaceOut:
    """A face in a stored picture."""

    face_id: str
    sha256: str
    """The SHA-256 of the picture's file."""

    box: list[float]
    """The left, upper, right and lower edge, as fractions of the picture's width and height."""

    confidence: float
    """How sure the detector is that this is a face."""

    quality: float
    """The quality of the face, computed from size, sharpness, pose and confidence."""

    cluster_id: str | None
    """The cluster of the face. Null if the face is in no cluster."""

    name: str | None
    """The name of the face's cluster, if the cluster has a name."""

    pinned: bool
    """Whether a person put the face into its cluster."""

    similarity: float | None
    """The cosine similarity of the face to its cluster. Null if a person put the face into the cluster."""

    detected_at: datetime


@dataclass(frozen=True, kw_only=True)
class FaceClusterFacesOut:
    """A cluster with a part of its faces. The best faces come first. `faces` counts all faces of the cluster."""

    cluster_id: str
    """`person_` or `unknown_cluster_`, followed by a key of 12 hexadecimal digits. In a request, the key may also
    stand alone or follow `clu_`. A request may also use an id that the cluster had before it was named or merged.
    """

    person_id: str | None
    """The same as `cluster_id` if the cluster has a name, otherwise null."""

    kind: Literal["person", "unknown"]
    name: str | None
    """The name that a person gave. The lab never guesses a name."""

    is_owner: bool
    """Whether a user marked this person as the owner of a channel."""

    faces: int
    pictures: int
    channels: int
    """How many channels show or showed the pictures of this cluster."""

    pinned: int
    """How many faces a person put into the cluster. The lab never moves these faces by itself."""

    samples: list[str]
    """The ids of the faces of best quality, at most 6."""

    created_at: datetime
    members: list[StoredFaceOut]


@dataclass(frozen=True, kw_only=True)
class NearFaceOut:
    """A face that looks like the face of the request."""

    face_id: str
    sha256: str
    """The SHA-256 of the picture's file."""

    box: list[float]
    """The left, upper, right and lower edge, as fractions of the picture's width and height."""

    confidence: float
    """How sure the detector is that this is a face."""

    quality: float
    """The quality of the face, computed from size, sharpness, pose and confidence."""

    cluster_id: str | None
    """The cluster of the face. Null if the face is in no cluster."""

    name: str | None
    """The name of the face's cluster, if the cluster has a name."""

    pinned: bool
    """Whether a person put the face into its cluster."""

    similarity: float | None
    """The cosine similarity of the face to its cluster. Null if a person put the face into the cluster."""

    detected_at: datetime
    cosine: float
    """The cosine of the vectors of the two faces. The meaning of the cosine depends on the network."""


@dataclass(frozen=True, kw_only=True)
class NearFacesOut:
    """The faces that look most like a given face. The most similar face comes first."""

    faces: list[NearFaceOut]


@dataclass(frozen=True, kw_only=True)
class UnassignedFacesOut:
    """A part of the faces that are in no cluster. Faces of the best quality come first."""

    faces: list[StoredFaceOut]


@dataclass(frozen=True, kw_only=True)
class ShownPictureOut:
    """A place where a picture is shown: a video that shows or showed the picture, or a file that a person added."""

    video_id: str | None
    """The video that shows or showed the picture. Null if a person added the picture."""

    title: str | None
    channel_id: str | None
    channel: str | None
    """The title of the channel."""

    current: bool
    """Whether the video shows this picture now."""

    file_name: str | None
    """The file name, if a person added the picture. Null for a thumbnail."""


@dataclass(frozen=True, kw_only=True)
class PictureFacesOut:
    """The faces of a picture, from left to right."""

    sha256: str
    video_id: str | None
    """The video in the request, if the request was for a video."""

    faces: list[StoredFaceOut]
    shown_in: list[ShownPictureOut]
    """The videos that show or showed the picture, the newest first, at most 100."""


@dataclass(frozen=True, kw_only=True)
class FaceChangeOut:
    """A change that a person made. The kind `ban`: the person said that a face does not belong to the cluster."""

    change_id: int
    kind: Literal["label", "unlabel", "owner", "merge", "unmerge", "move", "ban"]
    cluster_id: str | None
    """The id of the changed cluster."""

    other_id: str | None
    """The cluster that was merged into the changed cluster, or split off from it."""

    name: str | None
    """The name that the changed cluster has now."""

    name_before: str | None
    """The name before the change. For a merge, this is the name of the cluster that was merged into the changed
    cluster. For any other change, this is the name of the changed cluster.
    """

    faces: int
    """How many faces the change concerned."""

    reverted: bool
    """Whether the change was a merge and has been undone."""

    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class FaceChangesOut:
    """The latest changes. The newest change comes first. Changes that were undone are left out."""

    changes: list[FaceChangeOut]


@dataclass(frozen=True, kw_only=True)
class ForgottenOut:
    """The faces, pictures and heads that were deleted permanently."""

    faces: int
    """How many faces were deleted, with their vectors and the changes that people made to them."""

    pictures: int
    """The number of deleted pictures that a person had added. The thumbnails of videos stay."""

    heads: list[str]
    """The deleted releases of trained heads that had learnt from these faces."""

"""The data classes for faces, people and pictures that the functions of this folder take and return."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from thumblab_core.arrays import Float32s
from thumblab_core.people.names import shown_id

Box = tuple[float, float, float, float]
"""The left, upper, right and lower edge of a face, as fractions of the picture's width and height."""


class FoundFace(Protocol):
    """A face that a detector found.

    `landmarks`: x and y of five points, as fractions of the picture, in an array [10] or [5, 2]. `confidence` and
    `quality`: 0 to 1. `vector`: float32 [d], or None if the network makes no vector of this face.
    """

    @property
    def box(self) -> Sequence[float]: ...
    @property
    def landmarks(self) -> Any: ...
    @property
    def confidence(self) -> float: ...
    @property
    def quality(self) -> float: ...
    @property
    def vector(self) -> Float32s | None: ...


@dataclass(frozen=True)
class SearchedPicture:
    """A picture with the faces that were found in it. If the picture could not be searched, `problem` says why, and
    there are no faces.
    """

    sha256: str
    faces: Sequence[FoundFace] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Recorded:
    """The result of `record_detection`.

    `pictures`: pictures that were recorded. `new`: faces that the lab did not have. `known`: faces that the lab had.
    `forgotten`: faces that were left out because a person told the lab to forget them. `gone`: pictures that were left
    out because no video has them any more, or because a person told the lab to forget them. `replaced`: faces that
    another detector had found, but this detector does not find; they were deleted.
    """

    pictures: int = 0
    new: int = 0
    known: int = 0
    forgotten: int = 0
    gone: int = 0
    replaced: int = 0


@dataclass(frozen=True)
class Cluster:
    """A cluster of faces. `name` is None if nobody has entered a name for the cluster.

    `faces`, `pictures`: the number of faces and of pictures. `pinned`: how many of the faces a person put in the
    cluster. `samples`: ids of the faces of best quality, the best first. `channels`: how many channels show or showed
    its pictures.
    """

    key: str
    name: str | None
    is_owner: bool
    created_at: datetime
    faces: int
    pictures: int
    pinned: int
    samples: tuple[str, ...] = ()
    channels: int = 0

    @property
    def id(self) -> str:
        """The id that users see, such as person_0123456789ab."""
        return shown_id(self.key, self.name)


@dataclass(frozen=True)
class ClusterPage:
    """A part of the list of clusters. `total`: number of clusters in the whole list."""

    total: int
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True)
class Face:
    """A stored face.

    `cluster_key` and `name` are the key and the name of its cluster, or None. `pinned`: whether a person put the face
    in the cluster. `similarity`: similarity of the face to its cluster, or None if a person put the face there.
    """

    face_id: str
    sha256: str
    box: Box
    landmarks: tuple[float, ...]
    confidence: float
    quality: float
    detector: str
    detected_at: datetime
    cluster_key: str | None = None
    name: str | None = None
    pinned: bool = False
    similarity: float | None = None

    @property
    def cluster_id(self) -> str | None:
        """The id of the face's cluster, in the form that users see. None if the face is in no cluster."""
        return None if self.cluster_key is None else shown_id(self.cluster_key, self.name)


@dataclass(frozen=True)
class FacePage:
    """A part of the faces of a cluster. `total`: number of all faces of the cluster."""

    cluster: Cluster
    total: int
    faces: tuple[Face, ...]


@dataclass(frozen=True)
class PersonPicture:
    """A picture that shows a person: the thumbnail of a video, or a picture that somebody gave.

    For a picture that a person gave, `video_id`, `title` and `channel_id` are None. For a picture of a video,
    `file_name` is None. `current`: whether the video shows this picture now.
    """

    sha256: str
    face_id: str
    video_id: str | None = None
    title: str | None = None
    channel_id: str | None = None
    current: bool = False
    file_name: str | None = None


@dataclass(frozen=True)
class ShownPicture:
    """Where a picture comes from: a video that shows or showed it, or a file that a person gave to the lab.

    For a file, only `file_name` is set. `channel`: the title of the channel. `current`: whether the video shows this
    picture now.
    """

    video_id: str | None = None
    title: str | None = None
    channel_id: str | None = None
    channel: str | None = None
    current: bool = False
    file_name: str | None = None


@dataclass(frozen=True)
class Change:
    """A change that a person made. `kind`: label, unlabel, owner, merge, unmerge, move or ban.

    `cluster_key`: the changed cluster. `other_key`: the cluster that was merged into it. `faces`: how many faces the
    change concerned. `reverted`: whether the change is a merge that was taken back. `name`: the name that the changed
    cluster has now. `other_name`: the name of the other cluster. `conflict`: why some faces of an undone change did
    not go back, or None if all faces went back.
    """

    change_id: int
    kind: str
    cluster_key: str | None
    other_key: str | None
    name_before: str | None
    changed_at: datetime
    faces: int
    reverted: bool
    name: str | None = None
    other_name: str | None = None
    conflict: str | None = None


@dataclass(frozen=True)
class Forgotten:
    """The faces and pictures that were deleted. The caller removes the faces from indexes and releases, and
    the pictures from the store.

    `face_ids`: the deleted faces. `cluster_keys`: the deleted clusters. `unnamed_pictures`: SHA-256 of pictures to
    which no row of the database refers any more.
    """

    face_ids: tuple[str, ...] = ()
    cluster_keys: tuple[str, ...] = ()
    unnamed_pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersonShare:
    """How often a person is on thumbnails. `thumbnails`: number of current thumbnails that show the person.

    `searched`: how many current thumbnails were searched for faces. `share`: `thumbnails` divided by `searched`, or
    None if no thumbnail was searched.
    """

    cluster: Cluster
    thumbnails: int
    searched: int
    share: float | None


@dataclass(frozen=True)
class PeopleStatistics:
    """The numbers of pictures, faces and people in a lab, in a niche, or on a channel."""

    pictures: int
    pictures_with_faces: int
    pictures_with_problem: int
    faces: int
    faces_without_vector: int
    faces_in_people: int
    faces_in_unknown_clusters: int
    faces_in_none: int
    pinned: int
    people: int
    unknown_clusters: int
    forgotten: int
    shares: tuple[PersonShare, ...] = field(default=())

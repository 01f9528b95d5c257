"""The answers with the pictures of a person, with figures of people, and with the results of runs about people.

This file is generated: change `thumblab_serving/schemas/people/people_figures.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from typing import Literal

from thumblab_client.models.clusters import FaceClusterOut


@dataclass(frozen=True, kw_only=True)
class PersonShareOut:
    """How often a person is on thumbnails."""

    person: FaceClusterOut
    thumbnails: int
    """How many present thumbnails show the person."""

    searched: int
    """How many present thumbnails were searched for faces."""

    share: float | None
    """`thumbnails` divided by `searched`. Null if `searched` is 0."""


@dataclass(frozen=True, kw_only=True)
class PeopleStatsOut:
    """The numbers of faces, clusters and people in the lab."""

    mode: Literal["off", "own", "all"]
    """The setting `THUMBLAB_PEOPLE`."""

    pictures: int
    """How many pictures were searched for faces."""

    pictures_with_faces: int
    pictures_with_problem: int
    """How many pictures could not be searched."""

    faces: int
    faces_without_vector: int
    faces_in_people: int
    faces_in_unknown_clusters: int
    faces_in_none: int
    """How many faces are in no cluster."""

    pinned: int
    """How many faces were put into a cluster by a person, and not by the lab."""

    people: int
    """How many named people have at least one face."""

    unknown_clusters: int
    forgotten: int
    """How many faces and pictures the lab has forgotten because a person asked for it."""

    shares: list[PersonShareOut]
    """How often each person is on thumbnails. The people with the most faces come first."""


@dataclass(frozen=True, kw_only=True)
class PersonPictureOut:
    """A picture that shows a person: the thumbnail of a video, or a picture that a person added."""

    sha256: str
    face_id: str
    video_id: str | None
    """The video that shows or showed the picture. Null if a person added the picture."""

    title: str | None
    channel_id: str | None
    current: bool
    """Whether the video shows this picture now."""

    file_name: str | None
    """The file name, if a person added the picture. Null for a thumbnail."""


@dataclass(frozen=True, kw_only=True)
class PersonPicturesOut:
    """A part of the pictures of a person. Pictures of the newest videos come first."""

    pictures: list[PersonPictureOut]


@dataclass(frozen=True, kw_only=True)
class DetectedFacesOut:
    """The result of a search for faces. A field is null if the run did not report its value."""

    searched: int | None
    """How many pictures this run searched."""

    new_faces: int | None
    without_vector: int | None
    """How many faces have no vector, because the embedder could not make one."""

    unreadable: int | None
    """How many pictures could not be read."""


@dataclass(frozen=True, kw_only=True)
class TrainingResultOut:
    """The result of a training. A field is null if the run did not report its value."""

    people: int | None
    """The number of people on whose faces the matching head was trained."""

    faces: int | None
    """The number of faces on which the matching head was trained."""

    epochs: int | None
    release: str | None
    reason: str | None
    """Why the trained head is served, or why it is not."""


@dataclass(frozen=True, kw_only=True)
class GroupedFacesOut:
    """The result of a grouping. A field is null if the run did not report its value."""

    faces: int | None
    """How many faces have a vector."""

    people: int | None
    """How many named clusters have at least one face."""

    unknown_clusters: int | None
    in_people: int | None
    """How many faces are in clusters with a name."""

    in_unknown: int | None
    """How many faces are in unknown clusters."""

    in_none: int | None
    """How many faces are in no cluster."""

    left_for_later: int | None
    """How many faces were left out because of `max_faces`."""

    moved: int | None
    """How many faces the run moved to another cluster, or took out of their cluster."""

    new: int | None
    """How many unknown clusters the run made."""

    dropped: int | None
    """How many unknown clusters the run deleted."""

    overruled: int | None
    """How many faces a person moved during the run. These faces stay where the person put them."""


@dataclass(frozen=True, kw_only=True)
class PeopleRunOut:
    """The results of a run about people. A field is null if the run has no such step, or if the step failed."""

    detected: DetectedFacesOut | None
    trained: TrainingResultOut | None
    grouped: GroupedFacesOut | None

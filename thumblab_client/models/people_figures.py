"""The answers with figures of people, and with the pictures of a person.

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
    """The ratio of the two. Null if none was searched."""


@dataclass(frozen=True, kw_only=True)
class PeopleStatsOut:
    """What the lab knows of faces and people."""

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
    """How many faces a person put where they are."""

    people: int
    """How many people with a name have faces."""

    unknown_clusters: int
    forgotten: int
    """How many faces and pictures a person had forgotten."""

    shares: list[PersonShareOut]
    """By person, those with the most faces first."""


@dataclass(frozen=True, kw_only=True)
class PersonPictureOut:
    """A picture that shows a person, in a video or as a picture that a person gave."""

    sha256: str
    face_id: str
    video_id: str | None
    """Null for a picture that a person gave."""

    title: str | None
    channel_id: str | None
    current: bool
    """Whether the video shows this picture now."""

    file_name: str | None
    """The name of a picture that a person gave. Null for any other."""


@dataclass(frozen=True, kw_only=True)
class PersonPicturesOut:
    """A part of the pictures of a person, those of the newest videos first."""

    pictures: list[PersonPictureOut]

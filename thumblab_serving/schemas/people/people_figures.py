"""The answers with the pictures of a person, with figures of people, and with the results of runs about people."""

from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.people.clusters import FaceClusterOut
from thumblab_serving.schemas.strict import StrictModel


class PersonShareOut(StrictModel):
    """How often a person is on thumbnails."""

    person: FaceClusterOut
    thumbnails: int = Field(description="How many present thumbnails show the person.")
    searched: int = Field(description="How many present thumbnails were searched for faces.")
    share: float | None = Field(description="`thumbnails` divided by `searched`. Null if `searched` is 0.")


class PeopleStatsOut(StrictModel):
    """The numbers of faces, clusters and people in the lab."""

    mode: Literal["off", "own", "all"] = Field(description="The setting `THUMBLAB_PEOPLE`.")
    pictures: int = Field(description="How many pictures were searched for faces.")
    pictures_with_faces: int
    pictures_with_problem: int = Field(description="How many pictures could not be searched.")
    faces: int
    faces_without_vector: int
    faces_in_people: int
    faces_in_unknown_clusters: int
    faces_in_none: int = Field(description="How many faces are in no cluster.")
    pinned: int = Field(description="How many faces were put into a cluster by a person, and not by the lab.")
    people: int = Field(description="How many named people have at least one face.")
    unknown_clusters: int
    forgotten: int = Field(
        description="How many faces and pictures the lab has forgotten because a person asked for it."
    )
    shares: list[PersonShareOut] = Field(
        description="How often each person is on thumbnails. The people with the most faces come first."
    )


class PersonPictureOut(StrictModel):
    """A picture that shows a person: the thumbnail of a video, or a picture that a person added."""

    sha256: str
    face_id: str
    video_id: str | None = Field(
        description="The video that shows or showed the picture. Null if a person added the picture."
    )
    title: str | None
    channel_id: str | None
    current: bool = Field(description="Whether the video shows this picture now.")
    file_name: str | None = Field(description="The file name, if a person added the picture. Null for a thumbnail.")


class PersonPicturesOut(StrictModel):
    """A part of the pictures of a person. Pictures of the newest videos come first."""

    pictures: list[PersonPictureOut]


class DetectedFacesOut(StrictModel):
    """The result of a search for faces. A field is null if the run did not report its value."""

    searched: int | None = Field(description="How many pictures this run searched.")
    new_faces: int | None
    without_vector: int | None = Field(
        description="How many faces have no vector, because the embedder could not make one."
    )
    unreadable: int | None = Field(description="How many pictures could not be read.")


class TrainingResultOut(StrictModel):
    """The result of a training. A field is null if the run did not report its value."""

    people: int | None = Field(description="The number of people on whose faces the matching head was trained.")
    faces: int | None = Field(description="The number of faces on which the matching head was trained.")
    epochs: int | None
    release: str | None
    reason: str | None = Field(description="Why the trained head is served, or why it is not.")


class GroupedFacesOut(StrictModel):
    """The result of a grouping. A field is null if the run did not report its value."""

    faces: int | None = Field(description="How many faces have a vector.")
    people: int | None = Field(description="How many named clusters have at least one face.")
    unknown_clusters: int | None
    in_people: int | None = Field(description="How many faces are in clusters with a name.")
    in_unknown: int | None = Field(description="How many faces are in unknown clusters.")
    in_none: int | None = Field(description="How many faces are in no cluster.")
    left_for_later: int | None = Field(description="How many faces were left out because of `max_faces`.")
    moved: int | None = Field(
        description="How many faces the run moved to another cluster, or took out of their cluster."
    )
    new: int | None = Field(description="How many unknown clusters the run made.")
    dropped: int | None = Field(description="How many unknown clusters the run deleted.")
    overruled: int | None = Field(
        description="How many faces a person moved during the run. These faces stay where the person put them."
    )


class PeopleRunOut(StrictModel):
    """The results of a run about people. A field is null if the run has no such step, or if the step failed."""

    detected: DetectedFacesOut | None
    trained: TrainingResultOut | None
    grouped: GroupedFacesOut | None

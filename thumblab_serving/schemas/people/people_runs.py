"""The answers of the requests that find faces, group them, and train the matching head."""

from pydantic import Field

from thumblab_core.niches import Niche
from thumblab_serving.schemas.lab_runs import RunsOut
from thumblab_serving.schemas.strict import StrictModel


class GroupedFacesOut(StrictModel):
    """What a grouping did. A field is null where the run did not report it."""

    faces: int | None = Field(description="How many faces have a vector.")
    people: int | None = Field(description="How many clusters with a name have faces.")
    unknown_clusters: int | None
    in_people: int | None = Field(description="How many faces are in clusters with a name.")
    in_unknown: int | None = Field(description="How many faces are in unknown clusters.")
    in_none: int | None = Field(description="How many faces are in no cluster.")
    left_for_later: int | None = Field(description="How many faces `max_faces` left out.")
    moved: int | None = Field(description="How many faces are in another cluster than before, or in none.")
    new: int | None = Field(description="How many unknown clusters were made.")
    dropped: int | None = Field(description="How many unknown clusters were deleted.")
    overruled: int | None = Field(
        description="How many faces a person moved meanwhile. They are where the person put them."
    )


class GroupingOut(RunsOut):
    """The answer of a request to group faces."""

    run_id: str | None
    result: GroupedFacesOut | None = Field(description="Null until the run has succeeded.")


class TrainingResultOut(StrictModel):
    """What a training did. A field is null where the run did not report it."""

    people: int | None = Field(description="How many people the head has learnt from.")
    faces: int | None = Field(description="How many faces the head has learnt from.")
    epochs: int | None
    release: str | None
    reason: str | None = Field(description="Why the head is served, or why not.")


class TrainingOut(RunsOut):
    """The answer of a request to train the matching head. The run also groups the faces again."""

    run_id: str | None
    result: TrainingResultOut | None = Field(description="Null until the run has succeeded.")
    grouped: GroupedFacesOut | None = Field(description="What the grouping after it did.")


class DetectedFacesOut(StrictModel):
    """What a search for faces did. A field is null where the run did not report it."""

    searched: int | None = Field(description="How many pictures were searched now.")
    new_faces: int | None
    without_vector: int | None = Field(description="How many faces the embedder makes no vector of.")
    unreadable: int | None = Field(description="How many pictures could not be read.")


class DetectionOut(RunsOut):
    """The answer of a request to look for faces."""

    results: dict[Niche, DetectedFacesOut | None] = Field(description="By niche; null until the run has succeeded.")

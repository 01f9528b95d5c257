"""The answers of the requests that find faces, group them, and train the matching head."""

from pydantic import Field

from thumblab_serving.schemas.lab_runs import RunsOut
from thumblab_serving.schemas.people.people_figures import DetectedFacesOut, GroupedFacesOut, TrainingResultOut


class GroupingOut(RunsOut):
    """The answer of a request to group faces."""

    run_id: str | None
    result: GroupedFacesOut | None = Field(description="The report of the grouping. Null until the run has succeeded.")


class TrainingOut(RunsOut):
    """The answer of a request to train the matching head. The run also groups the faces again."""

    run_id: str | None
    result: TrainingResultOut | None = Field(
        description="The report of the training. Null until the run has succeeded."
    )
    grouped: GroupedFacesOut | None = Field(description="The report of the grouping after the training.")


class DetectionOut(RunsOut):
    """The answer of a request to look for faces."""

    results: dict[str, DetectedFacesOut | None] = Field(
        description="The results by niche. A result is null until the run has succeeded."
    )

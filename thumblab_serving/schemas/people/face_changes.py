"""The answers about what a person changed, and about what was forgotten."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from thumblab_serving.schemas.strict import StrictModel


class FaceChangeOut(StrictModel):
    """A change that a person made. `ban` is "not this person"."""

    change_id: int
    kind: Literal["label", "unlabel", "owner", "merge", "unmerge", "move", "ban"]
    cluster_id: str | None = Field(description="The changed cluster.")
    other_id: str | None = Field(description="The cluster that was merged into the changed one, or split off it.")
    name: str | None = Field(description="The name that the changed cluster has now.")
    name_before: str | None = Field(description="The name that the change may have removed.")
    faces: int = Field(description="How many faces it concerned.")
    reverted: bool = Field(description="Whether it is a merge that was taken back.")
    changed_at: datetime


class FaceChangesOut(StrictModel):
    """The latest changes, the latest first. Changes that were undone are left out."""

    changes: list[FaceChangeOut]


class ForgottenOut(StrictModel):
    """The faces, pictures and heads that were deleted for good."""

    faces: int = Field(description="How many faces, with their vectors and the changes that a person made to them.")
    pictures: int = Field(description="How many pictures that a person had given. The thumbnails of videos stay.")
    heads: list[str] = Field(description="The releases of trained heads that had learnt from these faces.")

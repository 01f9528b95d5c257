"""The answers about what a person changed, and about what was forgotten.

This file is generated: change `thumblab_serving/schemas/people/face_changes.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


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

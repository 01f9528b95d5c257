"""The answers of the requests that find faces, group them, and train the matching head.

This file is generated: change `thumblab_serving/schemas/people/people_runs.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from thumblab_client.models.lab_runs import RunOut


@dataclass(frozen=True, kw_only=True)
class GroupedFacesOut:
    """What a grouping did. A field is null where the run did not report it."""

    faces: int | None
    """How many faces have a vector."""

    people: int | None
    """How many clusters with a name have faces."""

    unknown_clusters: int | None
    in_people: int | None
    """How many faces are in clusters with a name."""

    in_unknown: int | None
    """How many faces are in unknown clusters."""

    in_none: int | None
    """How many faces are in no cluster."""

    left_for_later: int | None
    """How many faces `max_faces` left out."""

    moved: int | None
    """How many faces are in another cluster than before, or in none."""

    new: int | None
    """How many unknown clusters were made."""

    dropped: int | None
    """How many unknown clusters were deleted."""

    overruled: int | None
    """How many faces a person moved meanwhile. They are where the person put them."""


@dataclass(frozen=True, kw_only=True)
class GroupingOut:
    """The answer of a request to group faces."""

    status: Literal["ok", "partial", "failed", "started", "running"]
    """`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were
    started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended.
    """

    message: str
    runs: list[RunOut]
    notes: list[str] = field(default_factory=list)
    """Which parts of the request had no effect."""

    timestamp: datetime
    run_id: str | None
    result: GroupedFacesOut | None
    """Null until the run has succeeded."""


@dataclass(frozen=True, kw_only=True)
class TrainingResultOut:
    """What a training did. A field is null where the run did not report it."""

    people: int | None
    """How many people the head has learnt from."""

    faces: int | None
    """How many faces the head has learnt from."""

    epochs: int | None
    release: str | None
    reason: str | None
    """Why the head is served, or why not."""


@dataclass(frozen=True, kw_only=True)
class TrainingOut:
    """The answer of a request to train the matching head. The run also groups the faces again."""

    status: Literal["ok", "partial", "failed", "started", "running"]
    """`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were
    started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended.
    """

    message: str
    runs: list[RunOut]
    notes: list[str] = field(default_factory=list)
    """Which parts of the request had no effect."""

    timestamp: datetime
    run_id: str | None
    result: TrainingResultOut | None
    """Null until the run has succeeded."""

    grouped: GroupedFacesOut | None
    """What the grouping after it did."""


@dataclass(frozen=True, kw_only=True)
class DetectedFacesOut:
    """What a search for faces did. A field is null where the run did not report it."""

    searched: int | None
    """How many pictures were searched now."""

    new_faces: int | None
    without_vector: int | None
    """How many faces the embedder makes no vector of."""

    unreadable: int | None
    """How many pictures could not be read."""


@dataclass(frozen=True, kw_only=True)
class DetectionOut:
    """The answer of a request to look for faces."""

    status: Literal["ok", "partial", "failed", "started", "running"]
    """`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were
    started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended.
    """

    message: str
    runs: list[RunOut]
    notes: list[str] = field(default_factory=list)
    """Which parts of the request had no effect."""

    timestamp: datetime
    results: dict[str, DetectedFacesOut | None]
    """By niche; null until the run has succeeded."""

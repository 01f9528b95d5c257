"""The answers of the requests that find faces, group them, and train the matching head.

This file is generated: change `thumblab_serving/schemas/people/people_runs.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from thumblab_client.models.lab_runs import RunOut
from thumblab_client.models.people_figures import DetectedFacesOut, GroupedFacesOut, TrainingResultOut


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
    """The report of the grouping. Null until the run has succeeded."""


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
    """The report of the training. Null until the run has succeeded."""

    grouped: GroupedFacesOut | None
    """The report of the grouping after the training."""


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
    """The results by niche. A result is null until the run has succeeded."""

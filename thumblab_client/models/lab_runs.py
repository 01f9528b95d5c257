"""The requests that start runs of Dagster (refresh, rebuild, full embedding, change of items), and their answers.

This file is generated: change `thumblab_serving/schemas/lab_runs.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from thumblab_client.models.people_figures import PeopleRunOut


@dataclass(frozen=True, kw_only=True)
class RunOut:
    """A run of Dagster."""

    niche: str | None
    run_id: str | None
    """The id of the run. Null if Dagster did not start the run."""

    state: Literal["queued", "running", "success", "failure", "canceled", "not_started"]
    reused: bool = False
    """Whether this run already waited when the request arrived, so that no new run was started."""

    url: str | None = None
    """The run's page in Dagster."""

    reason: str | None = None
    """Why the run failed or was not started."""


@dataclass(frozen=True, kw_only=True)
class NicheStats:
    """The result of a refresh for one niche. A field is null if the run ended before this field had a value."""

    videos_seen: int | None
    new_videos: int | None
    new_observations: int | None
    images_encoded: int | None
    titles_encoded: int | None
    num_vectors: int | None
    """How many vectors of pictures the served index has."""

    release: str | None
    """The served release of the index."""


@dataclass(frozen=True, kw_only=True)
class ChangedItemsOut:
    """The result of a run of the job `change_index`. `skipped` maps the id of a skipped video to the reason."""

    niche: str | None
    put_in: list[str] = field(default_factory=list)
    taken_out: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a video was skipped, by its id."""

    rebuild_required: str | None = None
    """Why a rebuild is needed, and when it starts."""

    release: str | None = None
    """The release that the niche serves after the change."""


@dataclass(frozen=True, kw_only=True)
class RunProgressOut:
    """How much a run has done of its present work."""

    what: str
    """The present work."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class RunStateOut:
    """The state and the report of a run. The last four fields are null for jobs that do not report them."""

    niche: str | None
    run_id: str | None
    """The id of the run. Null if Dagster did not start the run."""

    state: Literal["queued", "running", "success", "failure", "canceled", "not_started"]
    reused: bool = False
    """Whether this run already waited when the request arrived, so that no new run was started."""

    url: str | None = None
    """The run's page in Dagster."""

    reason: str | None = None
    """Why the run failed or was not started."""

    job: str
    library_stats: NicheStats | None
    """The report of a refresh, a rebuild or an embedding."""

    changed_items: ChangedItemsOut | None
    """The report of a run that added videos to an index or removed them."""

    people: PeopleRunOut | None
    """The report of a run about people, such as a search for faces."""

    progress: RunProgressOut | None
    """The progress of a search for faces, a grouping or a training that is running. A run reports its progress every
    five seconds.
    """


@dataclass(frozen=True, kw_only=True)
class RefreshOut:
    """The answer to a request that refreshes the library."""

    status: Literal["ok", "partial", "failed", "started", "running"]
    """`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were
    started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended.
    """

    message: str
    runs: list[RunOut]
    notes: list[str] = field(default_factory=list)
    """Which parts of the request had no effect."""

    timestamp: datetime
    index_results: dict[str, bool | None]
    """Whether the refresh of each niche succeeded; null while the refresh has not ended."""

    library_stats: dict[str, NicheStats | None]
    """What the run of each niche did to its library. Null while the run has not ended."""


@dataclass(frozen=True, kw_only=True)
class RebuildOut:
    """The answer to a request for a rebuild, or for a full embedding with a rebuild."""

    status: Literal["ok", "partial", "failed", "started", "running"]
    """`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were
    started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended.
    """

    message: str
    runs: list[RunOut]
    notes: list[str] = field(default_factory=list)
    """Which parts of the request had no effect."""

    timestamp: datetime
    results: dict[str, bool | None]
    """Whether the rebuild of each niche succeeded; null while the rebuild has not ended."""


@dataclass(frozen=True, kw_only=True)
class ItemsOut:
    """The answer to a request that adds videos to an index or removes them. The lists are empty until the run ends."""

    status: Literal["ok", "partial", "failed", "started", "running"]
    """`ok`: every run succeeded. `partial`: some runs failed. `failed`: every run failed. `started`: the runs were
    started, and the request did not wait. `running`: `timeout_s` is over, and some runs have not ended.
    """

    message: str
    runs: list[RunOut]
    notes: list[str] = field(default_factory=list)
    """Which parts of the request had no effect."""

    timestamp: datetime
    niche: str | None
    put_in: list[str] = field(default_factory=list)
    taken_out: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a video was skipped, by its id."""

    rebuild_required: str | None = None
    """Why a rebuild is needed, and when it starts."""

    release: str | None = None
    """The release that the niche serves after the change."""

    outcome: Literal["changed", "unchanged", "rebuild_required", "failed", "pending"]
    """`changed`: from now on, answers use the changed index. `unchanged`: every video was skipped. `rebuild_required`:
    the served index could not be changed, so a rebuild was requested. `failed`: nothing was changed. `pending`: the
    run has not ended.
    """

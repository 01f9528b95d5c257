"""The answer of `/health` and `/ready`: the state of each part of the service."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class RefusedOut(BaseModel):
    """A promoted release that is not served."""

    release: str | None
    reason: str
    retry_in_seconds: float = Field(description="Seconds until the next request may try the release again.")


class ServedOut(BaseModel):
    """The served release of one scope, such as the model or the index of a niche."""

    state: Literal["serving", "loading", "none"]
    release: str | None
    refused: RefusedOut | None = Field(
        description="The promoted release, if it was refused. The previous release is still served."
    )
    held: str | None = Field(
        default=None,
        description="Why and since when a person holds the release, so that no newer release replaces it.",
    )


class EncodersOut(BaseModel):
    """The fingerprints of the encoders. While the lab changes from one image encoder to another, there are two image
    encoders.
    """

    state: Literal["warm", "warming", "failed"]
    images: list[str]
    title: str | None
    reason: str | None


class MeterOut(BaseModel):
    """The meter, which measures the sub-scores. The meter works even if some models are `missing`. Answers then say
    which models are missing."""

    state: Literal["warm", "warming", "failed"]
    missing: list[str]
    reason: str | None


class RehearsalOut(BaseModel):
    """An answer that the service makes for itself before it is ready.

    Some code and models are loaded only at their first use. The rehearsal uses them, so no request has to wait for this
    loading.
    """

    state: Literal["done", "waiting", "failed"]
    reason: str | None = Field(
        description="Why the last rehearsal failed. The service repeats the rehearsal in the background."
    )


class CanaryOut(BaseModel):
    """The check that the service makes after each failure: the service draws pictures and scores them."""

    state: Literal["unused", "checking", "fine", "failed"] = Field(
        description=(
            "The state of the check. `failed`: the service cannot score good pictures, and is not ready until a check "
            "succeeds."
        )
    )
    checks: int = Field(description="How many checks were made since the process started.")
    reason: str | None = Field(
        description="Why the last check failed. The service repeats the check in the background."
    )


class DatabaseOut(BaseModel):
    """The state of the database. The service also works without a database.

    The database is needed for experiments, for the usual click-through rate of a channel, for kept predictions, and for
    the library of a niche without an index.
    """

    state: Literal["not_asked", "fine", "failed"] = Field(
        description="Whether the database answered when it was last asked. `/health` itself does not ask the database."
    )
    reason: str | None = Field(description="Why the database did not answer when it was last asked.")


class PredictionsOut(BaseModel):
    """Whether the service keeps predictions, and how many were kept or lost since this process started."""

    state: Literal["off", "fine", "failed"]
    kept: int
    lost: int = Field(description="How many predictions are lost, because they could not be kept.")
    waiting: int = Field(description="How many predictions wait to be written to the database.")
    reason: str | None = Field(description="Why predictions could not be written, or why they were lost.")


class KeysOut(BaseModel):
    """Whether the files of the API keys can be read. If a file cannot be read, the keys that were last read from it
    stay valid.
    """

    state: Literal["fine", "failed"]
    reason: str | None = Field(description="Why a file of API keys cannot be read.")


class ScheduleOut(BaseModel):
    """A schedule of Dagster."""

    name: str
    job: str
    cron: str
    timezone: str | None
    state: Literal["running", "stopped"] = Field(description="Whether the schedule is turned on in Dagster.")
    next_run: datetime | None = Field(description="When the schedule starts its job next. Null if the schedule is off.")


class SchedulerOut(BaseModel):
    """The schedules of the lab's Dagster. The service also answers without Dagster, with the releases that it has."""

    state: Literal["running", "stopped", "unknown"] = Field(
        description="Whether the schedules start their jobs. `unknown`: Dagster did not answer, so this is not known."
    )
    reason: str | None = Field(description="Why the state is not `running`.")
    asked_at: datetime | None = Field(
        description="When Dagster was asked last. Dagster is asked at most every 15 seconds."
    )
    schedules: list[ScheduleOut]


class WorkerOut(BaseModel):
    """A worker is one process of the service. All workers answer requests, and each worker loads its own releases."""

    answers: bool = Field(
        description="Whether this worker made this answer. If so, the other fields of `/health` describe this worker."
    )
    ready: bool
    started_at: datetime
    model: str | None = Field(description="The model release that the worker serves.")
    indices: dict[str, str] = Field(description="The index release that the worker serves, by niche.")


class SharedCacheOut(BaseModel):
    """The cache that all workers share. If this cache fails, each worker still has its own caches."""

    state: Literal["one_worker", "fine", "failed"] = Field(
        description="The state of the cache. `one_worker`: there is only one worker, so nothing is shared."
    )
    reason: str | None = Field(description="Why the shared cache cannot be used.")


class HealthOut(BaseModel):
    """The state of a service that is alive. `ready` says whether it can answer requests."""

    status: Literal["ok"] = "ok"
    ready: bool
    encoders: EncodersOut
    meter: MeterOut
    model: ServedOut
    indices: dict[str, ServedOut]
    rehearsal: RehearsalOut
    canary: CanaryOut
    database: DatabaseOut
    predictions: PredictionsOut
    keys: KeysOut
    scheduler: SchedulerOut
    workers: list[WorkerOut]
    shared_cache: SharedCacheOut
    library_note: str | None = Field(
        description="A note about the origin of the library's data, if the data do not come from YouTube."
    )

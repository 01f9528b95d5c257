"""The routes `/health` (what is loaded), `/ready` (whether the service can answer) and `/metrics`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.dagster_runs.scheduler import SchedulerStatus, SchedulerWatch
from thumblab_serving.http.metrics import Metrics
from thumblab_serving.http.pipeline_metrics import pipeline_metrics
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.keys.key_ring import KeyRing
from thumblab_serving.loading.index_manifests import index_holds
from thumblab_serving.loading.served_release import ServedRelease
from thumblab_serving.loading.served_releases import NO_MODEL, ServedReleases
from thumblab_serving.schemas.health import (
    CanaryOut,
    DatabaseOut,
    EncodersOut,
    HealthOut,
    KeysOut,
    MeterOut,
    PredictionsOut,
    RefusedOut,
    RehearsalOut,
    ScheduleOut,
    SchedulerOut,
    ServedOut,
    SharedCacheOut,
    WorkerOut,
)
from thumblab_serving.scoring.scorer import Scorer
from thumblab_serving.workers.registry import Worker, WorkerRegistry
from thumblab_serving.workers.shared_cache import SharedCache

router = APIRouter(tags=["operations"])

CONCURRENT = 4
"""Number of threads that answer `/health` and `/ready`. So these requests do not wait for the threads that other
requests occupy.
"""

_WITHOUT_BODY = "The same as `GET {}`, without a body"
"""The summary of the requests with which monitors only ask for a status. The server leaves out the body of the answer."""


@router.head("/health", summary=_WITHOUT_BODY.format("/health"))
@router.get("/health", summary="Whether the service is alive, and the state of every component")
async def health(request: Request) -> HealthOut:
    """Answer with the state of every component. The status is 200 as long as the process lives."""
    return await _state(request)


@router.head("/ready", summary=_WITHOUT_BODY.format("/ready"), responses=error_responses(503))
@router.get("/ready", summary="Whether the service can answer requests", responses=error_responses(503))
async def ready(request: Request) -> HealthOut:
    """Answer with the status 200 when the service can score. Until then, answer with a 503 problem that says what is
    missing.

    The service can score once the encoders and the meter are warm, and a model and an index are loaded. The service
    must also have made one answer for itself (a rehearsal).
    """
    state = await _state(request)
    if not state.ready:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", _not_ready_reason(state), {"Retry-After": "5"})
    return state


@router.head("/metrics", summary=_WITHOUT_BODY.format("/metrics"), response_class=Response)
@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return the metrics of the service and of the pipelines in the text format of Prometheus."""
    service_metrics: Metrics = request.app.state.metrics
    limiter: CapacityLimiter = request.app.state.health_limiter
    state = request.app.state
    of_pipelines = await to_thread.run_sync(pipeline_metrics, state.settings, state.niches, limiter=limiter)
    return Response(service_metrics.text() + of_pipelines, media_type=CONTENT_TYPE_LATEST)


async def _state(request: Request) -> HealthOut:
    """Load newly promoted releases and changed keys, and return the state of every component."""
    scorer: Scorer = request.app.state.scorer
    keys: KeyRing = request.app.state.keys
    scheduler: SchedulerWatch = request.app.state.scheduler
    limiter: CapacityLimiter = request.app.state.health_limiter
    await to_thread.run_sync(scorer.follow_pointers, limiter=limiter)
    failure_of_keys = await to_thread.run_sync(keys.failure, limiter=limiter)
    parts = (failure_of_keys, await scheduler.status(), await _workers(request), _shared_cache(request))
    store = ReleaseStore(polled_place(request.app.state.settings))
    holds = await to_thread.run_sync(index_holds, store, scorer.releases, limiter=limiter)
    return describe(scorer, *parts, holds)


async def _workers(request: Request) -> list[WorkerOut]:
    workers: WorkerRegistry = request.app.state.workers
    return [
        _worker(worker) for worker in await to_thread.run_sync(workers.all, limiter=request.app.state.health_limiter)
    ]


def _worker(worker: Worker) -> WorkerOut:
    served = worker.state.served
    return WorkerOut(
        answers=worker.itself,
        ready=worker.state.ready,
        started_at=datetime.fromtimestamp(worker.started, UTC),
        model=served.get(f"{MODEL}/{ALL}"),
        indices={
            slot.removeprefix(f"{INDEX}/"): release for slot, release in served.items() if slot.startswith(f"{INDEX}/")
        },
    )


def _shared_cache(request: Request) -> SharedCacheOut:
    """Return whether the workers can share their cache and their states."""
    shared: SharedCache | None = request.app.state.shared_cache
    workers: WorkerRegistry = request.app.state.workers
    if shared is None:
        return SharedCacheOut(state="one_worker", reason=None)
    failure = shared.failure or workers.failure
    return SharedCacheOut(state="fine" if failure is None else "failed", reason=failure)


def describe(
    scorer: Scorer,
    failure_of_keys: str | None,
    scheduler: SchedulerStatus,
    workers: list[WorkerOut],
    shared_cache: SharedCacheOut,
    holds: Mapping[str, str],
) -> HealthOut:
    """Return the state of every component. Loads nothing. `holds` says why an index is held, by niche."""
    releases = scorer.releases
    model = _served(releases.model)
    indices = {niche: _served(slot, holds.get(niche)) for niche, slot in releases.indices.items()}
    encoders, meter = _encoders(releases), _meter(scorer)
    canary = CanaryOut(state=scorer.canary.state, checks=scorer.canary.checks, reason=scorer.canary.failure)
    is_warm = encoders.state == meter.state == "warm" and scorer.rehearsed and canary.reason is None
    has_index = any(slot.can_serve for slot in releases.indices.values())
    return HealthOut(
        ready=is_warm and model.release is not None and has_index,
        encoders=encoders,
        meter=meter,
        model=model,
        indices=indices,
        rehearsal=_rehearsal(scorer),
        canary=canary,
        database=DatabaseOut(state=scorer.database.state, reason=scorer.database.failure),
        predictions=_predictions(scorer),
        keys=KeysOut(state="fine" if failure_of_keys is None else "failed", reason=failure_of_keys),
        scheduler=_scheduler(scheduler),
        workers=workers,
        shared_cache=shared_cache,
        library_note=scorer.library_note,
    )


def _served(slot: ServedRelease[Any], held: str | None = None) -> ServedOut:
    loaded, refusal = slot.loaded, slot.refusal
    refused = None
    if refusal is not None:
        seconds = round(slot.retry_seconds, 1)
        refused = RefusedOut(release=refusal.release_id, reason=refusal.reason, retry_in_seconds=seconds)
    return ServedOut(
        state="serving" if loaded else "loading" if slot.loading else "none",
        release=loaded.release_id if loaded else None,
        refused=refused,
        held=held,
    )


def _encoders(releases: ServedReleases) -> EncodersOut:
    encoders, failure = releases.warm_encoders, releases.encoder_failure
    return EncodersOut(
        state="warm" if encoders else "failed" if failure else "warming",
        images=encoders.fingerprints if encoders else [],
        title=encoders.title.fingerprint if encoders else None,
        reason=failure,
    )


def _meter(scorer: Scorer) -> MeterOut:
    failure, missing = scorer.measuring.failure, scorer.measuring.missing
    encoders = scorer.releases.warm_encoders
    missing_towers = encoders.missing if encoders else []
    return MeterOut(
        state="failed" if failure else "warming" if missing is None else "warm",
        missing=[*(missing or ()), *missing_towers],
        reason=failure,
    )


def _rehearsal(scorer: Scorer) -> RehearsalOut:
    failure = scorer.rehearsal_failure
    return RehearsalOut(state="done" if scorer.rehearsed else "failed" if failure else "waiting", reason=failure)


def _predictions(scorer: Scorer) -> PredictionsOut:
    if scorer.keeper is None:
        return PredictionsOut(state="off", kept=0, lost=0, waiting=0, reason=None)
    kept = scorer.keeper.state()
    state: Literal["fine", "failed"] = "fine" if kept.failure is None else "failed"
    return PredictionsOut(state=state, kept=kept.kept, lost=kept.lost, waiting=kept.waiting, reason=kept.failure)


def _scheduler(status: SchedulerStatus) -> SchedulerOut:
    schedules = [
        ScheduleOut(
            name=schedule.name,
            job=schedule.job,
            cron=schedule.cron,
            timezone=schedule.timezone,
            state="running" if schedule.running else "stopped",
            next_run=schedule.next_run,
        )
        for schedule in status.schedules
    ]
    return SchedulerOut(state=status.state, reason=status.reason, asked_at=status.asked_at, schedules=schedules)


def _not_ready_reason(state: HealthOut) -> str:
    """Return the sentence that says what the service still lacks."""
    if state.encoders.state != "warm":
        return state.encoders.reason or "the encoders are warming up"
    if state.meter.state != "warm":
        return state.meter.reason or "the meter of the sub-scores is warming up"
    if state.model.refused is not None and state.model.release is None:
        return f"the promoted model was refused: {state.model.refused.reason}"
    if state.model.release is None:
        return NO_MODEL
    if any(index.release for index in state.indices.values()):
        return state.canary.reason or state.rehearsal.reason or "the service is still making a first answer for itself"
    refused = [
        f"{niche}: {index.refused.reason}" for niche, index in state.indices.items() if index.refused is not None
    ]
    if refused:
        return f"the promoted indices were refused ({'; '.join(refused)})"
    return (
        "no index is served yet; `thumblab refresh` builds the indices from what the lab holds, or run "
        "refresh_library in Dagster (`thumblab up`)"
    )

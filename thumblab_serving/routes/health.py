"""`/health` (alive, and what is loaded), `/ready` (able to answer) and `/metrics`."""

from http import HTTPStatus
from typing import Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from thumblab_serving.http.metrics import Metrics
from thumblab_serving.http.problems import Problem, documented
from thumblab_serving.loading.slot import Slot
from thumblab_serving.loading.state import NO_MODEL, State
from thumblab_serving.scoring.engine import Engine

router = APIRouter(tags=["operations"])


class RefusedOut(BaseModel):
    """A promoted release that is not served."""

    release: str | None
    reason: str
    retry_in_seconds: float = Field(description="Seconds until the next request may retry it.")


class ServedOut(BaseModel):
    """What is served of one release scope."""

    state: Literal["serving", "loading", "none"]
    release: str | None
    refused: RefusedOut | None = Field(description="The promoted release, when it must not be served; the old one is.")


class EncodersOut(BaseModel):
    """The encoders' fingerprints; of image encoders there are two while the lab changes over from one to another."""

    state: Literal["warm", "warming", "failed"]
    images: list[str]
    title: str | None
    reason: str | None


class MeterOut(BaseModel):
    """What measures the sub-scores; it works without what is `missing`, and answers say so."""

    state: Literal["warm", "warming", "failed"]
    missing: list[str]
    reason: str | None


class RehearsalOut(BaseModel):
    """An answer that the service makes for itself before it is ready, so that no request waits for what is loaded then."""

    state: Literal["done", "waiting", "failed"]
    reason: str | None = Field(description="Why the last try failed; it is tried again in the background.")


class DatabaseOut(BaseModel):
    """The database, which is asked only where a niche has no index: the service can do without."""

    state: Literal["fine", "failed"] = Field(description="`fine` also where it was not asked yet.")
    reason: str | None = Field(description="Why it did not answer when it was last asked.")


class HealthOut(BaseModel):
    """Alive; `ready` says whether it can answer."""

    status: Literal["ok"] = "ok"
    ready: bool
    encoders: EncodersOut
    meter: MeterOut
    model: ServedOut
    indices: dict[str, ServedOut]
    rehearsal: RehearsalOut
    database: DatabaseOut
    library_note: str | None = Field(description="What the library is made of, where that is not what YouTube told.")


@router.get("/health", summary="Alive, and the state of every component")
async def health(request: Request) -> HealthOut:
    """Always 200 while the process lives."""
    engine: Engine = request.app.state.engine
    await to_thread.run_sync(engine.look)
    return describe(engine)


@router.get("/ready", summary="Able to answer", responses=documented(503))
async def ready(request: Request) -> HealthOut:
    """200 once encoders and meter are warm and a model and an index are loaded; a 503 problem says what is missing."""
    engine: Engine = request.app.state.engine
    await to_thread.run_sync(engine.look)
    found = describe(engine)
    if not found.ready:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", _missing(found), {"Retry-After": "5"})
    return found


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=CONTENT_TYPE_LATEST)


def describe(engine: Engine) -> HealthOut:
    """A snapshot of what is loaded; loads nothing."""
    state = engine.state
    model = _served(state.model)
    indices = {niche.value: _served(slot) for niche, slot in state.indices.items()}
    encoders, meter = _encoders(state), _meter(engine)
    warm = encoders.state == meter.state == "warm" and engine.rehearsed
    able = warm and model.release is not None and any(i.release for i in indices.values())
    database = DatabaseOut(state="failed" if engine.stored.failure else "fine", reason=engine.stored.failure)
    return HealthOut(
        ready=able,
        encoders=encoders,
        meter=meter,
        model=model,
        indices=indices,
        rehearsal=_rehearsal(engine),
        database=database,
        library_note=engine.library_note,
    )


def _served(slot: Slot[Any]) -> ServedOut:
    loaded, refusal = slot.loaded, slot.refusal
    refused = None
    if refusal is not None:
        seconds = round(slot.retry_seconds, 1)
        refused = RefusedOut(release=refusal.release_id, reason=refusal.reason, retry_in_seconds=seconds)
    return ServedOut(
        state="serving" if loaded else "loading" if slot.loading else "none",
        release=loaded.release_id if loaded else None,
        refused=refused,
    )


def _encoders(state: State) -> EncodersOut:
    warm, failure = state.warm, state.encoder_failure
    return EncodersOut(
        state="warm" if warm else "failed" if failure else "warming",
        images=warm.fingerprints if warm else [],
        title=warm.title.fingerprint if warm else None,
        reason=failure,
    )


def _meter(engine: Engine) -> MeterOut:
    failure, missing = engine.measuring.failure, engine.measuring.missing
    towers = engine.state.warm.missing if engine.state.warm else []
    return MeterOut(
        state="failed" if failure else "warming" if missing is None else "warm",
        missing=[*(missing or ()), *towers],
        reason=failure,
    )


def _rehearsal(engine: Engine) -> RehearsalOut:
    failure = engine.rehearsal_failure
    return RehearsalOut(state="done" if engine.rehearsed else "failed" if failure else "waiting", reason=failure)


def _missing(found: HealthOut) -> str:
    if found.encoders.state != "warm":
        return found.encoders.reason or "the encoders are warming up"
    if found.meter.state != "warm":
        return found.meter.reason or "the meter of the sub-scores is warming up"
    if found.model.refused is not None and found.model.release is None:
        return f"the promoted model was refused: {found.model.refused.reason}"
    if found.model.release is None:
        return NO_MODEL
    if any(index.release for index in found.indices.values()):
        return found.rehearsal.reason or "the first answer is being rehearsed"
    return (
        "no index is served yet; `thumblab refresh` builds them from what the lab holds, or run refresh_library in Dagster "
        "(`thumblab up`)"
    )

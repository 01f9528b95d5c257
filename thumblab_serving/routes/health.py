"""`/health` (alive, and what is loaded), `/ready` (able to answer) and `/metrics`."""

from http import HTTPStatus
from typing import Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from thumblab_serving.engine import Engine
from thumblab_serving.metrics import Metrics
from thumblab_serving.problems import Problem, documented
from thumblab_serving.slot import Loaded, Refusal
from thumblab_serving.state import NO_MODEL, State

router = APIRouter(tags=["operations"])


class RefusedOut(BaseModel):
    """A promoted release that is not served."""

    release: str | None
    reason: str


class ServedOut(BaseModel):
    """What is served of one release scope."""

    state: Literal["serving", "loading", "none"]
    release: str | None
    refused: RefusedOut | None = Field(description="The promoted release, when it must not be served; the old one is.")


class EncodersOut(BaseModel):
    """The encoders' fingerprints; a release made with others is refused."""

    state: Literal["warm", "warming", "failed"]
    image: str | None
    title: str | None
    reason: str | None


class HealthOut(BaseModel):
    """Alive; `ready` says whether it can answer."""

    status: Literal["ok"] = "ok"
    ready: bool
    encoders: EncodersOut
    model: ServedOut
    indices: dict[str, ServedOut]


@router.get("/health", summary="Alive, and the state of every component")
async def health(request: Request) -> HealthOut:
    """Always 200 while the process lives."""
    state = _state(request)
    await to_thread.run_sync(state.look)
    return describe(state)


@router.get("/ready", summary="Able to answer", responses=documented(503))
async def ready(request: Request) -> HealthOut:
    """200 once the encoders are warm and a model and at least one index are loaded; a 503 problem says what is missing."""
    state = _state(request)
    await to_thread.run_sync(state.look)
    found = describe(state)
    if not found.ready:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", _missing(found), {"Retry-After": "5"})
    return found


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=CONTENT_TYPE_LATEST)


def describe(state: State) -> HealthOut:
    """A snapshot of the state; loads nothing."""
    model = _served(state.model.loaded, state.model.loading, state.model.refusal)
    indices = {n.value: _served(slot.loaded, slot.loading, slot.refusal) for n, slot in state.indices.items()}
    encoders = _encoders(state)
    able = encoders.state == "warm" and model.release is not None and any(i.release for i in indices.values())
    return HealthOut(ready=able, encoders=encoders, model=model, indices=indices)


def _state(request: Request) -> State:
    engine: Engine = request.app.state.engine
    return engine.state


def _served(loaded: Loaded[Any] | None, loading: bool, refusal: Refusal | None) -> ServedOut:
    return ServedOut(
        state="serving" if loaded else "loading" if loading else "none",
        release=loaded.release_id if loaded else None,
        refused=RefusedOut(release=refusal.release_id, reason=refusal.reason) if refusal else None,
    )


def _encoders(state: State) -> EncodersOut:
    warm, failure = state.warm, state.encoder_failure
    return EncodersOut(
        state="warm" if warm else "failed" if failure else "warming",
        image=warm.image.fingerprint if warm else None,
        title=warm.title.fingerprint if warm else None,
        reason=failure,
    )


def _missing(found: HealthOut) -> str:
    if found.encoders.state != "warm":
        return found.encoders.reason or "the encoders are warming up"
    if found.model.refused is not None and found.model.release is None:
        return f"the promoted model was refused: {found.model.refused.reason}"
    if found.model.release is None:
        return NO_MODEL
    return "no index is served yet; `thumblab demo` makes them, or run refresh_library in Dagster (`thumblab up`)"

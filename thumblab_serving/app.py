"""The scoring service as an ASGI application; `python -m thumblab_serving` runs it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import thumblab_core.settings
from thumblab_core.api_key import api_key
from thumblab_core.hosts import is_loopback
from thumblab_core.loopback import spare_loopback
from thumblab_core.settings import Settings
from thumblab_serving.http import problems, request_log
from thumblab_serving.http.bodies import Bodies, Budget
from thumblab_serving.http.connections import LIMITS, Limits, open_descriptors
from thumblab_serving.http.guards import LOOPBACK, LocalNames, SecurityHeaders
from thumblab_serving.http.metrics import Metrics
from thumblab_serving.loading.faults import said
from thumblab_serving.loading.state import NotReadyError
from thumblab_serving.routes import health, page, score
from thumblab_serving.schemas import ScoreRequest
from thumblab_serving.scoring.engine import Engine

_AGAIN_S = 1.0
"""What failed is tried again when its own `Backoff` says so."""

_log = logging.getLogger("thumblab_serving")


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service over these settings, or over this process's. Nothing is loaded before it starts."""
    spare_loopback()
    settings = settings or thumblab_core.settings.settings()
    app = FastAPI(
        title="Thumbnail Lab",
        summary="Which of these thumbnails will win in this niche, by how much, and why?",
        version="1",
        lifespan=_lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    engine = Engine(settings)
    app.state.engine = engine
    budget = Budget(settings.serving_bodies_mib * 2**20)
    app.state.settings, app.state.budget = settings, budget
    app.state.metrics = Metrics(engine, budget)
    app.state.api_key = api_key(settings)
    app.state.limiter = CapacityLimiter(score.CONCURRENT)
    for router in (score.router, health.router, page.router):
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Bodies, budget=budget, idle_s=settings.serving_idle_s, body_s=settings.serving_body_s)
    if is_loopback(settings.serving_host):
        app.add_middleware(LocalNames, names=LOOPBACK | {settings.serving_host})
    app.add_middleware(problems.Unexpected)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(request_log.RequestLog, metrics=app.state.metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Limits]]:
    """Load in the background, so that `/health` answers at once."""
    request_log.configure()
    engine: Engine = app.state.engine
    settings: Settings = app.state.settings
    limits = Limits(settings.serving_header_s, settings.serving_idle_s, open_descriptors())
    loading = asyncio.create_task(_load(engine))
    try:
        yield {LIMITS: limits}
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            loading.cancel()
            await loading
        await to_thread.run_sync(engine.close)


async def _load(engine: Engine) -> None:
    """Until it is ready: where nobody is sent to a service that is not ready, no request would try it again."""
    step, logged = engine.load, None
    while not engine.rehearsed:
        try:
            await to_thread.run_sync(step)
            step = engine.look  # for what is promoted later, and for a rehearsal that failed
        except Exception as error:  # noqa: BLE001  the process lives on, and tries again
            if (failure := said(error)) != logged:  # once, and not every second
                _log.error("%s", failure, exc_info=None if isinstance(error, NotReadyError) else error)
                logged = failure
        if not engine.rehearsed:
            await asyncio.sleep(_AGAIN_S)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the two schemas that it cannot see, because bodies and problems are handled here."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = document["components"]["schemas"]
        request = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= request.pop("$defs", {})
        schemas["ScoreRequest"] = request
        schemas["ProblemOut"] = problems.ProblemOut.model_json_schema()
        app.openapi_schema = document
    return app.openapi_schema

"""The scoring service as an ASGI application. `python -m thumblab_serving` runs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import thumblab_core.settings
from thumblab_core.hosts import is_loopback
from thumblab_core.image_store import ImageStore, image_store
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.keys.generated_key import api_key
from thumblab_core.loopback import bypass_proxy_for_loopback
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.foreground import Foreground
from thumblab_serving.batches.webhooks import Webhooks
from thumblab_serving.batches.worker import BatchWorker
from thumblab_serving.channels.export_store import ExportStore
from thumblab_serving.dagster_runs.graphql import DagsterGraphql
from thumblab_serving.dagster_runs.runs import DagsterRuns
from thumblab_serving.dagster_runs.scheduler import SchedulerWatch
from thumblab_serving.experiments.stored_experiments import StoredExperiments
from thumblab_serving.following import follow, take_over
from thumblab_serving.http import auth, problems, received, request_log
from thumblab_serving.http.admission import Admission
from thumblab_serving.http.bodies import BodyLimits, Budget
from thumblab_serving.http.connections import LIMITS, Limits, open_descriptors
from thumblab_serving.http.cors import CrossOrigin
from thumblab_serving.http.forwarded import ForwardedHeaders
from thumblab_serving.http.guards import LOOPBACK, Framing, HostNames, SecurityHeaders
from thumblab_serving.http.metrics import Metrics
from thumblab_serving.keys.key_ring import KeyRing
from thumblab_serving.keys.rate_limits import RateLimits
from thumblab_serving.loading.database import ServiceDatabase
from thumblab_serving.loading.kept_predictions import PredictionKeeper
from thumblab_serving.loading.library_pictures import LibraryPictures
from thumblab_serving.looking.served_maps import ServedMaps
from thumblab_serving.looking.similar_request import SimilarRequest
from thumblab_serving.looking.similar_search import SimilarSearch
from thumblab_serving.looking.videos import Videos
from thumblab_serving.people.stored_people import StoredPeople
from thumblab_serving.routes import (
    batches,
    channels,
    experiments,
    health,
    internal_index,
    internal_items,
    internal_runs,
    lab,
    library,
    library_map,
    niche_report,
    niches,
    page,
    requested_runs,
    score,
    similar,
)
from thumblab_serving.routes.people import calls as people_calls
from thumblab_serving.routes.people import clusters as people_clusters
from thumblab_serving.routes.people import faces as people_faces
from thumblab_serving.routes.people import forgetting as people_forgetting
from thumblab_serving.routes.people import runs as people_runs
from thumblab_serving.schemas.batches import BatchRequest, ItemResult
from thumblab_serving.schemas.experiments import ExperimentRequest
from thumblab_serving.schemas.lab import NewNiche, NicheChange, ProposalRequest
from thumblab_serving.schemas.lab_runs import ItemsRequest, NichesRequest, RebuildRequest
from thumblab_serving.schemas.people import people_requests
from thumblab_serving.schemas.request import ScoreRequest
from thumblab_serving.schemas.strict import StrictModel
from thumblab_serving.scoring.scorer import Scorer
from thumblab_serving.workers.registry import WorkerRegistry
from thumblab_serving.workers.shared_cache import SharedCache
from thumblab_serving.workers.shared_folder import shared_folder

_SWEEP_S = 3600.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service with `settings`. If `settings` is None, use the settings of the process.

    Nothing is loaded before the service starts.
    """
    bypass_proxy_for_loopback()
    settings = settings or thumblab_core.settings.settings()
    app = FastAPI(
        title="Thumbnail Lab",
        summary="Which of these thumbnails will win in this niche, by how much, and why?",
        version="1",
        lifespan=_lifespan,
        docs_url=None,  # FastAPI's page of documentation is off, because it loads scripts from another host.
        redoc_url=None,
    )
    keeper = PredictionKeeper(settings) if settings.keep_predictions else None
    cache_folder = shared_folder("cache")
    shared = None if cache_folder is None else SharedCache(cache_folder / "values")
    scorer, images = Scorer(settings, keeper, shared), image_store(settings)
    app.state.scorer, app.state.images, app.state.shared_cache = scorer, images, shared
    app.state.niches = scorer.releases.niches
    app.state.workers = WorkerRegistry(shared_folder("workers"), lambda: scorer.state)
    budget = Budget(settings.serving_bodies_mib * 2**20)
    app.state.settings, app.state.budget = settings, budget
    app.state.metrics = Metrics(scorer, budget, app.state.workers, shared)
    if keeper is not None:
        app.state.metrics.watch(keeper)
    api_key(settings)  # This call makes the lab's own key if there is none yet.
    app.state.keys, app.state.rate_limits = KeyRing(settings), RateLimits(shared_folder("rates"))
    app.state.limiter = CapacityLimiter(score.CONCURRENT)
    app.state.admission = Admission(settings.serving_requests)
    app.state.experiments_admission = Admission(settings.serving_requests)
    app.state.parsing_limiter = CapacityLimiter(received.PARSING)
    app.state.health_limiter = CapacityLimiter(health.CONCURRENT)
    app.state.experiments = StoredExperiments(scorer.database, scorer.intake, images)
    app.state.experiments_limiters = {
        queue: CapacityLimiter(experiments.CONCURRENT) for queue in ("storing", "listing")
    }
    app.state.dagster = DagsterGraphql(settings)
    app.state.dagster_runs, app.state.scheduler = DagsterRuns(app.state.dagster), SchedulerWatch(app.state.dagster)
    app.state.waiting_for_runs = asyncio.Semaphore(requested_runs.WAITING)
    app.state.library_pictures = LibraryPictures(scorer.database, images)
    app.state.library_limiter = CapacityLimiter(library.CONCURRENT)
    app.state.proposals = ServiceDatabase(settings, niches.PROPOSAL_SECONDS)
    app.state.proposals_limiter = CapacityLimiter(niches.CONCURRENT_PROPOSALS)
    app.state.library_maps = ServedMaps(ReleaseStore(polled_place(settings)))
    app.state.maps_limiter = CapacityLimiter(library_map.CONCURRENT)
    app.state.similar, app.state.videos = SimilarSearch(scorer), Videos(scorer)
    app.state.similar_admission = Admission(settings.serving_requests)
    app.state.similar_limiter = CapacityLimiter(similar.CONCURRENT)
    app.state.foreground = Foreground()
    app.state.batches, app.state.webhooks = BatchStore(settings, app.state.keys.is_revoked), Webhooks(settings)
    app.state.batches_admission = Admission(settings.serving_requests)
    app.state.batches_limiter = CapacityLimiter(batches.CONCURRENT)
    app.state.batch_worker = BatchWorker(
        app.state.batches,
        scorer,
        app.state.foreground,
        app.state.webhooks,
        app.state.metrics.answer,
        app.state.keys.acts_for,
    )
    app.state.channel_exports, app.state.channel_releases = (
        ExportStore(settings),
        ReleaseStore(polled_place(settings)),
    )
    app.state.channels_admission = Admission(settings.serving_requests)
    app.state.channels_limiter = CapacityLimiter(channels.CONCURRENT)
    app.state.people = StoredPeople(settings, images)
    app.state.people_limiter = CapacityLimiter(people_calls.CONCURRENT)
    app.state.people_changes_limiter = CapacityLimiter(people_calls.CONCURRENT_CHANGES)
    app.state.crops_limiter = CapacityLimiter(people_calls.CONCURRENT_CROPS)
    routers = [score.router, batches.router, channels.router, experiments.router, library.router, lab.router]
    routers += [similar.router, niche_report.router, niches.router, library_map.router, health.router, page.router]
    routers += [internal_runs.router, internal_items.router, internal_index.router]
    routers += [people_runs.router, people_clusters.router, people_faces.router, people_forgetting.router]
    for router in (*routers, internal_index.how_to_call):
        app.include_router(router)
    problems.install(app, routers)
    app.add_middleware(BodyLimits, budget=budget, idle_s=settings.serving_idle_s, body_s=settings.serving_body_s)
    app.add_middleware(problems.UnexpectedErrors)
    if settings.allowed_origins:
        app.add_middleware(CrossOrigin, origins=settings.allowed_origins)
    _add_host_names(app, settings)
    app.add_middleware(Framing)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(request_log.RequestLog, metrics=app.state.metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _add_host_names(app: FastAPI, settings: Settings) -> None:
    """Add the middleware that refuses unknown host names, and the middleware for reverse proxies.

    The middleware that is added last sees a request first.
    """
    checked = is_loopback(settings.serving_host) or bool(settings.public_names)
    names = LOOPBACK | {settings.serving_host} | settings.public_names
    if settings.proxy_networks:
        # First check the request's own `Host` header, and then the host that a proxy forwarded. A hostile web page can
        # use DNS rebinding to send requests from the address of a proxy on this machine. The page can write any
        # X-Forwarded-Host, but its browser always writes the page's own host name into `Host`.
        if checked:
            app.add_middleware(HostNames, names=names)
        app.add_middleware(ForwardedHeaders, proxies=settings.proxy_networks)
    if checked:
        app.add_middleware(HostNames, names=names)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Limits]]:
    """Load the encoders and releases in the background, so that `/health` answers at once.

    If another worker can already answer, this worker accepts no connections until it can answer too.
    """
    request_log.configure()
    scorer: Scorer = app.state.scorer
    workers: WorkerRegistry = app.state.workers
    settings: Settings = app.state.settings
    limits = Limits(settings.serving_header_s, settings.serving_idle_s, open_descriptors())
    following = asyncio.create_task(follow(scorer, workers))
    batch_worker: BatchWorker = app.state.batch_worker
    batch_worker.start()
    sweeping = asyncio.create_task(_sweep(app.state.channel_exports, app.state.images))
    scorer.canary.start()
    await take_over(scorer, workers)
    try:
        yield {LIMITS: limits}
    finally:
        for task in (following, sweeping):
            with contextlib.suppress(asyncio.CancelledError):
                task.cancel()
                await task
        workers.remove()
        await to_thread.run_sync(batch_worker.stop)
        await app.state.scheduler.close()
        await app.state.dagster.close()
        await to_thread.run_sync(scorer.close)
        await to_thread.run_sync(app.state.people.close)
        await to_thread.run_sync(app.state.proposals.close)
        if app.state.shared_cache is not None:
            app.state.shared_cache.close()


async def _sweep(exports: ExportStore, images: ImageStore) -> None:
    """Delete expired imports, with their exports and reports, and expired copies of pictures, now and every hour.

    An image store in a folder has no copies, so it is not swept here. The pipelines sweep the folder before a download,
    because each sweep reads the whole folder.
    """
    sweeps = [exports.sweep, images.sweep] if isinstance(images, ImageObjects) else [exports.sweep]
    while True:
        for sweep in sweeps:
            with contextlib.suppress(OSError):
                await to_thread.run_sync(sweep)
        await asyncio.sleep(_SWEEP_S)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's OpenAPI document, with the schemas of request bodies and of error answers added.

    FastAPI cannot derive these schemas. Request bodies are read by `http.submission`, and error answers
    (`application/problem+json`) are written by `http.problems`.
    """
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = document["components"]["schemas"]
        result = ItemResult.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        result.pop("$defs")  # The document already contains these models, because other answers contain them.
        schemas["ItemResult"] = result
        bodies: list[type[StrictModel]] = [ScoreRequest, BatchRequest, ExperimentRequest, SimilarRequest]
        bodies += [NichesRequest, RebuildRequest, ItemsRequest, *people_requests.BODIES]
        bodies += [NewNiche, NicheChange, ProposalRequest]
        for model in bodies:
            body = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= body.pop("$defs", {})
            schemas[model.__name__] = body
        schemas["ProblemOut"] = problems.ProblemOut.model_json_schema()
        auth.add_refusals(document)
        _remove_bodies_of_head(document)
        app.openapi_schema = document
    return app.openapi_schema


def _remove_bodies_of_head(document: dict[str, Any]) -> None:
    """Remove the bodies from the answers to HEAD. FastAPI describes them as the answers to GET."""
    for path in document["paths"].values():
        for answer in path.get("head", {}).get("responses", {}).values():
            answer.pop("content", None)

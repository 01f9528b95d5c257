"""The routes that show which indices are served and cached, and the route that clears the cache.

If a path that changes something is requested with `GET`, the error says how to call the path.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from anyio import to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.http.auth import require
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.loading.index_manifests import ServedIndex, served_indices
from thumblab_serving.routes import internal_items, internal_runs
from thumblab_serving.routes.aliases import with_aliases
from thumblab_serving.schemas.library_index import (
    CacheStatsOut,
    ClearCacheOut,
    FaissStatusOut,
    IndexInfoOut,
    IndexStatsOut,
    IndexStatusOut,
    SidecarMetaOut,
)
from thumblab_serving.scoring.scorer import Scorer
from thumblab_serving.workers.registry import WorkerRegistry

router = APIRouter(tags=["library"], dependencies=[Depends(require("admin"))])
how_to_call = APIRouter(include_in_schema=False)


@router.get(
    "/internal/index-stats",
    summary="The served index of each niche, and what this process has cached",
    responses=error_responses(401),
)
async def index_stats(request: Request) -> IndexStatsOut:
    """Describe the served releases by their manifests. Nothing is loaded."""
    indices = await _served(request)
    return IndexStatsOut(
        index_info={niche: _info(index) for niche, index in indices.items()},
        cache_stats=_cache_stats(request),
        timestamp=datetime.now(UTC),
    )


@with_aliases(
    router.get,
    "/internal/index-status",
    "/admin/faiss/status",
    summary="The index of each niche: whether it exists, what its vectors are, and whether it is cached",
    responses=error_responses(401),
)
async def index_status(request: Request) -> FaissStatusOut:
    """Describe the served releases by their manifests. Nothing is loaded."""
    statuses = {
        niche: IndexStatusOut(
            present=index.release is not None,
            cached=index.cached,
            release=None if index.release is None else index.release.release_id,
            sidecar_meta=_sidecar_meta(index),
            reason=index.reason,
        )
        for niche, index in (await _served(request)).items()
    }
    present = [status for status in statuses.values() if status.present]
    return FaissStatusOut(
        present=bool(present),
        cached=bool(present) and all(status.cached for status in present),
        sidecar_meta=_together([status.sidecar_meta for status in present if status.sidecar_meta is not None]),
        indices=statuses,
        timestamp=datetime.now(UTC),
    )


@with_aliases(
    router.post,
    "/internal/clear-cache",
    "/admin/faiss/clear-cache",
    summary="Forget the indices that the workers have in memory",
    responses=error_responses(401),
)
async def clear_cache(request: Request) -> ClearCacheOut:
    """The next request of a niche reads its index from the disk again, and verifies it.

    If the index cannot be read, the index that was in memory is still served, and `/health` says why. The other workers
    forget their indices within about a second. The answer says what this worker has cleared.
    """
    scorer: Scorer = request.app.state.scorer
    workers: WorkerRegistry = request.app.state.workers
    cleared = await to_thread.run_sync(scorer.releases.forget_indices)
    await to_thread.run_sync(workers.ask_to_forget)
    return ClearCacheOut(
        message=f"{len(cleared)} indices were cleared from memory; they are read again when used",
        cleared=cleared,
        cache_stats=_cache_stats(request),
        timestamp=datetime.now(UTC),
    )


async def _served(request: Request) -> Mapping[str, ServedIndex]:
    scorer: Scorer = request.app.state.scorer
    settings: Settings = request.app.state.settings
    return await to_thread.run_sync(served_indices, ReleaseStore(polled_place(settings)), scorer.releases)


def _cache_stats(request: Request) -> CacheStatsOut:
    scorer: Scorer = request.app.state.scorer
    niches = [niche for niche, slot in scorer.releases.indices.items() if slot.loaded is not None]
    return CacheStatsOut(cached_niches=len(niches), niches=niches)


def _info(index: ServedIndex) -> IndexInfoOut:
    release = index.release
    facts = {} if release is None else release.info
    search = facts.get("search") or {}
    return IndexInfoOut(
        exists=release is not None,
        num_vectors=facts.get("count", 0),
        dimension=facts.get("dimension"),
        file_size_mb=round(index.size / 1_000_000, 3),
        last_modified=index.made_at,
        model=facts.get("encoder"),
        encoder=facts.get("encoder_name"),
        release=None if release is None else release.release_id,
        changed=facts.get("changed_since", 0),
        kind=facts.get("faiss"),
        recall=search.get("recall"),
        cached=index.cached,
        held=index.held,
        reason=index.reason,
    )


def _sidecar_meta(index: ServedIndex) -> SidecarMetaOut | None:
    facts = {} if index.release is None else index.release.info
    if index.made_at is None or not {"encoder", "dimension", "count"} <= set(facts):
        return None
    return SidecarMetaOut(
        model=facts["encoder"], timestamp=index.made_at, dims=facts["dimension"], num_vectors=facts["count"]
    )


def _together(metas: list[SidecarMetaOut]) -> SidecarMetaOut | None:
    """Return the metadata of several indices as if they were one index.

    Return None if there is no index, or if the models of the indices differ.
    """
    if len({(meta.model, meta.dims) for meta in metas}) != 1:
        return None
    return SidecarMetaOut(
        model=metas[0].model,
        timestamp=max(meta.timestamp for meta in metas),
        dims=metas[0].dims,
        num_vectors=sum(meta.num_vectors for meta in metas),
    )


async def _use_post(request: Request) -> None:
    """Raise a 405 `Problem` that shows how to call the path."""
    path = request.scope["route"].path
    detail = f"{path} changes the lab, so it is called with POST: curl -X POST -H 'X-API-Key: KEY' {request.url.path}"
    raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "use-post", detail, {"Allow": "POST"})


for _route in (*internal_runs.router.routes, *internal_items.router.routes, *router.routes):
    if "POST" in getattr(_route, "methods", ()):
        how_to_call.add_api_route(_route.path, _use_post, methods=["GET"])  # type: ignore[attr-defined]

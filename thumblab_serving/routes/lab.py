"""The route `GET /v1/lab`: what the lab has. The page shows this answer in its part *Lab*."""

from contextlib import suppress
from datetime import datetime

import httpx
from anyio import to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_core.errors import LabError
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.running import running_lab
from thumblab_core.settings import Settings
from thumblab_serving.dagster_runs.graphql import DagsterGraphql
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import error_responses
from thumblab_serving.loading.index_manifests import ServedIndex, served_indices
from thumblab_serving.loading.served_releases import NO_MODEL, ServedReleases
from thumblab_serving.schemas.lab import LabOut, LibraryStateOut, LinksOut, ModelStateOut
from thumblab_serving.schemas.verdict import SkillOut
from thumblab_serving.scoring.degraded_sentences import described_skill
from thumblab_serving.scoring.scorer import Scorer

router = APIRouter(tags=["library"])


@router.get(
    "/v1/lab",
    summary="The libraries and the model of the lab: their sizes, their age and their skill",
    dependencies=[Depends(require_key)],
    responses=error_responses(401),
)
async def lab(request: Request) -> LabOut:
    """Describe the releases with which this service answers. Nothing is loaded, and neither the database nor Dagster is
    queried.
    """
    scorer: Scorer = request.app.state.scorer
    settings: Settings = request.app.state.settings
    store = ReleaseStore(polled_place(settings))
    indices = await to_thread.run_sync(served_indices, store, scorer.releases)
    return LabOut(
        model=await to_thread.run_sync(_model, store, scorer.releases),
        libraries={niche: _library(niche, index, scorer.releases) for niche, index in indices.items()},
        links=_links(request) if "admin" in request.state.scopes else LinksOut(dagster=None, mlflow=None),
        library_note=scorer.library_note,
    )


def _library(niche: str, index: ServedIndex, releases: ServedReleases) -> LibraryStateOut:
    facts = {} if index.release is None else index.release.info
    slot = releases.indices.get(niche)  # A person may have retired the niche a moment ago.
    loaded = None if slot is None else slot.loaded
    items = loaded.value.items if index.cached and loaded is not None else None
    dates = [item.published_on for item in items or () if item.published_on is not None]
    return LibraryStateOut(
        release=None if index.release is None else index.release.release_id,
        made_at=index.made_at,
        videos=facts.get("count"),
        winners=None if items is None else sum(item.winner for item in items),
        newest_video=max(dates, default=None),
        changed=None if index.release is None else facts.get("changed_since", 0),
        encoder=facts.get("encoder_name") or facts.get("encoder"),
        held=index.held,
        reason=index.reason,
    )


def _model(store: ReleaseStore, releases: ServedReleases) -> ModelStateOut:
    loaded, refusal = releases.model.loaded, releases.model.refusal
    release: Release | None = None
    # If the files of a served release were deleted, the service continues to use the release in its memory.
    with suppress(LabError, OSError, ValueError):
        release = None if loaded is None else store.get(MODEL, ALL, loaded.release_id)
    facts = {} if release is None else release.info
    reason = None if loaded is not None else NO_MODEL
    return ModelStateOut(
        release=None if loaded is None else loaded.release_id,
        made_at=None if release is None else datetime.fromisoformat(release.created_at),
        videos=facts.get("videos"),
        channels_adapted=facts.get("channels_adapted"),
        skills=[] if loaded is None else _skills(loaded.value),
        reason=reason if refusal is None else refusal.reason,
    )


def _skills(ranker: TrainedRanker) -> list[SkillOut]:
    # A model of an older version of the lab may have one skill for both questions. This skill is listed once.
    skills = {
        (skill.question, split): described_skill(skill, split)
        for by_split in (ranker.skills, ranker.package_skills)
        for split, skill in by_split.items()
    }
    return list(skills.values())


def _links(request: Request) -> LinksOut:
    settings: Settings = request.app.state.settings
    dagster: DagsterGraphql = request.app.state.dagster
    running = running_lab(settings.data_dir)
    mlflow = settings.mlflow_page_url or settings.mlflow_tracking_uri or (None if running is None else running.mlflow)
    return LinksOut(dagster=_page(dagster.page), mlflow=_page(mlflow))


def _page(address: str | None) -> str | None:
    """Return an address without its user name and password. Return None if the address is not the address of a web
    page.
    """
    try:
        url = httpx.URL(address or "")
    except httpx.InvalidURL:
        return None
    return str(url.copy_with(userinfo=b"")) if url.scheme in ("http", "https") else None

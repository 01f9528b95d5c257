"""The routes that start runs of Dagster: refresh, rebuild or embed the library. Another route shows the state of a run.

Two routes have a second path below `/admin`, which clients of other systems use.
"""

import re
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from thumblab_core.niches import is_niche_name
from thumblab_serving.dagster_runs.runs import DagsterRuns, RunRequest
from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import path_documentation, query_of
from thumblab_serving.http.received import invalid, niches_of_lab
from thumblab_serving.routes.aliases import with_aliases
from thumblab_serving.routes.people.runs import JOBS, people_figures
from thumblab_serving.routes.requested_runs import (
    changed_items_of,
    common_fields,
    documented,
    explained,
    run_requested,
    stats_of,
    status_of,
)
from thumblab_serving.schemas.lab_runs import (
    NichesRequest,
    RebuildOut,
    RebuildRequest,
    RefreshOut,
    RunProgressOut,
    RunStateOut,
    WaitQuery,
)

router = APIRouter(tags=["library"], dependencies=[Depends(require("admin"))])
"""The routes that change the library. Only a key with the scope `admin` may use these routes."""

_RUN_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@router.post(
    "/internal/refresh-library",
    summary="Collect, embed, index and serve the library of each niche",
    **documented(RefreshOut, NichesRequest, WaitQuery),
)
async def refresh_library(request: Request, response: Response) -> RefreshOut:
    """Start the job `refresh_library` for each niche. With `wait=true`, answer when the runs have ended.

    A run that waits already in Dagster is not started a second time.
    """
    query, body = query_of(request, WaitQuery), await body_of(request, NichesRequest)
    runs = await run_requested(
        request,
        response,
        query,
        [RunRequest("refresh_library", niche) for niche in body.niches or niches_of_lab(request)],
    )
    status = status_of(runs, query)
    return RefreshOut(
        **common_fields(request, runs, status, "Reference library and FAISS indices refreshed", "indices"),
        index_results={str(run.request.niche): run.succeeded for run in runs},
        library_stats={str(run.request.niche): stats_of(run.outcome) for run in runs},
    )


@with_aliases(
    router.post,
    "/internal/rebuild-indices",
    "/admin/faiss/rebuild",
    summary="Rebuild the index of each niche from the database",
    **documented(RebuildOut, RebuildRequest, WaitQuery),
)
async def rebuild_indices(request: Request, response: Response) -> RebuildOut:
    """Start the job `rebuild_index` for each niche. With `wait=true`, answer when the runs have ended.

    Thumbnails without a vector are left out. To compute missing vectors, call `/internal/embed` first.
    """
    query, body = query_of(request, WaitQuery), await body_of(request, RebuildRequest)
    config = {"ops": {"faiss_index": {"config": {"factory": body.factory}}}} if body.factory else {}
    wanted = [RunRequest("rebuild_index", niche, config) for niche in body.niches or niches_of_lab(request)]
    runs = await run_requested(request, response, query, wanted)
    notes = ["dim has no effect: the image encoder decides the dimension of the vectors"] if body.dim else []
    if body.factory:
        notes.append("factory is used only for this build; the next build uses the setting THUMBLAB_INDEX_FACTORY")
    return RebuildOut(
        **common_fields(request, runs, status_of(runs, query), "FAISS indices rebuilt", "niches"),
        notes=notes,
        results={str(run.request.niche): run.succeeded for run in runs},
    )


@with_aliases(
    router.post,
    "/internal/embed",
    "/admin/embed/full",
    summary="Encode pictures and titles without a vector, then rebuild the index of each niche",
    **documented(RebuildOut, NichesRequest, WaitQuery),
)
async def embed(request: Request, response: Response) -> RebuildOut:
    """Start the job `embed_library` for each niche. With `wait=true`, answer when the runs have ended.

    A picture or title that has a vector of the current encoder is not encoded again. Each run spends about ten minutes
    on videos that the crawl found. Later runs in the background encode the remaining videos of the crawl.
    """
    query, body = query_of(request, WaitQuery), await body_of(request, NichesRequest)
    runs = await run_requested(
        request,
        response,
        query,
        [RunRequest("embed_library", niche) for niche in body.niches or niches_of_lab(request)],
    )
    return RebuildOut(
        **common_fields(
            request, runs, status_of(runs, query), "Embeddings computed and FAISS indices rebuilt", "niches"
        ),
        results={str(run.request.niche): run.succeeded for run in runs},
    )


@router.get(
    "/internal/runs/{run_id}",
    summary="The state of a run, and what it did",
    response_model=RunStateOut,
    responses=error_responses(401, 404, 422, 503),
    openapi_extra={"parameters": [path_documentation("run_id", pattern=f"^{_RUN_ID}$")]},
)
async def run_state(request: Request) -> RunStateOut:
    """Return the state of a run of the lab, as Dagster reports it. Another request may have started the run."""
    runs: DagsterRuns = request.app.state.dagster_runs
    run_id = str(request.path_params["run_id"])
    if not re.fullmatch(_RUN_ID, run_id):
        raise invalid("run_id: this is not an id; the id of a run looks like 6f1c2b9e-0d3a-4c57-8a51-2f7e9d0c4b13")
    outcome = progress = None
    with explained():
        found = await runs.find(run_id)
        if found is not None and found.state in ("success", "failure", "canceled"):
            outcome = await runs.outcome(run_id)
        elif found is not None and found.state == "running" and found.job in JOBS:
            progress = await runs.progress(run_id)
        changed = changed_items_of(outcome)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown-run", f"Dagster knows no run {run_id}")
    return RunStateOut(
        job=found.job,
        niche=found.niche if found.niche is not None and is_niche_name(found.niche) else None,
        run_id=run_id,
        state=found.state,
        url=runs.page(run_id),
        reason=outcome.reason if outcome is not None and found.state == "failure" else None,
        library_stats=None if found.job in ("change_index", *JOBS) else stats_of(outcome),
        changed_items=changed,
        people=people_figures(found.job, outcome),
        progress=None if progress is None else RunProgressOut(**vars(progress)),
    )

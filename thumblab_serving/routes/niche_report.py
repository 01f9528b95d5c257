"""The route `GET /v1/library/{niche}/report`: how winners of a niche differ from other videos of their channels."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_core.niche_report.niche_figures import NicheReport
from thumblab_core.niches import NICHE_PATTERN, NicheFile
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import path_documentation
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.scoring.scorer import Scorer

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

router = APIRouter(tags=["library"])


@router.get(
    "/v1/library/{niche}/report",
    summary="How winners of a niche differ from other videos of their channels",
    response_model=NicheReport,
    dependencies=[Depends(require_key)],
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [path_documentation("niche", pattern=NICHE_PATTERN)]},
)
async def report(request: Request) -> NicheReport:
    """Return the newest report that the asset `niche_report` has stored.

    The figures describe differences within channels. The figures do not show that a property of a video causes more
    views. If the niche has too few videos, `too_few` says so, and there are no figures. `GET /v1/library/pictures`
    gives the pictures of the examples.
    """
    niche = str(request.path_params["niche"])
    known: NicheFile = request.app.state.niches
    if niche not in known.names:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", f"there is no such niche; use one of {', '.join(known.names)}")
    scorer: Scorer = request.app.state.scorer
    database: ServiceDatabase = scorer.database
    limiter: CapacityLimiter = request.app.state.library_limiter

    def read(connection: "Connection") -> NicheReport | None:
        from thumblab_core.niche_report.store import read_report

        return read_report(connection, niche)

    try:
        found = await to_thread.run_sync(database.read, read, limiter=limiter)
    except NoDatabaseError as error:
        raise no_database("the report is in the lab's database", error, database) from None
    if found is None:
        detail = f"there is no report on {niche} yet; run the job `report_niche` in Dagster for this niche"
        raise Problem(HTTPStatus.NOT_FOUND, "no-report", detail)
    return found

"""`POST /v1/score`."""

from http import HTTPStatus

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_serving.http import submission
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.metrics import Metrics
from thumblab_serving.http.problems import Problem, documented
from thumblab_serving.loading.state import NotReadyError
from thumblab_serving.schemas import ScoreAnswer
from thumblab_serving.scoring.engine import Engine

router = APIRouter(tags=["scoring"])

CONCURRENT = 16
"""Requests worked on at a time; they mostly wait for the examining threads. Further ones queue."""


@router.post(
    "/v1/score",
    summary="Rank thumbnails for a title in a niche",
    response_model=ScoreAnswer,
    dependencies=[Depends(require_key)],
    responses=documented(401, 408, 413, 415, 422, 503),
    openapi_extra={"requestBody": submission.documentation()},
)
async def score(request: Request) -> ScoreAnswer:
    """Thumbnails by URL of an allowed image host, in base64, or as uploaded files; all give the same answer.

    A thumbnail that cannot be read is an `error` on its item and leaves the others ranked. Every answer names the
    releases that made it, and says under `degraded` what was missing.
    """
    engine: Engine = request.app.state.engine
    metrics: Metrics = request.app.state.metrics
    limiter: CapacityLimiter = request.app.state.limiter
    asked, sources = await submission.read(request)
    try:
        answer = await to_thread.run_sync(engine.score, sources, asked, limiter=limiter)
    except NotReadyError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", str(error), {"Retry-After": "30"}) from None
    metrics.answer(answer)
    request.state.answer = answer
    return answer

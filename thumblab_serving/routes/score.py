"""The route `POST /v1/score`."""

from functools import partial
from http import HTTPStatus

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_serving.batches.foreground import Foreground
from thumblab_serving.http import submission
from thumblab_serving.http.admission import Admission
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.metrics import Metrics
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import query_documentation, query_of
from thumblab_serving.keys.key_ring import Grant
from thumblab_serving.loading.served_releases import NotReadyError
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.people.people_requests import ScoreQuery
from thumblab_serving.scoring.scorer import Scorer

router = APIRouter(tags=["scoring"])

CONCURRENT = 16
"""Number of requests that are scored at the same time. Further requests wait in a queue.

Most of the time, a request waits for the threads that decode, encode and measure pictures. So this number may be larger
than the number of these threads.
"""


@router.post(
    "/v1/score",
    summary="Rank thumbnails for a title in a niche, or packages of titles and thumbnails",
    response_model=ScoreAnswer,
    dependencies=[Depends(require_key)],
    responses=error_responses(400, 401, 408, 413, 415, 422, 503),
    openapi_extra={"parameters": query_documentation(ScoreQuery), "requestBody": submission.documentation()},
)
async def score(request: Request) -> ScoreAnswer:
    """Send thumbnails as URLs of an allowed image host, in base64, or as uploaded files. All ways give the same answer.

    With several `titles`, `packages` ranks each combination of a title and a thumbnail. With several `categories`, each
    niche has its own answer.

    A thumbnail that cannot be read has an `error`, and the other thumbnails are ranked without it. Every answer lists
    the releases that it used. If something was missing, the field `degraded` says what was missing.
    """
    scorer: Scorer = request.app.state.scorer
    metrics: Metrics = request.app.state.metrics
    limiter: CapacityLimiter = request.app.state.limiter
    admission: Admission = request.app.state.admission
    grant: Grant = request.state.grant
    foreground: Foreground = request.app.state.foreground
    see_people = query_of(request, ScoreQuery).people == "true"
    async with admission.admit(request.state.grant):
        form, sources = await submission.read(request)
        score_for_key = partial(scorer.score, owner=grant.acts_for, see_people=see_people)
        try:
            with foreground.request():  # Batches wait until this request is answered.
                answer = await to_thread.run_sync(score_for_key, sources, form, True, limiter=limiter)
        except NotReadyError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", str(error), {"Retry-After": "30"}) from None
    for of_niche in (answer, *answer.other_niches):
        metrics.answer(of_niche)
    request.state.answer = answer
    return answer

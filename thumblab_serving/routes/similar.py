"""The routes `/v1/similar` and `GET /v1/videos/{video_id}`."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_serving.batches.foreground import Foreground
from thumblab_serving.http.admission import Admission
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.received import invalid
from thumblab_serving.keys.key_ring import Grant
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.loading.served_releases import NotReadyError
from thumblab_serving.looking import similar_submission
from thumblab_serving.looking.queries import BadQueryError, UnknownVideoError
from thumblab_serving.looking.similar_search import SimilarSearch
from thumblab_serving.looking.videos import Videos
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.routes.people.calls import in_path, video_id_in
from thumblab_serving.schemas.library import SimilarOut, VideoOut
from thumblab_serving.scoring.scorer import Scorer

router = APIRouter(tags=["library"])

CONCURRENT = 4
"""At most this many searches run at the same time, and at most this many videos are read at the same time. Further
requests wait in a queue.
"""

T = TypeVar("T")


@router.post(
    "/v1/similar",
    summary="Find thumbnails of the library that are similar to a picture, a video, a text or a vector",
    response_model=SimilarOut,
    dependencies=[Depends(require_key)],
    responses=error_responses(400, 401, 404, 408, 413, 415, 422, 503),
    openapi_extra={"requestBody": similar_submission.body_documentation()},
)
async def similar(request: Request) -> SimilarOut:
    """Send the query as JSON, or a picture file as a form. Picture URLs must be on an allowed image host.

    The libraries are the index releases from which `/v1/score` answers. All facts of an item come from the release in
    `searched`. As long as the release stays the same, the pages that you get with `next_offset` never contain a video
    twice.
    """
    admission: Admission = request.app.state.similar_admission
    search: SimilarSearch = request.app.state.similar
    async with admission.admit(request.state.grant):
        asked = await similar_submission.read_body(request)
        return await _run(request, partial(search.answer, asked))


@router.get(
    "/v1/similar",
    summary="Find thumbnails of the library that are similar to a video's thumbnail",
    response_model=SimilarOut,
    dependencies=[Depends(require_key)],
    responses=error_responses(401, 404, 422, 503),
    openapi_extra={"parameters": similar_submission.query_documentation()},
)
async def similar_to_video(request: Request) -> SimilarOut:
    """Do the same as `POST /v1/similar` with a `video_id`."""
    search: SimilarSearch = request.app.state.similar
    return await _run(request, partial(search.answer, similar_submission.read_query(request)))


@router.get(
    "/v1/videos/{video_id}",
    summary="What the lab has of a video: facts, views over time, thumbnails, sub-scores and neighbours",
    response_model=VideoOut,
    dependencies=[Depends(require_key)],
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [in_path("video_id")]},
)
async def video(request: Request) -> VideoOut:
    """The click-through rate is shown only to the owner of the channel, and to keys with the scope `admin`."""
    video_id = video_id_in(request, unknown="unknown-video")
    videos: Videos = request.app.state.videos
    grant: Grant = request.state.grant
    return await _run(request, partial(videos.show, video_id, grant.acts_for))


async def _run(request: Request, work: Callable[[], T]) -> T:
    """Return the result of `work`, which runs in a thread. Raises a `Problem` for an error of the lab."""
    limiter: CapacityLimiter = request.app.state.similar_limiter
    foreground: Foreground = request.app.state.foreground
    scorer: Scorer = request.app.state.scorer
    try:
        with foreground.request():  # Batches wait until this request is answered.
            return await to_thread.run_sync(work, limiter=limiter)
    except UnknownVideoError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown-video", str(error)) from None
    except BadQueryError as error:
        raise invalid(str(error)) from None
    except NotReadyError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", str(error), {"Retry-After": "30"}) from None
    except NoDatabaseError as error:
        raise no_database("the videos are in the lab's database", error, scorer.database) from None

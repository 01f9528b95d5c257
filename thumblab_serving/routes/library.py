"""The routes of stored thumbnails. One route returns thumbnails of many videos, which the page shows beside an answer.
Another route returns a thumbnail that a video has or had.
"""

import base64
import re
from functools import partial
from http import HTTPStatus

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response

from thumblab_core.object_store.bucket import StoreError
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import lists_in_query
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.loading.library_pictures import NO_STORE, LibraryPictures
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.routes.people.calls import in_path, video_id_in
from thumblab_serving.schemas.library import LibraryPictureOut, LibraryPicturesOut, LibraryPicturesQuery

router = APIRouter(tags=["library"])

_KEPT = "private, max-age=3600"
"""A browser keeps a picture for one hour only. The picture with a SHA-256 never changes, but it may be deleted."""

CONCURRENT = 2
"""Maximum number of requests whose pictures are read at the same time. Further requests wait."""


def _documentation() -> list[dict[str, object]]:
    schema = LibraryPicturesQuery.model_json_schema()["properties"]["video_id"]
    return [{"name": "video_id", "in": "query", "required": True, "schema": schema}]


@router.get(
    "/v1/library/pictures",
    summary="The thumbnails of the videos in an answer",
    response_model=LibraryPicturesOut,
    dependencies=[Depends(require_key)],
    responses=error_responses(401, 422),
    openapi_extra={"parameters": _documentation()},
)
async def pictures(request: Request) -> LibraryPicturesOut:
    """Give `video_id` once for each video. Each thumbnail is a JPEG of 480x270 pixels.

    `missing` lists videos that the lab does not know, and videos without a stored thumbnail. If the database or a file
    cannot be read, `degraded` gives the reason.
    """
    query = lists_in_query(request, LibraryPicturesQuery)
    library: LibraryPictures = request.app.state.library_pictures
    limiter: CapacityLimiter = request.app.state.library_limiter
    found = await to_thread.run_sync(library.find, query.video_id, limiter=limiter)
    return LibraryPicturesOut(
        pictures=[
            LibraryPictureOut(video_id=video_id, image_base64=base64.b64encode(data).decode())
            for video_id, data in found.pictures.items()
        ],
        missing=[video_id for video_id in dict.fromkeys(query.video_id) if video_id not in found.pictures],
        degraded=found.degraded,
    )


@router.get(
    "/v1/videos/{video_id}/thumbnails/{sha256}",
    summary="A thumbnail that a video has, or had before",
    response_class=Response,
    dependencies=[Depends(require_key)],
    responses={
        200: {
            "description": "A JPEG of 480x270 pixels.",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {
                "Cache-Control": {
                    "schema": {"type": "string"},
                    "description": "How long a browser may keep the picture.",
                }
            },
        },
        **error_responses(401, 404, 503),
    },
    openapi_extra={"parameters": [in_path("video_id"), in_path("sha256")]},
)
async def version(request: Request) -> Response:
    """`GET /v1/videos/{video_id}` lists the versions of the thumbnail with their SHA-256."""
    video_id, sha256 = video_id_in(request, unknown="unknown-video"), str(request.path_params["sha256"])
    library: LibraryPictures = request.app.state.library_pictures
    limiter: CapacityLimiter = request.app.state.library_limiter
    picture = None
    if re.fullmatch("[0-9a-f]{64}", sha256):
        try:
            picture = await to_thread.run_sync(partial(library.version, video_id, sha256), limiter=limiter)
        except NoDatabaseError as error:
            database = request.app.state.scorer.database
            raise no_database("the thumbnails are in the lab's database", error, database) from None
        except StoreError:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no-picture", NO_STORE) from None
        except OSError as error:
            detail = f"the picture cannot be read ({error.strerror}); check the disk of the lab's image store"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no-picture", detail) from None
    if picture is None:
        detail = "the lab has no such thumbnail of this video; GET /v1/videos/{video_id} lists the video's thumbnails"
        raise Problem(HTTPStatus.NOT_FOUND, "unknown-picture", detail)
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": _KEPT})

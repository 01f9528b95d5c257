"""The route `GET /v1/library/pictures`. The page shows these pictures beside an answer."""

import base64

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import error_responses
from thumblab_serving.http.queries import lists_in_query
from thumblab_serving.loading.library_pictures import LibraryPictures
from thumblab_serving.schemas.library import LibraryPictureOut, LibraryPicturesOut, LibraryPicturesQuery

router = APIRouter(tags=["library"])

CONCURRENT = 2
"""Maximum number of requests whose pictures are read at the same time. Further requests wait."""


def _documentation() -> list[dict[str, object]]:
    schema = LibraryPicturesQuery.model_json_schema()["properties"]["video_id"]
    return [{"name": "video_id", "in": "query", "required": True, "schema": schema}]


@router.get(
    "/v1/library/pictures",
    summary="The thumbnails of videos that an answer names",
    response_model=LibraryPicturesOut,
    dependencies=[Depends(require_key)],
    responses=error_responses(401, 422),
    openapi_extra={"parameters": _documentation()},
)
async def pictures(request: Request) -> LibraryPicturesOut:
    """Give `video_id` once for each video. Each thumbnail is a JPEG of 480x270 pixels.

    `missing` lists the videos that the lab does not know or has no thumbnail of. If the database or a file cannot be
    read, `degraded` says so.
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

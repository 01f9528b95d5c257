"""The routes of library maps: their points, atlases, tiles and clusters."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from thumblab_core.niches import NicheFile
from thumblab_core.releases.release import ALL, ReleaseError
from thumblab_serving.http.auth import require
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.looking.served_maps import MapFile, NoMapError, ServedMaps
from thumblab_serving.schemas.library_index import LibraryClustersOut, MapAtlasesOut
from thumblab_serving.schemas.niche import PATH_SCHEMA

router = APIRouter(tags=["library"])

CONCURRENT = 8
"""Maximum number of requests that open files of maps at the same time. Further requests wait."""

RELEASE_HEADER = "X-Thumblab-Release"
ARROW = "application/vnd.apache.arrow.file"

_CHUNK = 256 * 1024
_RETRY_S = 5
_KEPT = "private, max-age=31536000, immutable"
_CHECKED = "private, no-cache"
_DEEPEST, _DIGITS = 6, re.compile(r"0|[1-9][0-9]{0,2}")

# The page `/library` loads many files of one map. So the map has a rate limit of its own, and does not use up the rate
# limit for scoring.
_require_key = Depends(require("score", account="#maps"))

T = TypeVar("T")


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_NICHE = _in_path("niche", PATH_SCHEMA)
_HASH = _in_path("sha256", {"type": "string", "pattern": "^[0-9a-f]{64}$"})
_PLACE = [
    _in_path("level", {"type": "integer", "minimum": 0, "maximum": _DEEPEST}),
    *(_in_path(name, {"type": "integer", "minimum": 0, "maximum": 2**_DEEPEST - 1}) for name in ("x", "y")),
]
_IF_NONE_MATCH = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}


def _file(media_type: str, description: str, *errors: int) -> dict[int | str, Any]:
    """Describe the answers of a route that sends a file, for the OpenAPI document."""
    names = {
        "ETag": "The SHA-256 of the file.",
        RELEASE_HEADER: "The id of the release of the map.",
        "Cache-Control": "How long a browser may keep the file.",
    }
    headers = {name: {"schema": {"type": "string"}, "description": text} for name, text in names.items()}
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    answer = {"description": description, "content": content, "headers": headers}
    unchanged = {"description": "The file still has the ETag that the request names."}
    return {200: answer, 304: unchanged, **error_responses(*errors)}


@router.get(
    "/v1/library/{niche}/map",
    summary="The points of the map of a library",
    response_class=Response,
    dependencies=[_require_key],
    responses=_file(ARROW, "An Arrow IPC file with a row for each video (see docs/library-map.md).", 401, 404, 503),
    openapi_extra={"parameters": [_NICHE, _IF_NONE_MATCH]},
)
async def points(request: Request) -> Response:
    """Return the place, the title and the figures of each video. Maps of 150,000 videos and more also have tiles."""
    found = await _run(request, partial(_maps(request).points, _scope(request)))
    return _sent(request, found, ARROW, _CHECKED)


@router.get(
    "/v1/library/{niche}/map/atlases",
    summary="The small pictures of a map, and the tiles of a large map",
    response_model=MapAtlasesOut,
    dependencies=[_require_key],
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [_NICHE]},
)
async def atlases(request: Request) -> MapAtlasesOut:
    """Return a list of the image files that contain the small pictures, in several sizes. For each video, the column
    `tile` of the map's points says which of these small pictures it has.
    """
    scope = _scope(request)
    release, found, tiles = await _run(request, partial(_maps(request).atlases, scope))
    return MapAtlasesOut.model_validate(
        {
            "niche": scope,
            "release": release.release_id,
            "made_at": release.created_at,
            "videos": release.info["videos"],
            "media_type": found.media_type,
            "pictures": found.tiles,
            "levels": found.levels,
            "tiles": tiles,
        }
    )


@router.get(
    "/v1/library/{niche}/map/atlases/{sha256}",
    summary="An image with many small pictures of a map",
    response_class=Response,
    dependencies=[_require_key],
    responses=_file("image/jpeg", "A JPEG with many small pictures.", 401, 404, 503),
    openapi_extra={"parameters": [_NICHE, _HASH, _IF_NONE_MATCH]},
)
async def atlas_page(request: Request) -> Response:
    """Return a page (an image file) of the atlases. The name of a page is its SHA-256, so the page never changes, and a
    browser may keep it.
    """
    page = str(request.path_params["sha256"])
    found = await _run(request, partial(_maps(request).page, _scope(request), page))
    return _sent(request, found, "image/jpeg", _KEPT)


@router.get(
    "/v1/library/{niche}/map/tiles/{level}/{x}/{y}",
    summary="The points of a part of a large map",
    response_class=Response,
    dependencies=[_require_key],
    responses=_file(ARROW, "An Arrow IPC file with the columns of the whole map.", 401, 404, 503),
    openapi_extra={"parameters": [_NICHE, *_PLACE, _IF_NONE_MATCH]},
)
async def tile(request: Request) -> Response:
    """Level L divides the map into 2^L x 2^L tiles. `/map/atlases` says which tiles have points."""
    given = [str(request.path_params[name]) for name in ("level", "x", "y")]
    if not all(_DIGITS.fullmatch(number) for number in given):
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "there is no such tile; level, x and y are whole numbers")
    found = await _run(request, partial(_maps(request).tile, _scope(request), *map(int, given)))
    return _sent(request, found, ARROW, _CHECKED)


@router.get(
    "/v1/library/{niche}/clusters",
    summary="Groups of similar thumbnails of a library",
    response_model=LibraryClustersOut,
    dependencies=[_require_key],
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [_NICHE]},
)
async def clusters(request: Request) -> LibraryClustersOut:
    """Return the clusters of the served map, with their labels, traits, figures and growth."""
    scope = _scope(request)
    release, found = await _run(request, partial(_maps(request).clusters, scope))
    return LibraryClustersOut.model_validate(
        {
            "niche": scope,
            "release": release.release_id,
            "made_at": release.created_at,
            "videos": release.info["videos"],
            "clusters": found,
        }
    )


def _maps(request: Request) -> ServedMaps:
    maps: ServedMaps = request.app.state.library_maps
    return maps


def _scope(request: Request) -> str:
    niche = str(request.path_params["niche"])
    known: NicheFile = request.app.state.niches
    scopes = (*known.names, ALL)
    if niche not in scopes:
        detail = f"there is no such niche; use one of {', '.join(scopes)}"
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", detail)
    return niche


async def _run(request: Request, read: Callable[[], T]) -> T:
    """Return the result of `read`, which runs in a thread. Raises a `Problem` for an error of `read`."""
    limiter: CapacityLimiter = request.app.state.maps_limiter
    try:
        return await to_thread.run_sync(read, limiter=limiter)
    except NoMapError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "no-map", str(error)) from None
    except ReleaseError as error:
        detail = f"the map cannot be read: {error}"
        headers = {"Retry-After": str(_RETRY_S)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unreadable-map", detail, headers) from None


def _sent(request: Request, found: MapFile, media_type: str, caching: str) -> Response:
    """Return the answer with a file, or with status 304 if the browser has it already."""
    etag = f'"{found.sha256}"'
    headers = {"ETag": etag, "Cache-Control": caching, RELEASE_HEADER: found.release_id}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    if etag in known or "*" in known:
        found.file.close()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Length"] = str(found.size)
    return StreamingResponse(_chunks(found), media_type=media_type, headers=headers)


def _chunks(found: MapFile) -> Iterator[bytes]:
    with found.file:
        while chunk := found.file.read(_CHUNK):
            yield chunk

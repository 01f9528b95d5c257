"""The page at `/`. It is static files, uses no JavaScript framework and loads nothing from other hosts."""

from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).resolve().parents[1] / "page"

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}
"""The media type of each kind of file that the page loads. The browser runs a script only with the right type."""

_FILES = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}
"""The files that the page may load, by name. A request for any other name is a 404, so a name is never a path."""

_REVALIDATE = {"Cache-Control": "no-cache"}
"""Headers that make the browser ask the service, before each use of a cached file, whether the file has changed.

Without them, an old script from the browser's cache could run with a newer version of the service.
"""


@router.get("/")
async def index() -> FileResponse:
    return FileResponse(_FOLDER / "index.html", headers=_REVALIDATE)


@router.get("/page/{name}")
async def file(name: Annotated[str, fastapi.Path(max_length=100)]) -> FileResponse:
    """Return a style sheet or a script of the page."""
    path = _FILES.get(name)
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, headers=_REVALIDATE, media_type=_MEDIA_TYPES[path.suffix])

"""The page at `/`. It is three static files, uses no JavaScript framework and loads nothing from other hosts."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).resolve().parents[1] / "page"

_REVALIDATE = {"Cache-Control": "no-cache"}
"""Headers that make the browser ask the service, before each use of a cached file, whether the file has changed.

Without them, an old script from the browser's cache could run with a newer version of the service.
"""


@router.get("/")
async def index() -> FileResponse:
    return FileResponse(_FOLDER / "index.html", headers=_REVALIDATE)


@router.get("/page.css")
async def style() -> FileResponse:
    return FileResponse(_FOLDER / "page.css", headers=_REVALIDATE)


@router.get("/page.js")
async def script() -> FileResponse:
    return FileResponse(_FOLDER / "page.js", headers=_REVALIDATE, media_type="text/javascript")

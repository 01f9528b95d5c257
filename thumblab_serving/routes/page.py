"""The page at `/`. It consists of three static files. It uses no framework, and nothing from another host."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).resolve().parents[1] / "page"

_REVALIDATE = {"Cache-Control": "no-cache"}
"""Headers that make the browser ask each time whether a file has changed.

Otherwise, an old script from the browser's cache could run with a newer service.
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

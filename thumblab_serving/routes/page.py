"""The page at `/`: three files of our own, no framework, nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).resolve().parents[1] / "page"
_FRESH = {"Cache-Control": "no-cache"}
"""Ask whether it changed before showing it: an upgrade must not leave an old script talking to a new service."""


@router.get("/")
async def index() -> FileResponse:
    return FileResponse(_FOLDER / "index.html", headers=_FRESH)


@router.get("/page.css")
async def style() -> FileResponse:
    return FileResponse(_FOLDER / "page.css", headers=_FRESH)


@router.get("/page.js")
async def script() -> FileResponse:
    return FileResponse(_FOLDER / "page.js", headers=_FRESH, media_type="text/javascript")

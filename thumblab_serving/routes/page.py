"""The pages at `/`, `/library` and `/people`.

They are static files, use no JavaScript framework and load nothing from other hosts.
"""

import hashlib
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).resolve().parents[1] / "page"

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}
"""The media type of each kind of file that the pages load. The browser runs a script only with the right type."""

_FILES = {
    path.relative_to(_FOLDER).as_posix(): path.read_bytes()
    for path in sorted(_FOLDER.rglob("*"))
    if path.suffix in _MEDIA_TYPES
}
"""The files that the pages may load, by name, such as `people/main.js`. A request for any other name is a 404, so no name is
ever used as a path.
"""

VERSION = hashlib.sha256(b"".join(_FILES.values())).hexdigest()[:16]
"""A digest of all files in `_FILES`. The digest is a part of the files' URLs, so a changed file has another URL."""


_HEAD = b"  <!-- head.html -->\n"
"""The line of a page that is replaced by `head.html`, the part of the head that all pages share."""


def _page(name: str) -> bytes:
    page = (_FOLDER / name).read_bytes().replace(_HEAD, (_FOLDER / "head.html").read_bytes())
    return page.replace(b'"page/', f'"page/{VERSION}/'.encode())


_INDEX, _LIBRARY, _PEOPLE = _page("index.html"), _page("library.html"), _page("people.html")

_REVALIDATE = {"Cache-Control": "no-cache"}
"""Headers that make the browser ask the service again before each use of a cached answer."""

_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}
"""Headers that let the browser use a file for a year without a request."""


@router.head("/")
@router.get("/")
async def index() -> HTMLResponse:
    return HTMLResponse(_INDEX, headers=_REVALIDATE)


@router.head("/library")
@router.get("/library")
async def library() -> HTMLResponse:
    """Return the page of the library. The page itself has no video. Its scripts request the map with the user's API key."""
    return HTMLResponse(_LIBRARY, headers=_REVALIDATE)


@router.head("/people")
@router.get("/people")
async def people() -> HTMLResponse:
    """Return the page of people. The page itself contains no names and no faces. Its scripts request the names and
    faces with the user's API key.
    """
    return HTMLResponse(_PEOPLE, headers=_REVALIDATE)


@router.head("/page/{version}/{name:path}")
@router.get("/page/{version}/{name:path}")
async def file(version: str, name: str) -> Response:
    """Return a style sheet or a script of the pages.

    While the service is updated, a browser may request a file of another version. The browser then gets the file of
    this version. A header forbids the browser to keep this file, because the URL belongs to the other version.
    """
    content = _FILES.get(name)
    if content is None:
        raise HTTPException(404)
    headers = _KEEP if version == VERSION else _REVALIDATE
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[Path(name).suffix])

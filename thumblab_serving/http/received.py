"""Read the parts of a request body that several routes share: JSON, form fields and uploaded pictures."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import jiter
from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from thumblab_core.images import MAX_BYTES, too_long
from thumblab_core.niches import NicheFile
from thumblab_serving.http.problems import Problem, invalid_request
from thumblab_serving.schemas.niche import context_of
from thumblab_serving.scoring.intake import Source

PARSING = 1
"""Number of JSON bodies that are parsed at the same time.

The parser holds the interpreter's lock. Several parsers at once would keep the event loop waiting, and would not be
faster.
"""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

Reader = Callable[[Request], Awaitable[T]]
"""Reads the body of a request."""

_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")

_MARKS = (b'"', b",", b"[", b"{")
_MOST_MARKS = 100_000
"""Maximum number of double quotes, commas and opening brackets in a JSON body, unless a route allows more.

A body with more of these characters is refused before it is parsed. A valid request has fewer of these characters: its
titles, ids and URLs together have fewer characters than this number, and base64 contains none of these characters.
"""


def niches_of_lab(request: Request) -> tuple[str, ...]:
    """Return the niches that the lab has now."""
    niches: NicheFile = request.app.state.niches
    return niches.names


def niches_of(request: Request) -> dict[str, Sequence[str]]:
    """Return pydantic's validation context for the niches of a request. The context contains the niches that the lab
    has now.
    """
    return context_of(niches_of_lab(request))


def content_type(request: Request) -> str:
    """Return the media type of the body, such as `application/json`."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported_media_type(accepted: str = "application/json or multipart/form-data") -> Problem:
    """Return the `Problem` for a body that has none of the `accepted` content types."""
    detail = f"send {accepted}"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)


def invalid(detail: str, headers: dict[str, str] | None = None) -> Problem:
    """Return the `Problem` for a request that does not have the documented form."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, headers)


async def json_or_form(request: Request, of_json: Reader[T], of_form: Reader[T]) -> T:
    """Return the body, as read by `of_json` or `of_form`. The content type decides which of the two functions reads the
    body.

    Raises a 415 `Problem` if the body is neither JSON nor a form, and a 422 `Problem` if it breaks the schema.
    """
    kind = content_type(request)
    try:
        if kind == "application/json":
            return await of_json(request)
        if kind == "multipart/form-data":
            require_utf8(request)
            return await of_form(request)
    except ValidationError as error:
        raise invalid_request(error) from None
    raise unsupported_media_type()


def require_utf8(request: Request) -> None:
    """Raise a 415 `Problem` if the `Content-Type` of a form names another charset than UTF-8 or ASCII.

    In some charsets, such as UTF-7, a text may contain a lone surrogate. Answers are sent in UTF-8, which cannot encode
    a lone surrogate.
    """
    options = request.headers.get("content-type", "").split(";")[1:]
    named = [
        value for name, _, value in (option.partition("=") for option in options) if name.strip().lower() == "charset"
    ]
    if any(value.strip(' "').lower() not in _CHARSETS for value in named):
        detail = "the form is in another charset; send it in UTF-8"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)


@asynccontextmanager
async def form_of(request: Request, max_files: int, max_fields: int) -> AsyncIterator[FormData]:
    """Yield the fields and files of a form. Files of more than 1 MiB are kept on the disk until the `with` block ends.

    Raises a 503 `Problem` if the files cannot be written to the disk or read from it.
    """
    try:
        async with request.form(max_files=max_files, max_fields=max_fields) as data:
            yield data
    except OSError as error:
        detail = (
            f"the files of the request cannot be kept ({error.strerror or type(error).__name__}) while they are read; "
            f"check the disk of the service's folder {_folder()}"
        )
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-stored", detail, {"Retry-After": "60"}) from None


def _folder() -> str:
    """Return the path of the folder of temporary files, for an error message.

    If Python finds no folder for temporary files, return words in place of the path.
    """
    try:
        return tempfile.gettempdir()
    except OSError:
        return "of temporary files (TMPDIR)"


async def json_body(request: Request, model: type[M], may_be_empty: bool = False, most_marks: int = _MOST_MARKS) -> M:
    """Return the JSON body as an object of the class `model`. The body is parsed in a thread.

    With `may_be_empty`, an empty body stands for an object without fields.

    Raises a 422 `Problem` as soon as the body has more than `most_marks` of the characters in `_MARKS`: double quotes,
    commas and opening brackets. Raises a 422 `Problem` if the body is not valid JSON (see `_parsed`). Raises
    `ValidationError` if the body breaks the schema.

    Counting these characters limits the memory. Each unknown field is parsed and reported, so a body with very many
    fields would need a hundred times its size in memory.
    """
    chunks: list[bytes] = []
    marks = 0
    async for chunk in request.stream():
        marks += _count_marks(chunk)
        if marks > most_marks:
            detail = (
                f"body: it has more than {most_marks} double quotes, commas and opening brackets; send less at once"
            )
            raise invalid(detail, {"Connection": "close"})
        chunks.append(chunk)

    context = niches_of(request)

    def parse() -> M:
        text = b"".join(chunks)
        chunks.clear()
        return model.model_validate({} if may_be_empty and not text else _parsed("body", text), context=context)

    return await to_thread.run_sync(parse, limiter=request.app.state.parsing_limiter)


def json_field(field: str, text: str, model: type[M]) -> M:
    """Return the JSON text in a form field as an object of the class `model`.

    Raises a 422 `Problem` if the text has too many fields or is not valid JSON, and `ValidationError` if it breaks the
    schema.
    """
    encoded = text.encode(errors="replace")
    if _count_marks(encoded) > _MOST_MARKS:
        raise invalid(f"{field}: it has far more fields than a request can have")
    return model.model_validate(_parsed(field, encoded))


def _parsed(field: str, text: bytes) -> object:
    """Return the value of a JSON text.

    Raises a 422 `Problem` for a syntax error, for NaN and Infinity, and for arrays and objects that are nested in more
    than 200 levels. Also raises a 422 `Problem` for an object that has the same key twice, because programs disagree
    about which of the two values is valid.
    """
    try:
        return jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise invalid(f"{field}: Invalid JSON: {str(error)[:200]}") from None


def _count_marks(data: bytes) -> int:
    """Return how often the characters `_MARKS` occur in a part of a body."""
    return sum(map(data.count, _MARKS))


def fields_of(items: Sequence[tuple[str, object]], may_be_empty: Collection[str] = ()) -> dict[str, object]:
    """Return the fields of a form or a query. An empty field is left out if its name is in `may_be_empty`.

    A form cannot send null, so an empty field stands for null. Raises a 422 `Problem` if a field is given twice.
    """
    fields: dict[str, object] = {}
    for name, value in items:
        if name in fields:
            raise invalid(f"{name[:80]}: the field is given twice")
        fields[name] = value
    return {name: value for name, value in fields.items() if value != "" or name not in may_be_empty}


def files_of(name: str, values: Sequence[object], most: int) -> list[UploadFile]:
    """Return the uploaded files in the form field `name`.

    Raises a 422 `Problem` if the field has no file, more than `most` files, or a value that is not a file.
    """
    if not 1 <= len(values) <= most:
        raise invalid(f"{name}: send 1 to {most} files")
    uploads = [file for file in values if isinstance(file, UploadFile)]
    if len(uploads) != len(values):
        raise invalid(f"{name}: every part must be a file, with a file name")
    return uploads


async def source_of(id_: str, upload: UploadFile) -> Source:
    """Return the picture in an uploaded file. A file of more than `MAX_BYTES` is not read, and the returned source has
    an error.
    """
    if upload.size is not None and upload.size > MAX_BYTES:
        return Source(id_, error=too_long(upload.size))
    return Source(id_, data=await upload.read())

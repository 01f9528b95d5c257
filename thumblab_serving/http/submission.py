"""A scoring request off the wire: JSON or a form, told apart by its content type."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from thumblab_core.images import MAX_BYTES, too_long
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.http.problems import Problem, invalid
from thumblab_serving.schemas import CHANNEL, MAX_THUMBNAILS, ScoreForm, ScoreRequest
from thumblab_serving.scoring.intake import Source

_FILES = "thumbnails"
_MAY_BE_EMPTY = frozenset(name for name, field in ScoreForm.model_fields.items() if field.default is None)
_MARKS = (b'"', b",", b"[", b"{")
_MOST_MARKS = 100_000
"""Quotes, commas and brackets in a body: all ids, URLs and the title together have fewer characters."""


async def read(request: Request) -> tuple[ScoreForm, list[Source]]:
    """What is asked, and the thumbnails as they came. Raises a 4xx `Problem`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return await _json(request)
        if kind == "multipart/form-data":
            return await _form(request)
    except ValidationError as error:
        raise invalid(error) from None
    detail = "send application/json or multipart/form-data"
    raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)


async def _json(request: Request) -> tuple[ScoreForm, list[Source]]:
    # In a thread: parsing tens of megabytes of base64 would hold up every other request on the event loop.
    asked = await to_thread.run_sync(ScoreRequest.model_validate_json, await _text(request))
    return asked, [Source(t.id, base64=t.image_base64, url=t.url) for t in asked.thumbnails]


async def _text(request: Request) -> bytearray:
    """The body. Raises a 422 `Problem` as soon as it holds more fields than any request: they would cost a hundred times
    their size to parse and to report."""
    body, marks = bytearray(), 0
    async for chunk in request.stream():
        marks += sum(map(chunk.count, _MARKS))
        if marks > _MOST_MARKS:
            raise _refused("body: it has far more fields than a request can have", {"Connection": "close"})
        body += chunk
    return body


async def _form(request: Request) -> tuple[ScoreForm, list[Source]]:
    async with request.form(max_files=MAX_THUMBNAILS + 1, max_fields=8) as form:
        fields = _fields([(name, value) for name, value in form.multi_items() if name != _FILES])
        asked = ScoreForm.model_validate(fields)
        files = form.getlist(_FILES)
        if not 1 <= len(files) <= MAX_THUMBNAILS:
            raise _refused(f"{_FILES}: send 1 to {MAX_THUMBNAILS} files")
        uploads = [file for file in files if isinstance(file, UploadFile)]
        if len(uploads) != len(files):
            raise _refused(f"{_FILES}: every part must be a file, with a file name")
        names = _names([upload.filename for upload in uploads])
        return asked, [await _source(name, upload) for name, upload in zip(names, uploads, strict=True)]


def _fields(given: Sequence[tuple[str, object]]) -> dict[str, object]:
    """The fields of a form. It has no null: what may be null is left empty, as every page sends it."""
    fields = dict(given)
    if len(fields) != len(given):
        raise _refused("a field is given twice")
    return {name: value for name, value in fields.items() if value != "" or name not in _MAY_BE_EMPTY}


async def _source(name: str, upload: UploadFile) -> Source:
    if upload.size is not None and upload.size > MAX_BYTES:
        return Source(name, error=too_long(upload.size))
    return Source(name, data=await upload.read())


def _names(filenames: Sequence[str | None]) -> list[str]:
    """The file names as ids; all of them numbered instead where they would not tell the files apart."""
    if all(filenames) and len(set(filenames)) == len(filenames):
        return [str(name) for name in filenames]
    return [f"thumbnail-{number}" for number in range(1, len(filenames) + 1)]


def _refused(detail: str, headers: dict[str, str] | None = None) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, headers)


def documentation() -> dict[str, Any]:
    """The request body for OpenAPI."""
    form = ScoreForm.model_json_schema(ref_template="#/components/schemas/{model}")
    form.pop("$defs", None)
    form["properties"]["channel_id"] |= {"type": "string", "pattern": f"^({CHANNEL})?$"}
    for name in ("anyOf", "default"):
        form["properties"]["channel_id"].pop(name)
    form["properties"][_FILES] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_THUMBNAILS,
        "items": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
        "description": "JPEG, PNG or WebP files; their names are the ids.",
    }
    form["required"] = [*form["required"], _FILES]
    return {
        "required": True,
        "description": (
            f"At most {MAX_BODY // 2**20} MiB, and at most {MAX_THUMBNAILS} pictures of {MAX_BYTES} bytes; base64 makes a "
            "picture a third larger, so send large ones as files."
        ),
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}},
            "multipart/form-data": {"schema": form},
        },
    }

"""Read a scoring request. Its content type says whether it is JSON or a form."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from thumblab_core.images import MAX_BYTES, too_long
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.http.problems import Problem, invalid_request
from thumblab_serving.schemas.request import CHANNEL, MAX_THUMBNAILS, ScoreForm, ScoreRequest
from thumblab_serving.scoring.intake import Source

_FILES = "thumbnails"
"""Name of the form field that holds the picture files."""

_MAY_BE_EMPTY = frozenset(name for name, field in ScoreForm.model_fields.items() if field.default is None)

_MARKS = (b'"', b",", b"[", b"{")
_MOST_MARKS = 100_000
"""Maximum number of double quotes, commas and opening brackets in a JSON body.

A body with more of them is refused before it is parsed. In a valid request, the title, the ids and the URLs together
have fewer characters than this, and base64 contains none of these marks.
"""


async def read(request: Request) -> tuple[ScoreForm, list[Source]]:
    """Return the fields of a request, and its pictures as they were sent.

    Raises a 415 `Problem` if the request is neither JSON nor a form, and a 422 `Problem` if it breaks the schema.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return await _json(request)
        if kind == "multipart/form-data":
            return await _form(request)
    except ValidationError as error:
        raise invalid_request(error) from None
    detail = "send application/json or multipart/form-data"
    raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)


async def _json(request: Request) -> tuple[ScoreForm, list[Source]]:
    # The body is parsed in a thread. Parsing tens of megabytes of base64 on the event loop would delay all other
    # requests.
    form = await to_thread.run_sync(ScoreRequest.model_validate_json, await _body(request))
    return form, [Source(t.id, base64=t.image_base64, url=t.url) for t in form.thumbnails]


async def _body(request: Request) -> bytearray:
    """Return the body. Raises a 422 `Problem` as soon as it has more marks than any valid request.

    See `_MOST_MARKS`. Without this check, a body of very many fields would take a hundred times its size in memory. The
    reason is that each field is parsed and reported as unknown.
    """
    body, marks = bytearray(), 0
    async for chunk in request.stream():
        marks += sum(map(chunk.count, _MARKS))
        if marks > _MOST_MARKS:
            raise _invalid("body: it has far more fields than a request can have", {"Connection": "close"})
        body += chunk
    return body


async def _form(request: Request) -> tuple[ScoreForm, list[Source]]:
    async with request.form(max_files=MAX_THUMBNAILS + 1, max_fields=8) as data:
        fields = _fields([(name, value) for name, value in data.multi_items() if name != _FILES])
        form = ScoreForm.model_validate(fields)
        files = data.getlist(_FILES)
        if not 1 <= len(files) <= MAX_THUMBNAILS:
            raise _invalid(f"{_FILES}: send 1 to {MAX_THUMBNAILS} files")
        uploads = [file for file in files if isinstance(file, UploadFile)]
        if len(uploads) != len(files):
            raise _invalid(f"{_FILES}: every part must be a file, with a file name")
        ids = _ids([upload.filename for upload in uploads])
        return form, [await _source(id_, upload) for id_, upload in zip(ids, uploads, strict=True)]


def _fields(items: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return the fields of a form. A form cannot send null, so an empty field that may be null is left out.

    Raises a 422 `Problem` if a field is given twice.
    """
    fields = dict(items)
    if len(fields) != len(items):
        raise _invalid("a field is given twice")
    return {name: value for name, value in fields.items() if value != "" or name not in _MAY_BE_EMPTY}


async def _source(id_: str, upload: UploadFile) -> Source:
    if upload.size is not None and upload.size > MAX_BYTES:
        return Source(id_, error=too_long(upload.size))
    return Source(id_, data=await upload.read())


def _ids(filenames: Sequence[str | None]) -> list[str]:
    """Return the file names as ids. If a name is missing or not unique, return numbered ids for all files."""
    if all(filenames) and len(set(filenames)) == len(filenames):
        return [str(name) for name in filenames]
    return [f"thumbnail-{number}" for number in range(1, len(filenames) + 1)]


def _invalid(detail: str, headers: dict[str, str] | None = None) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, headers)


def documentation() -> dict[str, Any]:
    """Return the description of the request body for the OpenAPI document."""
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
            "picture a third larger, so send large pictures as files."
        ),
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}},
            "multipart/form-data": {"schema": form},
        },
    }

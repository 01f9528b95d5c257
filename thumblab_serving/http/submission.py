"""Read a scoring request. Its content type says whether it is JSON or a form."""

from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from fastapi import Request
from pydantic import ValidationError

from thumblab_core.images import MAX_BYTES
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.http.problems import invalid_request
from thumblab_serving.http.received import (
    content_type,
    fields_of,
    files_of,
    json_body,
    require_utf8,
    source_of,
    unsupported_media_type,
)
from thumblab_serving.schemas.request import CHANNEL_PATTERN, MAX_THUMBNAILS, ScoreForm, ScoreRequest
from thumblab_serving.scoring.intake import Source

_FILES = "thumbnails"
"""Name of the form field that holds the picture files."""

_MAY_BE_EMPTY = frozenset(name for name, field in ScoreForm.model_fields.items() if field.default is None)


async def read(request: Request) -> tuple[ScoreForm, list[Source]]:
    """Return the fields of a request, and its pictures as they were sent.

    Raises a 415 `Problem` if the request is neither JSON nor a form, and a 422 `Problem` if it breaks the schema.
    """
    kind = content_type(request)
    try:
        if kind == "application/json":
            return await _json(request)
        if kind == "multipart/form-data":
            require_utf8(request)
            return await _form(request)
    except ValidationError as error:
        raise invalid_request(error) from None
    raise unsupported_media_type()


async def _json(request: Request) -> tuple[ScoreForm, list[Source]]:
    # The body is parsed in a thread. Parsing tens of megabytes of base64 on the event loop would delay all other
    # requests.
    form = await to_thread.run_sync(ScoreRequest.model_validate_json, await json_body(request))
    return form, [Source(t.id, base64=t.image_base64, url=t.url) for t in form.thumbnails]


async def _form(request: Request) -> tuple[ScoreForm, list[Source]]:
    async with request.form(max_files=MAX_THUMBNAILS + 1, max_fields=8) as data:
        fields = fields_of([(name, value) for name, value in data.multi_items() if name != _FILES], _MAY_BE_EMPTY)
        form = ScoreForm.model_validate(fields)
        uploads = files_of(_FILES, data.getlist(_FILES), MAX_THUMBNAILS)
        ids = _ids([upload.filename for upload in uploads])
        return form, [await source_of(id_, upload) for id_, upload in zip(ids, uploads, strict=True)]


def _ids(filenames: Sequence[str | None]) -> list[str]:
    """Return the file names as ids. If a name is missing, not unique or not printable, return numbered ids for all."""
    if all(name and name.isprintable() for name in filenames) and len(set(filenames)) == len(filenames):
        return [str(name) for name in filenames]
    return [f"thumbnail-{number}" for number in range(1, len(filenames) + 1)]


def documentation() -> dict[str, Any]:
    """Return the description of the request body for the OpenAPI document."""
    form = ScoreForm.model_json_schema(ref_template="#/components/schemas/{model}")
    form.pop("$defs", None)
    form["properties"]["channel_id"] |= {"type": "string", "pattern": f"^$|{CHANNEL_PATTERN}"}
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

"""Read a scoring request. The content type of the request decides whether the body is read as JSON or as a form."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import Request

from thumblab_core.images import FORMAT_NAMES, MAX_BYTES
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.http.received import (
    fields_of,
    files_of,
    form_of,
    invalid,
    json_body,
    json_or_form,
    niches_of,
    source_of,
)
from thumblab_serving.schemas.item_id import is_item_id
from thumblab_serving.schemas.request import (
    CHANNEL_PATTERN,
    MAX_THUMBNAILS,
    MAX_TITLES,
    MOST_CATEGORIES,
    ScoreForm,
    ScoreRequest,
)
from thumblab_serving.schemas.strict import StrictModel
from thumblab_serving.schemas.title import MAX_TITLE, Title
from thumblab_serving.scoring.intake import Source

_FILES = "thumbnails"
"""Name of the form field that contains the picture files."""

_OWN_TITLES = "thumbnail_titles"
"""Name of the form field that contains a title for each picture file. An empty value means that the picture has no
title.
"""

_LISTS = ("titles", "categories")
"""Names of the form fields that contain lists. Each of these fields may be sent several times."""

_MOST_FIELDS = 8 + MAX_TITLES + MOST_CATEGORIES + MAX_THUMBNAILS

_MAY_BE_EMPTY = frozenset({"channel_id"})


class _Titles(StrictModel):
    """The titles that a form gives to individual pictures."""

    thumbnail_titles: list[Title | None]


async def read(request: Request) -> tuple[ScoreForm, list[Source]]:
    """Return the fields of a request, and its pictures as they were sent.

    Raises a 415 `Problem` if the request is neither JSON nor a form, and a 422 `Problem` if it breaks the schema.
    """
    return await json_or_form(request, _json, _form)


async def _json(request: Request) -> tuple[ScoreForm, list[Source]]:
    form = await json_body(request, ScoreRequest)
    return form, [Source(t.id, base64=t.image_base64, url=t.url, title=t.title) for t in form.thumbnails]


async def _form(request: Request) -> tuple[ScoreForm, list[Source]]:
    async with form_of(request, max_files=MAX_THUMBNAILS + 1, max_fields=_MOST_FIELDS) as data:
        single = [(name, value) for name, value in data.multi_items() if name not in (_FILES, _OWN_TITLES, *_LISTS)]
        lists = {name: data.getlist(name) for name in _LISTS if name in data}
        form = ScoreForm.model_validate(fields_of(single, _MAY_BE_EMPTY) | lists, context=niches_of(request))
        uploads = files_of(_FILES, data.getlist(_FILES), MAX_THUMBNAILS)
        ids = _ids([upload.filename for upload in uploads])
        titles = _own_titles(data.getlist(_OWN_TITLES), len(uploads))
        sources = [await source_of(id_, upload) for id_, upload in zip(ids, uploads, strict=True)]
        return form, [replace(source, title=title) for source, title in zip(sources, titles, strict=True)]


def _own_titles(values: Sequence[object], count: int) -> list[str | None]:
    """Return the title that a form gives to each of its `count` pictures. An empty value means that the picture has no
    title.

    Raises a 422 `Problem` if the field is given, but not once for each picture. Raises `ValidationError` for a bad
    title.
    """
    if not values:
        return [None] * count
    if len(values) != count:
        raise invalid(
            f"{_OWN_TITLES}: {len(values)} titles are sent for {count} files; send one title for each file; a title may be "
            "empty"
        )
    checked = _Titles.model_validate({_OWN_TITLES: [None if value == "" else value for value in values]})
    return list(checked.thumbnail_titles)


def _ids(filenames: Sequence[str | None]) -> list[str]:
    """Return the file names as ids. If a name is missing, not unique or not a valid id, return numbered ids for all
    files.
    """
    if all(name and is_item_id(name) for name in filenames) and len(set(filenames)) == len(filenames):
        return [str(name) for name in filenames]
    return [f"thumbnail-{number}" for number in range(1, len(filenames) + 1)]


def documentation() -> dict[str, Any]:
    """Describe the request body as the OpenAPI document needs it."""
    form = ScoreForm.model_json_schema(ref_template="#/components/schemas/{model}")
    form.pop("$defs", None)
    for name in ("title", "titles", "categories", "channel_id"):
        # The schema allows null for a missing field. A form cannot send null, so remove null from the schema.
        field = form["properties"][name]
        form["properties"][name] = field.pop("anyOf")[0] | {key: field[key] for key in field if key != "default"}
    form["properties"]["channel_id"]["pattern"] = f"^$|{CHANNEL_PATTERN}"
    form["properties"][_OWN_TITLES] = {
        "type": "array",
        "maxItems": MAX_THUMBNAILS,
        "items": {"type": "string", "maxLength": MAX_TITLE},
        "description": "The own title of each picture, in the order of the files. Empty if a picture has none.",
    }
    form["properties"][_FILES] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_THUMBNAILS,
        "items": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
        "description": (
            f"{FORMAT_NAMES} files. Their names are the ids. If a name is missing, occurs twice or cannot be an id, all ids "
            "are numbered: `thumbnail-1` and so on."
        ),
    }
    form["required"] = [*form.get("required", ()), _FILES]
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

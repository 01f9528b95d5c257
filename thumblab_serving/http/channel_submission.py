"""Read a request that adds a channel: a form with the exports of YouTube Studio."""

from typing import Any

from fastapi import Request
from pydantic import RootModel, ValidationError

from thumblab_serving.http.problems import invalid_request
from thumblab_serving.http.queries import path_documentation
from thumblab_serving.http.received import (
    content_type,
    fields_of,
    files_of,
    form_of,
    invalid,
    json_field,
    niches_of,
    require_utf8,
    unsupported_media_type,
)
from thumblab_serving.schemas.channels import MOST_EXPORT_BYTES, MOST_EXPORTS, ExportsForm

ID_DOCUMENTATION = path_documentation("import_id", "The id of the import.", pattern="^[0-9a-f]{32}$")

_FILES, _COLUMNS = "exports", "columns"
_FORM = "multipart/form-data"
_EXAMPLE = '{"rate": "Click rate (%)"}'

Exports = list[tuple[str | None, bytes]]
"""Exports, each with the name of its file."""


class _Columns(RootModel[dict[str, object]]):
    """The value of the field `columns`, which is JSON."""


async def read(request: Request) -> tuple[ExportsForm, Exports]:
    """Return the fields of a request, and its exports.

    Raises a 415 `Problem` if the request is not a form, and a 422 `Problem` if it breaks the schema.
    """
    if content_type(request) != _FORM:
        raise unsupported_media_type(_FORM)
    require_utf8(request)
    async with form_of(request, max_files=MOST_EXPORTS + 1, max_fields=8) as data:
        fields = fields_of([(name, value) for name, value in data.multi_items() if name != _FILES])
        if isinstance(columns := fields.get(_COLUMNS), str):
            fields[_COLUMNS] = _columns(columns)
        try:
            form = ExportsForm.model_validate(fields, context=niches_of(request))
        except ValidationError as error:
            raise invalid_request(error) from None
        uploads = files_of(_FILES, data.getlist(_FILES), MOST_EXPORTS)
        size = sum(upload.size or 0 for upload in uploads)
        if size > MOST_EXPORT_BYTES:
            raise invalid(
                f"{_FILES}: the files have {size / 2**20:.0f} MiB; send at most {MOST_EXPORT_BYTES // 2**20} MiB at once"
            )
        return form, [(upload.filename, await upload.read()) for upload in uploads]


def _columns(text: str) -> dict[str, object]:
    try:
        return json_field(_COLUMNS, text, _Columns).root
    except ValidationError:
        raise invalid(f"{_COLUMNS}: send a JSON object, such as {_EXAMPLE}") from None


def documentation() -> dict[str, Any]:
    """Describe the request body as the OpenAPI document needs it."""
    form = ExportsForm.model_json_schema(ref_template="#/components/schemas/{model}")
    form.pop("$defs", None)
    for name in ("name", "niche"):
        # The schema allows null for a missing field. A form cannot send null, so remove null from the schema.
        field = form["properties"][name]
        form["properties"][name] = field.pop("anyOf")[0] | {key: field[key] for key in field if key != "default"}
    columns = form["properties"][_COLUMNS]
    description = f"{columns.pop('description')} A JSON object, such as {_EXAMPLE}."
    form["properties"][_COLUMNS] = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {key: columns[key] for key in columns if key != "default"},
        "description": description,
    }
    form["properties"][_FILES] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_EXPORTS,
        "items": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
        "description": "Exports of one channel: the .zip or .csv files that YouTube Studio made, in any language.",
    }
    form["required"] = [_FILES]
    return {
        "required": True,
        "description": f"At most {MOST_EXPORTS} files, and {MOST_EXPORT_BYTES // 2**20} MiB of files together.",
        "content": {_FORM: {"schema": form}},
    }

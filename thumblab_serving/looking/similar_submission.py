"""Read a request for similar thumbnails: a query string, JSON, or a form with a picture file."""

from typing import Any

from fastapi import Request

from thumblab_core.images import FORMAT_NAMES, MAX_BYTES
from thumblab_serving.http.queries import query_of
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
from thumblab_serving.looking.queries import Asked
from thumblab_serving.looking.similar_request import SimilarForm, SimilarPictureForm, SimilarQuery, SimilarRequest
from thumblab_serving.schemas.request import CHANNEL_PATTERN
from thumblab_serving.scoring.intake import Source

_PICTURE = "picture"
"""Name of the form field that contains the picture file."""

_MOST_FIELDS = len(SimilarForm.model_fields)


def read_query(request: Request) -> Asked:
    """Return the request from the query parameters of a `GET`. Raises a 422 `Problem` if they break the schema."""
    query = query_of(request, SimilarQuery)
    return Asked(query, video_id=query.video_id)


async def read_body(request: Request) -> Asked:
    """Return the request in a body.

    Raises a 415 `Problem` if the body is neither JSON nor a form, and a 422 `Problem` if the body breaks the schema.
    """
    return await json_or_form(request, _of_json, _of_form)


def asked_of(body: SimilarRequest) -> Asked:
    """Return the request that a JSON body contains."""
    picture = None
    if body.url is not None:
        picture = Source("url", url=body.url)
    elif body.image_base64 is not None:
        picture = Source("image_base64", base64=body.image_base64)
    return Asked(body, body.video_id, body.text, body.text_by, body.vector, picture)


async def _of_json(request: Request) -> Asked:
    return asked_of(await json_body(request, SimilarRequest))


async def _of_form(request: Request) -> Asked:
    async with form_of(request, max_files=2, max_fields=_MOST_FIELDS) as data:
        fields = [(name, value) for name, value in data.multi_items() if name != _PICTURE]
        form = SimilarPictureForm.model_validate(
            fields_of(fields, SimilarForm.model_fields), context=niches_of(request)
        )
        if len(data.getlist(_PICTURE)) != 1:
            raise invalid(f"{_PICTURE}: send one picture file")
        (upload,) = files_of(_PICTURE, data.getlist(_PICTURE), 1)
        return Asked(form, picture=await source_of(_PICTURE, upload))


def query_documentation() -> list[dict[str, Any]]:
    """Describe the query parameters of a `GET` request as the OpenAPI document needs them."""
    properties = _without_null(SimilarQuery)
    return [
        {
            "name": name,
            "in": "query",
            "required": name == "video_id",
            "description": schema.pop("description"),
            "schema": schema,
        }
        for name, schema in properties.items()
    ]


def body_documentation() -> dict[str, Any]:
    """Describe the body of a `POST` request as the OpenAPI document needs it."""
    properties = _without_null(SimilarForm)
    properties["exclude_channel"]["pattern"] = f"^$|{CHANNEL_PATTERN}"
    properties[_PICTURE] = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "format": "binary",
        "description": f"A {FORMAT_NAMES} file of at most {MAX_BYTES} bytes.",
    }
    form = {"type": "object", "additionalProperties": False, "required": [_PICTURE], "properties": properties}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SimilarRequest"}},
            "multipart/form-data": {"schema": form},
        },
    }


def _without_null(model: type[SimilarForm]) -> dict[str, dict[str, Any]]:
    """Return the fields of a model as JSON schemas without null. A form or a query cannot send null, so a client leaves
    out a field without a value.
    """
    properties: dict[str, dict[str, Any]] = model.model_json_schema(ref_template="#/components/schemas/{model}")[
        "properties"
    ]
    for name, described in properties.items():
        if "anyOf" in described:
            kept = {key: described[key] for key in described if key not in ("anyOf", "default")}
            properties[name] = described["anyOf"][0] | kept
    return properties

"""Read a request that stores an experiment. The content type of the request decides whether the body is read as JSON or
as a form.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from thumblab_core.experiments.records import LEAST_VARIANTS, MOST_VARIANTS, GivenExperiment, GivenVariant
from thumblab_core.images import FORMAT_NAMES, MAX_BYTES
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.http.received import (
    fields_of,
    files_of,
    form_of,
    invalid,
    json_body,
    json_field,
    json_or_form,
    source_of,
)
from thumblab_serving.schemas.experiments import ExperimentRequest, VariantIn
from thumblab_serving.scoring.intake import Source

_FACTS, _FILES = "experiment", "pictures"
"""Names of the two form fields: one contains the experiment as JSON, and the other contains the picture files."""


async def read(request: Request) -> GivenExperiment[Source]:
    """Return the experiment of a request, with its pictures as they were sent.

    Raises a 415 `Problem` if the request is neither JSON nor a form, and a 422 `Problem` if it breaks the schema.
    """
    return await json_or_form(request, _json, _form)


def documentation() -> dict[str, Any]:
    """Describe the request body as the OpenAPI document needs it."""
    form = {
        "type": "object",
        "additionalProperties": False,
        "required": [_FACTS, _FILES],
        "properties": {
            _FACTS: {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/ExperimentRequest"},
                "description": "The experiment as JSON, with neither `url` nor `image_base64` in its variants.",
            },
            _FILES: {
                "type": "array",
                "minItems": LEAST_VARIANTS,
                "maxItems": MOST_VARIANTS,
                "items": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
                "description": f"{FORMAT_NAMES} files, one for each variant, in the order of the variants.",
            },
        },
    }
    return {
        "required": True,
        "description": f"At most {MAX_BODY // 2**20} MiB, and at most {MOST_VARIANTS} pictures of {MAX_BYTES} bytes.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ExperimentRequest"}},
            "multipart/form-data": {"schema": form},
        },
    }


async def _json(request: Request) -> GivenExperiment[Source]:
    body = await json_body(request, ExperimentRequest)
    return _given(body, [_source(position, variant) for position, variant in enumerate(body.variants)])


async def _form(request: Request) -> GivenExperiment[Source]:
    async with form_of(request, max_files=MOST_VARIANTS + 1, max_fields=8) as data:
        unknown = sorted(set(data) - {_FACTS, _FILES})
        if unknown:
            raise invalid(f"{unknown[0][:80]}: there is no such field; the fields are {_FACTS}, {_FILES}")
        fields = fields_of([(name, value) for name, value in data.multi_items() if name != _FILES])
        text = fields.get(_FACTS)
        if not isinstance(text, str):
            raise invalid(f"{_FACTS}: send the experiment as JSON, in a field without a file name")
        body = json_field(_FACTS, text, ExperimentRequest)
        files = data.getlist(_FILES)
        if not files:
            raise invalid(
                f"{_FILES}: no file is sent; send one for each variant, or send a test of titles as application/json"
            )
        uploads = files_of(_FILES, files, MOST_VARIANTS)
        if len(uploads) != len(body.variants):
            raise invalid(
                f"{_FILES}: {len(uploads)} files are sent for {len(body.variants)} variants; send one file for each variant"
            )
        named = [at for at, v in enumerate(body.variants) if v.url is not None or v.image_base64 is not None]
        if named:
            raise invalid(f"variants.{named[0]}: its picture is sent as a file; leave out url and image_base64")
        return _given(body, [await source_of(str(at), upload) for at, upload in enumerate(uploads)])


def _source(position: int, variant: VariantIn) -> Source | None:
    if variant.url is None and variant.image_base64 is None:
        return None
    return Source(str(position), base64=variant.image_base64, url=variant.url)


def _given(body: ExperimentRequest, sources: Sequence[Source | None]) -> GivenExperiment[Source]:
    variants = [
        GivenVariant(source, variant.title, variant.watch_time_share, variant.impressions)
        for source, variant in zip(sources, body.variants, strict=True)
    ]
    return GivenExperiment(
        channel=body.channel_id,
        video_id=body.video_id,
        started_on=body.started_on,
        outcome=body.outcome,
        variants=variants,
        ended_on=body.ended_on,
        winner=body.winner,
    )

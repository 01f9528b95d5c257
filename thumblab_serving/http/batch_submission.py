"""Read the requests of `/v1/batches`."""

from typing import Any

from fastapi import Request
from pydantic import ValidationError

from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.http.problems import invalid_request
from thumblab_serving.http.queries import path_documentation, query_documentation, query_of
from thumblab_serving.http.received import content_type, invalid, json_body, unsupported_media_type
from thumblab_serving.schemas.batches import BatchesQuery, BatchRequest, ResultsQuery

ID_DOCUMENTATION = path_documentation("batch_id", "The id of the batch.", pattern="^[0-9a-f]{32}$")

_KEY = "Idempotency-Key"
_LONGEST_KEY = 255

_MOST_MARKS = 500_000
"""Maximum number of double quotes, commas and opening brackets in a batch (see `json_body`).

The JSON of the largest batch needs 136,000 of these characters: up to 72 for each item with ten titles and seven
niches, and 16 for each picture. The other 364,000 characters may occur in texts: 26 in each of the 14,000 titles that a
batch may have.
"""


async def read(request: Request) -> tuple[BatchRequest, str | None]:
    """Return the batch of a request and its idempotency key.

    Raises a 415 `Problem` if the request is not JSON, and a 422 `Problem` if it breaks the schema.
    """
    if content_type(request) != "application/json":
        raise unsupported_media_type("application/json")
    key = request.headers.get(_KEY)
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise invalid(f"{_KEY}: send 1 to {_LONGEST_KEY} printable ASCII characters")
    try:
        return await json_body(request, BatchRequest, most_marks=_MOST_MARKS), key
    except ValidationError as error:
        raise invalid_request(error) from None


def results_query(request: Request) -> ResultsQuery:
    """Return the query parameters of a request for results. Raises a 422 `Problem` if they break the schema."""
    return query_of(request, ResultsQuery)


def documentation() -> dict[str, Any]:
    """Describe a request that stores a batch, as the OpenAPI document needs it."""
    key = {
        "name": _KEY,
        "in": "header",
        "required": False,
        "description": (
            "A text of your choice, such as a UUID. If you send the same request with the same key again, the batch is "
            "stored once."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST_KEY, "pattern": "^[ -~]+$"},
    }
    body = {
        "required": True,
        "description": f"At most {MAX_BODY // 2**20} MiB. Send many or large pictures by URL, or in several batches.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BatchRequest"}}},
    }
    return {"parameters": [key], "requestBody": body}


def list_query(request: Request) -> BatchesQuery:
    """Return the query parameters of a request for the list of batches.

    Raises a 422 `Problem` if they break the schema.
    """
    return query_of(request, BatchesQuery)


def list_documentation() -> list[dict[str, Any]]:
    """Describe the query parameters of a request for the list of batches, as the OpenAPI document needs them."""
    return query_documentation(BatchesQuery)


def results_documentation() -> list[dict[str, Any]]:
    """Describe the path and query parameters of a request for results, as the OpenAPI document needs them."""
    return [ID_DOCUMENTATION, *query_documentation(ResultsQuery)]

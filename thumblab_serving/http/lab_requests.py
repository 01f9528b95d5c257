"""Read the requests to `/internal` and `/admin`, whose JSON body is optional. Describe these requests for the OpenAPI
document.
"""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from thumblab_serving.http.problems import invalid_request
from thumblab_serving.http.queries import query_documentation
from thumblab_serving.http.received import content_type, json_body, unsupported_media_type
from thumblab_serving.schemas.strict import StrictModel

T = TypeVar("T", bound=StrictModel)


async def body_of(request: Request, model: type[T]) -> T:
    """Return the body of a request as a `model`. An empty body stands for an object without fields.

    Raises a 415 `Problem` if the body is not JSON, and a 422 `Problem` if it breaks the schema.
    """
    has_body = "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
    if has_body and content_type(request) != "application/json":
        raise unsupported_media_type("application/json")
    try:
        return await json_body(request, model, may_be_empty=True)
    except ValidationError as error:
        raise invalid_request(error) from None


def documentation(body: type[StrictModel], query: type[StrictModel], required: bool = False) -> dict[str, Any]:
    """Describe a body and query parameters as the OpenAPI document needs them.

    `app.py` adds the schema of the body.
    """
    return {
        "requestBody": {
            "required": required,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}},
        },
        "parameters": query_documentation(query),
    }

"""Read the query parameters of a request. Describe the query and path parameters for the OpenAPI document."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from thumblab_serving.http.problems import invalid_request
from thumblab_serving.http.received import fields_of, niches_of
from thumblab_serving.schemas.strict import StrictModel

T = TypeVar("T", bound=StrictModel)


def query_of(request: Request, model: type[T]) -> T:
    """Return the query parameters of a request as a `model`. Raises a 422 `Problem` if they break the schema."""
    try:
        return model.model_validate(fields_of(request.query_params.multi_items()), context=niches_of(request))
    except ValidationError as error:
        raise invalid_request(error) from None


def lists_in_query(request: Request, model: type[T]) -> T:
    """Return the query parameters of a request as a `model`. All fields of `model` are lists. A query repeats the name
    of a field for each value, as in `ids=a&ids=b`.

    Raises a 422 `Problem` if the query breaks the schema.
    """
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        given.setdefault(name, []).append(value)
    try:
        return model.model_validate(given, context=niches_of(request))
    except ValidationError as error:
        raise invalid_request(error) from None


def query_documentation(model: type[StrictModel]) -> list[dict[str, Any]]:
    """Describe the query parameters as the OpenAPI document needs them. Every field of `model` is optional."""
    properties = model.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": schema}
        for name, schema in properties.items()
    ]


def path_documentation(name: str, description: str | None = None, **schema: Any) -> dict[str, Any]:
    """Describe a text parameter in the path, as the OpenAPI document needs it. `schema` says which texts are valid."""
    described = {} if description is None else {"description": description}
    return {"name": name, "in": "path", "required": True, **described, "schema": {"type": "string", **schema}}

"""Test that the OpenAPI document states a lower and an upper limit for each number in a request body."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thumblab_core.settings import Settings
from thumblab_serving.app import create_app

BODIES = (
    "BatchRequest",
    "ExperimentRequest",
    "VariantIn",
    "RebuildRequest",
    "ClusterFacesRequest",
    "TrainFacesRequest",
    "UndoRequest",
)
"""The names of the request bodies that contain whole numbers."""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("lab")
    document = create_app(Settings(_env_file=None, data_dir=folder, api_key="unused")).openapi()
    found: dict[str, Any] = document["components"]["schemas"]
    return found


def numbers(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema of each number that the field accepts."""
    for part in field.get("anyOf", [field]):
        if part.get("type") in ("integer", "number"):
            yield part


@pytest.mark.parametrize("body", BODIES)
def test_each_number_of_a_body_has_both_limits(schemas: dict[str, Any], body: str) -> None:
    found = [number for field in schemas[body]["properties"].values() for number in numbers(field)]
    assert found
    for number in found:
        assert {"minimum", "exclusiveMinimum"} & set(number), number
        assert {"maximum", "exclusiveMaximum"} & set(number), number


def test_the_limits_are_those_that_are_checked(schemas: dict[str, Any]) -> None:
    (winner,) = numbers(schemas["ExperimentRequest"]["properties"]["winner"])
    (dim,) = numbers(schemas["RebuildRequest"]["properties"]["dim"])
    (deadline,) = numbers(schemas["BatchRequest"]["properties"]["deadline_s"])
    assert (winner["minimum"], winner["maximum"]) == (1, 3)
    assert (dim["minimum"], dim["maximum"]) == (1, 65_536)
    assert (deadline["minimum"], deadline["maximum"]) == (1, 7 * 24 * 3600)

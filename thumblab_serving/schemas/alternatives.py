"""Say in the JSON schema of a model that two of its fields exclude each other.

The conditions stand under `allOf`, where tools that generate clients ignore them. Beside `properties`, such tools would
make a class of each condition.
"""

from typing import Any


def not_both(first: str, second: str) -> dict[str, Any]:
    """Return a part of a JSON schema: at most one of the two fields has a text."""
    return {"allOf": [{"anyOf": [{"properties": {name: {"type": "null"}}} for name in (first, second)]}]}


def exactly_one(first: str, second: str, second_is: str = "string") -> dict[str, Any]:
    """Return a part of a JSON schema: either the first field has a text, or the second a value of type `second_is`."""
    types = {first: "string", second: second_is}
    given = [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in types.items()]
    return {"allOf": [{"oneOf": given}]}


def not_with(default: str, several: str) -> dict[str, Any]:
    """Return a part of a JSON schema: the field `default` is left out if the field `several` has a list."""
    return {"allOf": [{"anyOf": [{"not": {"required": [default]}}, {"properties": {several: {"type": "null"}}}]}]}


def all_of(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a JSON schema in which all conditions of the parts hold."""
    return {"allOf": [condition for part in parts for condition in part["allOf"]]}

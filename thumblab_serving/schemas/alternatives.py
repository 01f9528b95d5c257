"""Say in the JSON schema of a model that two of its fields exclude each other.

The conditions stand under `allOf`, where tools that generate clients ignore them. Beside `properties`, such tools would
make a class of each condition.
"""

from typing import Any


def not_both(first: str, second: str) -> dict[str, Any]:
    """Return a part of a JSON schema: at most one of the two fields has a text."""
    return {"allOf": [{"anyOf": [{"properties": {name: {"type": "null"}}} for name in (first, second)]}]}


def exactly_one(first: str, second: str) -> dict[str, Any]:
    """Return a part of a JSON schema: exactly one of the two fields has a text."""
    has_text = [{"required": [name], "properties": {name: {"type": "string"}}} for name in (first, second)]
    return {"allOf": [{"oneOf": has_text}]}

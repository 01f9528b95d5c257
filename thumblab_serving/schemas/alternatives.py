"""Make parts of JSON schemas for models whose fields depend on each other, for example because they exclude each other.

Each part is a condition for the schema's `allOf`, where tools that generate clients ignore conditions. If conditions
were on the same level as `properties`, such tools would make a separate class for each condition. The conditions do not
use `not` and `oneOf`, because Schemathesis cannot check these keywords for a form with files.
"""

from typing import Any


def not_both(first: str, second: str) -> dict[str, Any]:
    """Return a part of a JSON schema in which at most one of two fields is given. A field that is not given is null or
    left out.
    """
    return {"allOf": [{"anyOf": [{"properties": {name: {"type": "null"}}} for name in (first, second)]}]}


def exactly_one(
    first: str, second: str, first_is: str | list[str] = "string", second_is: str = "string"
) -> dict[str, Any]:
    """Return a part of a JSON schema in which exactly one of two fields is given.

    If the first field is given, it has the type `first_is`. If the second field is given, it has the type `second_is`.
    """
    return exactly_one_of(**{first: first_is, second: second_is})


def exactly_one_of(**types: str | list[str]) -> dict[str, Any]:
    """Return a part of a JSON schema in which exactly one of the fields is given. `types` maps the name of each field to
    the type of the field.
    """
    given = [
        {"required": [name], "properties": {other: {"type": "null"} for other in types} | {name: {"type": kind}}}
        for name, kind in types.items()
    ]
    return {"allOf": [{"anyOf": given}]}


def at_least_one(*lists: str) -> dict[str, Any]:
    """Return a part of a JSON schema in which at least one of the lists is given and not empty."""
    return {"allOf": [{"anyOf": [{"required": [name], "properties": {name: {"minItems": 1}}} for name in lists]}]}


def all_of(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a JSON schema in which all conditions of the parts hold."""
    return {"allOf": [condition for part in parts for condition in part["allOf"]]}

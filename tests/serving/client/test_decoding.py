"""Test how answers become dataclasses.

The client ignores fields that a newer service adds, and refuses an answer that lacks a field.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pytest

from thumblab_client.decoding import decode
from thumblab_client.errors import UnexpectedAnswerError


@dataclass(frozen=True, kw_only=True)
class Part:
    name: str
    share: float | None


@dataclass(frozen=True, kw_only=True)
class Whole:
    parts: list[Part]
    by_name: dict[str, Part]
    kind: Literal["old", "new"]
    day: date
    count: int = 0
    more: list[str] = field(default_factory=list)


GOOD: dict[str, Any] = {"parts": [{"name": "a", "share": 1}], "by_name": {}, "kind": "old", "day": "2026-11-01"}


def test_fields_and_values_of_a_newer_service_are_no_error() -> None:
    whole = decode(Whole, GOOD | {"kind": "newer", "added": {"x": 1}})
    assert whole.kind == "newer"
    assert whole.parts == [Part(name="a", share=1.0)]
    assert whole.day == date(2026, 11, 1)
    assert (whole.count, whole.more) == (0, [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"parts": [{"name": "a"}]}, "parts.0.share is missing"),
        ({"parts": [{"name": None, "share": 1}]}, "parts.0.name is null"),
        ({"parts": {}}, "parts is a value of the type dict"),
        ({"by_name": {"b": 1}}, "by_name.b is a value of the type int"),
        ({"count": True}, "count is a value of the type bool"),
        ({"count": "3"}, "count is a value of the type str"),
        ({"kind": 3}, "kind is a value of the type int"),
        ({"day": "yesterday"}, "day is not a date in the form of ISO 8601"),
        ({"parts": [{"name": "a", "share": "1"}]}, "parts.0.share is a value of the type str"),
    ],
)
def test_a_field_of_another_type_is_named(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match=expected):
        decode(Whole, GOOD | change)


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_document_that_is_not_an_object_is_refused(document: object) -> None:
    with pytest.raises(UnexpectedAnswerError, match="the answer is"):
        decode(Whole, document)

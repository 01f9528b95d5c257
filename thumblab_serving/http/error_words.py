"""Describe in the lab's own words what is wrong with a field of a request. pydantic's messages are not used, because
they name pydantic's internal types and patterns.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

_OTHER = "the value does not have the documented form"

_SENTENCES: Mapping[str, str | Callable[[dict[str, Any]], str]] = {
    "missing": "the field is missing",
    "model_type": "send an object",
    "model_attributes_type": "send an object",
    "dict_type": "send an object",
    "list_type": "send a list",
    "string_type": "send a text",
    "string_unicode": "send a text in UTF-8",
    "string_too_short": lambda limits: f"send at least {_count(limits['min_length'], 'character')}",
    "string_too_long": lambda limits: f"send at most {_count(limits['max_length'], 'character')}",
    "string_pattern_mismatch": "the text has characters that are not allowed here",
    "too_short": lambda limits: f"send at least {limits['min_length']}; {limits['actual_length']} were sent",
    "too_long": lambda limits: f"send at most {limits['max_length']}; {limits['actual_length'] or 'more'} were sent",
    "int_type": "send a whole number, without quotation marks",
    "int_parsing": "send a whole number",
    "int_from_float": "send a whole number",
    "int_parsing_size": "send a smaller number",
    "float_type": "send a number, without quotation marks",
    "float_parsing": "send a number",
    "finite_number": "send a finite number",
    "greater_than": lambda limits: f"send a number above {limits['gt']:.15g}",
    "greater_than_equal": lambda limits: f"send a number of at least {limits['ge']:.15g}",
    "less_than": lambda limits: f"send a number below {limits['lt']:.15g}",
    "less_than_equal": lambda limits: f"send a number of at most {limits['le']:.15g}",
    "bool_type": "send true or false",
    "bool_parsing": "send true or false",
    "enum": lambda limits: f"send one of {limits['expected']}",
    "literal_error": lambda limits: f"send one of {limits['expected']}",
    "date_parsing": "this is not a day of the calendar; write it as YYYY-MM-DD",
    "date_from_datetime_parsing": "this is not a day of the calendar; write it as YYYY-MM-DD",
}
"""For each type of error that pydantic raises, the lab's own text. A function gets the limits of the field and returns
the text."""


def in_words(error: ErrorDetails) -> str:
    """Return a message that says what is wrong and what to send instead. The message does not repeat the value that was
    sent.

    The messages of the lab's own validators are returned unchanged. An error of an unknown type gets a general
    sentence.
    """
    kind = error["type"]
    if kind in ("value_error", "unknown_field"):
        return error["msg"].removeprefix("Value error, ")
    sentence = _SENTENCES.get(kind, _OTHER)
    return sentence if isinstance(sentence, str) else sentence(error.get("ctx", {}))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

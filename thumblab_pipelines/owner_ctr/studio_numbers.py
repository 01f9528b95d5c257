"""Parse the numbers of a Studio export. If a spreadsheet has saved the export, the numbers may be in the notation of
the user's country, such as 4,2 for 4.2.

`count` and `number` raise `ValueError` if a cell is not such a number. The message is shown to the person who imports
the export.
"""

import re
from collections.abc import Iterable

_GROUPED = re.compile(r"[0-9]{1,3}(?:G[0-9]{2,3})*G[0-9]{3}|[0-9]+")
"""Regular expression for a whole number. `G` stands for the thousands separator. Numbers in the Indian notation have
groups of two digits, such as 1,00,95,064."""

_SPACES = re.compile("(?<=[0-9])[ \u00a0\u202f\u2009'\u2019](?=[0-9])")
"""Regular expression for spaces and apostrophes between digits. Some countries use them as thousands separators."""

_CLOCK = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,3}):([0-9]{2})")
_NOTHING = {"", "-", "–", "—", "nan", "null", "n/a"}


def is_nothing(cell: str) -> bool:
    """Return whether the cell is empty or holds a placeholder for a missing number."""
    return cell.casefold() in _NOTHING


def has_decimal_commas(rates: Iterable[str]) -> bool:
    """Return whether these percentages are written like 4,2 and not like 4.2.

    This is the case if they contain a comma and no point. A percentage is below 1,000 and needs no thousands separator,
    so a comma in it can only be a decimal comma.
    """
    text = "".join(rates)
    return "," in text and "." not in text


def count(cell: str, name: str, decimal_commas: bool) -> int:
    """Parse a count, with or without thousands separators. `name` is what the message of an error calls the number."""
    value = number(cell, name, decimal_commas)
    if not value < 2**53 or value != int(value):
        raise ValueError(f"{name} {cell[:40]} is not a count")
    return int(value)


def number(cell: str, name: str, decimal_commas: bool) -> float:
    """Parse a number of 0 or more. `name` is what the message of an error calls the number."""
    if is_nothing(cell):
        raise ValueError(f"has no {name}")
    value = _read(cell, decimal_commas)
    if value is None and cell.startswith(("-", "−")) and _read(cell[1:], decimal_commas) is not None:
        raise ValueError(f"{name} {cell[:40]} is negative")
    if value is None and re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+", cell):
        raise ValueError(f"{name} {cell[:40]} was rounded by a spreadsheet; import the file as YouTube Studio gave it")
    if value is None:
        raise ValueError(f"{name} {cell[:40]!r} is not a number")
    return value


def seconds(cell: str, decimal_commas: bool) -> float | None:
    """Parse a duration in seconds or in a form such as 1:02:03, and return it in seconds.

    Return None if the cell cannot be read.
    """
    if clock := _CLOCK.fullmatch(cell):
        hours, minutes, remainder = (int(part or 0) for part in clock.groups())
        return (hours * 60 + minutes) * 60 + remainder
    return _read(cell, decimal_commas)


def _read(cell: str, decimal_commas: bool) -> float | None:
    """Return the number in a cell. Return None unless the cell is a number of 0 or more without an exponent."""
    decimal_mark, separator = (",", ".") if decimal_commas else (".", ",")
    whole, _, decimals = _SPACES.sub("", cell).partition(decimal_mark)
    grouped = _GROUPED.pattern.replace("G", re.escape(separator))
    if not re.fullmatch(grouped, whole) or not re.fullmatch("[0-9]*", decimals):
        return None
    return float(f"{whole.replace(separator, '')}.{decimals or 0}")

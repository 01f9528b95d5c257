"""Numbers of a Studio export, also as a spreadsheet of any country saved them. Each raises `ValueError` with a sentence."""

import re
from collections.abc import Iterable

_GROUPED = re.compile(r"[0-9]{1,3}(?:G[0-9]{2,3})*G[0-9]{3}|[0-9]+")
_SPACES = re.compile("(?<=[0-9])[ \u00a0\u202f\u2009'\u2019](?=[0-9])")
_CLOCK = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,3}):([0-9]{2})")
_NOTHING = {"", "-", "–", "—", "nan", "null", "n/a"}


def is_nothing(cell: str) -> bool:
    """Whether the cell has no figure."""
    return cell.casefold() in _NOTHING


def has_decimal_commas(rates: Iterable[str]) -> bool:
    """Whether a table of these percentages writes 4,2 for 4.2: some have a comma, none a point.

    A percentage has no thousands, so its comma can be nothing else.
    """
    written = "".join(rates)
    return "," in written and "." not in written


def count(cell: str, name: str, decimal_commas: bool) -> int:
    """A count, with or without marks between thousands."""
    found = number(cell, name, decimal_commas)
    if not found < 2**53 or found != int(found):
        raise ValueError(f"{name} {cell[:40]} is no count")
    return int(found)


def number(cell: str, name: str, decimal_commas: bool) -> float:
    """A figure of 0 or more."""
    if is_nothing(cell):
        raise ValueError(f"has no {name}")
    found = _read(cell, decimal_commas)
    if found is None and cell.startswith(("-", "−")) and _read(cell[1:], decimal_commas) is not None:
        raise ValueError(f"{name} {cell[:40]} is negative")
    if found is None and re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+", cell):
        raise ValueError(f"{name} {cell[:40]} was rounded by a spreadsheet; import the file as YouTube Studio gave it")
    if found is None:
        raise ValueError(f"{name} {cell[:40]!r} is not a number")
    return found


def seconds(cell: str, decimal_commas: bool) -> float | None:
    """A length in seconds, or as 1:02:03; None where the cell has none that can be read."""
    if clock := _CLOCK.fullmatch(cell):
        hours, minutes, rest = (int(part or 0) for part in clock.groups())
        return (hours * 60 + minutes) * 60 + rest
    return _read(cell, decimal_commas)


def _read(cell: str, decimal_commas: bool) -> float | None:
    mark, groups = (",", ".") if decimal_commas else (".", ",")
    whole, _, rest = _SPACES.sub("", cell).partition(mark)
    if not re.fullmatch(_GROUPED.pattern.replace("G", re.escape(groups)), whole) or not re.fullmatch("[0-9]*", rest):
        return None
    return float(f"{whole.replace(groups, '')}.{rest or 0}")

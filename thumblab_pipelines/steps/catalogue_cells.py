"""The cells of a catalogue, also as pandas and spreadsheets write them. Each raises `ValueError` with a sentence."""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

_NOTHING = {"", "nan", "none", "null", "nat", "<na>", "n/a", "#n/a", "na", "-"}
"""What stands for no value, in any case."""

_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}|[0-9]+)(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,3})?")
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def is_nothing(cell: str) -> bool:
    """Whether a cell that would be a number, a date or a list has no value."""
    return cell.casefold() in _NOTHING


def whole(cell: str, name: str, limit: int = 2**53) -> int:
    """A count, also as `300.0`, `1e3` or `12,345`."""
    found = _number(cell, name, limit)
    if found != int(found):
        raise ValueError(f"{name} {cell[:40]!r} is not a whole number")
    return int(found)


def seconds(cell: str, name: str) -> int:
    """A length in seconds, rounded to whole ones."""
    return math.floor(_number(cell, name, 2**31) + Decimal("0.5"))


def moment(cell: str, name: str) -> datetime:
    """An ISO date, with or without a time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(re.sub(r" ?UTC$", "Z", cell))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {cell[:40]!r} is no ISO date such as 2026-01-31") from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"{name} {cell[:40]} is not between {_FIRST_YEAR} and {_LAST_YEAR}")
    return found


def _number(cell: str, name: str, limit: int) -> Decimal:
    negative, digits = cell[:1] in "-−", cell.lstrip("+-−")
    if not _NUMBER.fullmatch(digits):
        raise ValueError(f"{name} {cell[:40]!r} is not a whole number")
    found = Decimal(digits.replace(",", ""))
    if negative and found:
        raise ValueError(f"{name} {cell[:40]} is negative")
    if found >= limit:
        raise ValueError(f"{name} {cell[:40]} is too large")
    return found

"""The cells of a catalogue, also as pandas and spreadsheets write them. Each raises `ValueError` with a sentence."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_NOTHING = {"", "nan", "none", "null", "nat", "<na>", "n/a", "#n/a", "na", "-"}
"""What stands for no value, in any case."""

_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}|[0-9]+)(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,3})?")
_CLOCK = re.compile(r"(?:([0-9]{1,4}) days?,? )?(?:([0-9]{1,3}):)?([0-9]{1,2}):([0-9]{2})(?:\.[0-9]*)?")
_ISO = re.compile(r"P(?:([0-9]{1,4})D)?T?(?:([0-9]{1,4})H)?(?:([0-9]{1,5})M)?(?:([0-9]{1,6})(?:\.[0-9]*)?S)?")
_FIRST_YEAR = 1970


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
    """A length in whole seconds, also as `1:02:03`, `0 days 00:05:03` of pandas or `PT5M3S` of YouTube."""
    written = _CLOCK.fullmatch(cell) or _ISO.fullmatch(cell)
    if written and any(written.groups()):
        days, hours, minutes, rest = (int(part or 0) for part in written.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    return math.floor(_number(cell, name, 2**31) + Decimal("0.5"))


def moment(cell: str, name: str) -> datetime:
    """An ISO date, with or without a time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(re.sub(r" ?UTC$", "Z", cell))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {cell[:40]!r} is no ISO date such as 2026-01-31") from None
    if found.year < _FIRST_YEAR:
        raise ValueError(f"{name} {cell[:40]} lies before {_FIRST_YEAR}")
    # The days of a library count back from its newest observation, so one of the future would empty it.
    if found > datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"{name} {cell[:40]} lies in the future")
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

"""Read the cells of a CSV table, in the forms that people, pandas and spreadsheets write.

If a cell has none of these forms, the functions raise `ValueError`, whose message is for the person who imports the
table. Numbers of YouTube Studio exports may have decimal commas, and spaces as thousands separators. For the functions
of this module, such numbers are errors. `owner_ctr/studio_numbers.py` reads the numbers of YouTube Studio.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_NOTHING = {"", "nan", "none", "null", "nat", "<na>", "n/a", "#n/a", "na", "-"}
"""The texts that mean "no value" in a cell, in lower case."""

_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}|[0-9]+)(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,3})?")
_CLOCK = re.compile(r"(?:([0-9]{1,4}) days?,? )?(?:([0-9]{1,3}):)?([0-9]{1,2}):([0-9]{2})(?:\.[0-9]*)?")
_ISO = re.compile(r"P(?:([0-9]{1,4})D)?T?(?:([0-9]{1,4})H)?(?:([0-9]{1,5})M)?(?:([0-9]{1,6})(?:\.[0-9]*)?S)?")
_FIRST_YEAR = 1970
"""The earliest plausible year. An earlier date counts as a mistake in the table."""


def is_nothing(cell: str) -> bool:
    """Return whether a cell for a number, a date or a list means "no value"."""
    return cell.casefold() in _NOTHING


def whole(cell: str, name: str, limit: int = 2**53) -> int:
    """Return the count in a cell. The count may be written as `300.0`, `1e3` or `12,345`, and must be below `limit`."""
    number = _number(cell, name, limit)
    if number != int(number):
        raise ValueError(f"{name} {cell[:40]!r} is not a whole number")
    return int(number)


def seconds(cell: str, name: str) -> int:
    """Return the length of a video in whole seconds.

    The cell may have a number of seconds, `1:02:03`, `0 days 00:05:03` (the form of pandas) or `PT5M3S` (the form of
    YouTube).
    """
    match = _CLOCK.fullmatch(cell) or _ISO.fullmatch(cell)
    if match and any(match.groups()):
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    return math.floor(_number(cell, name, 2**31) + Decimal("0.5"))


def moment(cell: str, name: str) -> datetime:
    """Convert an ISO date, with or without a time, to an aware datetime in UTC. A time without a time zone is taken as
    UTC.
    """
    try:
        date = datetime.fromisoformat(re.sub(r" ?UTC$", "Z", cell))
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {cell[:40]!r} is not an ISO date such as 2026-01-31") from None
    if date.year < _FIRST_YEAR:
        raise ValueError(f"{name} {cell[:40]} is before {_FIRST_YEAR}")
    # A date in the future is refused. The library leaves out videos that were last observed many days before the newest
    # observation of the niche. Because of one observation far in the future, the library would leave out nearly all
    # videos.
    if date > datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"{name} {cell[:40]} is in the future")
    return date


def _number(cell: str, name: str, limit: int) -> Decimal:
    """Return the number in a cell. The number must be at least 0 and below `limit`."""
    negative, digits = cell[:1] in "-−", cell.lstrip("+-−")
    if not _NUMBER.fullmatch(digits):
        raise ValueError(f"{name} {cell[:40]!r} is not a whole number")
    number = Decimal(digits.replace(",", ""))
    if negative and number:
        raise ValueError(f"{name} {cell[:40]} is negative")
    if number >= limit:
        raise ValueError(f"{name} {cell[:40]} is too large")
    return number

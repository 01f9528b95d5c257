"""Read the period and the name of the channel from the file name of a Studio export."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})_(\d{4}-\d{2}-\d{2})")
_ENDING = re.compile(r"(?: ?\(\d+\))?\.(?:zip|csv)$", re.IGNORECASE)


@dataclass(frozen=True)
class Period:
    """The first and the last day of an export, and the name of its channel, which may be empty."""

    first: date
    last: date
    channel: str


def period_of(where: str) -> Period | None:
    """Return the period in a part of the path, such as `Content 2026-01-01_2026-11-01 My channel.zip`.

    If several parts name a period, the last of these parts decides. Return None if no part names a period. `where`: a
    path, or the location of a table in a .zip.
    """
    for part in reversed(where.replace("\\", "/").replace(" > ", "/").split("/")):
        match = _DAYS.search(part)
        if match is None:
            continue
        try:
            first, last = date.fromisoformat(match[1]), date.fromisoformat(match[2])
        except ValueError:
            continue
        return Period(first, last, _ENDING.sub("", part[match.end() :]).strip(" _")) if first <= last else None
    return None


def period_of_file(path: Path) -> Period | None:
    """Return the period in the name of the file or of its folder. Return None if neither name has a period."""
    return period_of(path.name) or period_of(path.absolute().parent.name)


def first_day(where: str, path: Path) -> date | None:
    """Return the first day of the period of a table in the export at `path`. Return None if no name has a period.

    `where`: the location of the table, such as `export.zip > Table data.csv`. The table lacks the views and impressions
    that a video got before this day.
    """
    period = period_of(where.removeprefix(str(path))) or period_of_file(path)
    return None if period is None else period.first

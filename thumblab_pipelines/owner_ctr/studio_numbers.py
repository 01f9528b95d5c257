"""Parse the numbers of a Studio export, in the notation of any country.

Studio and spreadsheets write 4,2 or 4.2, and 12.345, 12,345, 12 345 or 1,23,456. A single cell such as 12,345 does not
show whether its comma is a decimal mark. So `decimal_commas_in` looks at all cells of the column.

`count` and `number` raise `ValueError` if a cell has none of these notations. The message is shown to the person who
imports the export.
"""

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 64
"""Maximum number of characters of a cell that is read as a number or a date. Reading a longer cell could take very
long."""

_GROUPED = re.compile(r"[0-9]{1,3}(?:G[0-9]{2,3})*G[0-9]{3}|[0-9]+")
"""Regular expression for a whole number. `G` stands for the thousands separator. In the Indian notation, such as
1,00,95,064, groups have two digits."""

_SPACES = re.compile("(?<=[0-9])[ \u00a0\u202f\u2009'\u2019](?=[0-9])")
"""Regular expression for spaces and apostrophes between digits. Some countries use these characters as thousands
separators."""

_CLOCK = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,3}):([0-9]{2})")
_NOTHING = {"", "-", "–", "—", "nan", "null", "n/a"}


def is_nothing(cell: str) -> bool:
    """Return whether the cell is empty or contains a placeholder for a missing number."""
    return cell.casefold() in _NOTHING


def has_decimal_commas(rates: Iterable[str]) -> bool:
    """Return whether these percentages are written like 4,2 and not like 4.2.

    A percentage is below 1,000 and needs no thousands separator. So a comma is a decimal comma if there is no point.
    """
    text = "".join(rates)
    return "," in text and "." not in text


def decimal_commas_in(cells: Iterable[str], otherwise: bool, counts: bool = True) -> bool:
    """Return whether the decimal mark of a column is the comma. If the cells do not show the decimal mark, return
    `otherwise`.

    A mark separates thousands if two or three digits and another mark follow it. If a cell has two kinds of marks, the
    first kind separates thousands. In a column of counts, a single mark with exactly three digits after it separates
    thousands too. If cells contradict each other, the majority decides.
    """
    votes = 0
    for cell in map(_plain, (cell for cell in cells if len(cell) <= LONGEST)):
        marks = re.sub("[^.,]", "", cell)
        if not marks or not re.fullmatch("[0-9.,]+", cell):
            continue
        last, earlier = marks[-1], set(marks[:-1])
        if earlier - {last}:
            comma = last == ","
        elif _grouped_by(last, cell) and (counts or len(marks) > 1):
            comma = last == "."
        elif len(marks) > 1 or (not counts and re.search("[.,][0-9]{3}$", cell)):
            continue
        else:
            comma = last == ","
        votes += 1 if comma else -1
    return otherwise if votes == 0 else votes > 0


def count(cell: str, name: str, decimal_commas: bool) -> int:
    """Parse a count, with or without thousands separators. `name`: the name of the number in error messages."""
    value = number(cell, name, decimal_commas)
    if not value < 2**53 or value != int(value):
        raise ValueError(f"{name} {cell[:40]} is not a count")
    return int(value)


def number(cell: str, name: str, decimal_commas: bool) -> float:
    """Parse a number of 0 or more. `name`: the name of the number in error messages."""
    if is_nothing(cell):
        raise ValueError(f"the video has no {name}")
    value = parsed(cell, decimal_commas)
    if value is None and cell.startswith(("-", "−")) and parsed(cell[1:], decimal_commas) is not None:
        raise ValueError(f"{name} {cell[:40]} is negative")
    if value is None and re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+", cell[:LONGEST]):
        raise ValueError(f"{name} {cell[:40]} was rounded by a spreadsheet; import the file as YouTube Studio gave it")
    if value is None:
        raise ValueError(f"{name} {cell[:40]!r} is not a number")
    return value


def seconds(cell: str, decimal_commas: bool) -> float | None:
    """Parse a duration in seconds or in a form such as 1:02:03, and return it in seconds.

    Return None if the cell cannot be read.
    """
    if len(cell) > LONGEST:
        return None
    if clock := _CLOCK.fullmatch(_plain(cell)):
        hours, minutes, remainder = (int(part or 0) for part in clock.groups())
        return (hours * 60 + minutes) * 60 + remainder
    return parsed(cell, decimal_commas)


def parsed(cell: str, decimal_commas: bool) -> float | None:
    """Return the number in a cell. Return None if the cell is not a number, is negative, or has an exponent."""
    if len(cell) > LONGEST:
        return None
    decimal_mark, separator = (",", ".") if decimal_commas else (".", ",")
    whole, _, decimals = _plain(cell).partition(decimal_mark)
    is_whole = _grouped_by(separator, whole) or (whole.isascii() and whole.isdigit())
    if not is_whole or not re.fullmatch("[0-9]*", decimals):
        return None
    return float(f"{whole.replace(separator, '')}.{decimals or 0}")


def without_percent(cell: str) -> str:
    """Return the cell without a percent sign and without the space before the sign."""
    return cell.strip("%٪％ \u00a0\u202f")


def _plain(cell: str) -> str:
    """Return the cell with digits of other scripts replaced by 0 to 9, and without spaces between digits."""
    if not cell.isascii():
        cell = "".join(str(unicodedata.decimal(letter, letter)) for letter in cell)
    return _SPACES.sub("", cell)


def _grouped_by(separator: str, cell: str) -> bool:
    """Return whether the cell is a whole number in which `separator` stands between groups of digits."""
    return separator in cell and re.fullmatch(_GROUPED.pattern.replace("G", re.escape(separator)), cell) is not None

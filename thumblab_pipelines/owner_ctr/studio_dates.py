"""Read dates in the forms that Studio and spreadsheets write in many languages.

The names of the months come from Unicode's CLDR, through the package Babel.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache

from thumblab_pipelines.owner_ctr.studio_numbers import LONGEST

LOCALES = ("en", "de", "es", "pt", "fr", "it", "nl", "pl", "ru", "tr", "ja", "ko", "hi", "id")
"""The languages in which the lab knows the names of the months."""

_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?")
_ISO_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?")
_SEPARATED = re.compile(r"(\d{1,4})([./-])\s?(\d{1,2})\2\s?(\d{1,4})\.?")
_YEAR_FIRST = re.compile(r"\d{4}\s?\W?\w?\s?\d{1,2}\W?\w?\s?\d{1,2}\W?\w?")
"""Regular expression for a date such as 2026年10月1日. The length of the numbers is limited, because reading a very long
number would take hours."""

_FIRST_YEAR = 2005
"""The year in which YouTube was founded. An earlier date of publication is an error."""


def read_dates(cells: Sequence[str], month_first: bool = False) -> list[date | None]:
    """Return the date in each cell of a column, or None for a cell without a date.

    In a column of dates such as 03/04/2026, a single clear date such as 03/31/2026 shows which number is the month in
    all dates. If there is no clear date, `month_first` decides.
    """
    texts = [_plain(cell) for cell in cells]
    order = _month_first(texts)
    return [_read(text, month_first if order is None else order) for text in texts]


def _plain(cell: str) -> str:
    if len(cell) > LONGEST:
        return ""
    text = unicodedata.normalize("NFKC", cell)
    text = "".join(str(unicodedata.decimal(letter, letter)) for letter in text)
    return _TIME.sub(" ", text) if not _ISO_DAY.fullmatch(text) else text


def _month_first(texts: Iterable[str]) -> bool | None:
    """Return whether the month comes before the day in the dates of a column. Return None if the column does not show
    the order."""
    votes = 0
    for text in texts:
        match = _SEPARATED.match(text.strip())
        if match is None or len(match[1]) > 2:
            continue
        votes += int(int(match[3]) > 12) - int(int(match[1]) > 12)
        if match[2] == ".":
            return False
    return None if votes == 0 else votes > 0


def _read(text: str, month_first: bool) -> date | None:
    text = text.strip()
    try:
        if iso := _ISO_DAY.fullmatch(text):
            return _checked(date.fromisoformat(iso[1]))
        if match := _SEPARATED.match(text):
            return _of_numbers(match[1], match[3], match[4], month_first)
        numbers = re.findall(r"\d+", text)
        words = re.split(r"[\s\d.,/()-]+", text)
        months = {month for word in words if word and (month := _months().get(_folded(word)))}
        if len(months) == 1 and len(numbers) == 2:
            return _of_name(months.pop(), numbers)
        if len(numbers) == 3 and _YEAR_FIRST.fullmatch(text):
            return _of_numbers(numbers[0], numbers[1], numbers[2], month_first)
    except (ValueError, OverflowError):  # `OverflowError` is raised for a day with very many digits.
        pass
    return None


def _of_name(month: int, numbers: Sequence[str]) -> date:
    """Return the date in the month `month`. The number with four digits is the year, and the other number is the
    day."""
    year, day = sorted(numbers, key=len, reverse=True)
    if len(year) != 4:
        raise ValueError("a date has no year")
    return _checked(date(int(year), month, int(day)))


def _of_numbers(first: str, second: str, third: str, month_first: bool) -> date:
    if len(first) == 4:
        return _checked(date(int(first), int(second), int(third)))
    if len(third) not in (2, 4):
        raise ValueError("a date has no year")
    year = int(third) + (2000 if len(third) == 2 else 0)
    day, month = (second, first) if month_first else (first, second)
    return _checked(date(year, int(month), int(day)))


def _checked(day: date) -> date:
    if day.year < _FIRST_YEAR:
        raise ValueError("a date is before YouTube")
    return day


@cache
def _months() -> dict[str, int]:
    """Return the number of each month, 1 to 12, by its names in all languages. The names are in the form that `_folded`
    returns. A name that means two different months is left out.
    """
    from babel import Locale

    months: dict[str, set[int]] = {}
    for locale in LOCALES:
        names = Locale(locale).months
        for context in ("format", "stand-alone"):
            for width in ("abbreviated", "wide"):
                for month, name in names[context][width].items():
                    if not any(letter.isdigit() for letter in name):
                        months.setdefault(_folded(name), set()).add(month)
    months |= {"sept": {9}, "ags": {8}}
    return {name: month for name, (month, *others) in months.items() if not others}


def _folded(name: str) -> str:
    """Return the name of a month in the form for comparisons: case-folded, without points and accents."""
    text = unicodedata.normalize("NFKD", name).casefold()
    # Marks such as accents are removed. The vowel signs of Devanagari are marks too, but they are kept, because the
    # names of two months differ only in a vowel sign.
    return "".join(
        letter for letter in text if letter.isalpha() or (unicodedata.category(letter)[0] == "M" and letter > "\u036f")
    )

"""Recognise the columns of a Studio table by their values if their names are not known.

YouTube renames columns, and the lab does not know every language. Some facts hold in every language:
- One column has video ids. Studio writes the title and the date of publication directly after this column.
- Studio writes the click-through rate directly after the impressions. The name of the column of rates contains (%). If
  a table also has the columns of the Shorts feed, Studio writes these columns before the impressions.
- In the row of totals, each rate is the mean of the column, weighted by the impressions.
- The row of totals has all metrics, but no length of a video.
- Studio writes the hours of watch time with four decimals, directly after the views.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from thumblab_core.given_text import VIDEO_ID
from thumblab_pipelines.owner_ctr.studio_column_names import (
    DURATION,
    IMPRESSIONS,
    PUBLISHED,
    RATE,
    SHOWN_IN_FEED,
    STAYED,
    TITLE,
    VIDEO,
    VIEWS,
    WATCH_HOURS,
)
from thumblab_pipelines.owner_ctr.studio_dates import read_dates
from thumblab_pipelines.owner_ctr.studio_numbers import (
    decimal_commas_in,
    has_decimal_commas,
    is_nothing,
    parsed,
    seconds,
    without_percent,
)

_MOST_CELLS = 2_000
"""Maximum number of rows of a table that are examined to recognise the columns."""

_LARGEST_USUAL_RATE = 30.0
"""Maximum median of a column of click-through rates. A column with a higher median is not recognised as click-through
rates.

According to YouTube's help, half of all channels have a click-through rate of 2 to 10 %. Other percentages are usually
higher, such as the watched share of a video or the share of viewers who stay in the Shorts feed.
"""

_ROUNDING = 0.03
"""Maximum difference between the weighted mean of the rates and the total. Studio rounds the rates to two decimals."""

_COMPLETE = 0.005
"""A table counts as complete if the sum of its impressions differs by at most this share from the row of totals."""

_MOST_SHARE_OF_DATES = 0.8
_MONEY = re.compile(r"\([A-Z]{3}\)\s*$")
"""Regular expression for the end of a column name with a currency, such as (USD)."""


@dataclass(frozen=True)
class _Column:
    """A column of numbers: the numbers of its rows, and the number in the row of totals. A missing number is None.

    `whole`: whether all numbers are whole. `decimals`: the largest number of decimals.
    """

    values: Sequence[float | None]
    total: float | None
    whole: bool
    decimals: int

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]


def recognise(
    header: Sequence[str], rows: Sequence[Sequence[str]], totals: Sequence[str] | None, known: Mapping[str, int]
) -> dict[str, int]:
    """Return the positions of the columns that are recognised by their values. A key is the lab's name of a column.

    `rows`: the cells of the rows of videos. `totals`: the cells of the row of totals, or None. `known`: the positions
    of the columns that were found by name. The known columns are not returned.
    """
    rows = rows[:_MOST_CELLS]
    table = _Table(header, rows, totals, dict(known))
    for find in (table.find_video, table.find_text, table.find_rate, table.find_metrics, table.find_feed):
        find()
    return {field: at for field, at in table.at.items() if field not in known}


def id_column(rows: Sequence[Sequence[str]], width: int) -> int | None:
    """Return the position of the first column in which most cells are ids of videos, or None."""
    rows = rows[:_MOST_CELLS]
    for at in range(width):
        cells = [row[at].strip("='\" ") for row in rows if at < len(row) and row[at].strip()]
        ids = [cell for cell in cells if VIDEO_ID.fullmatch(cell)]
        # Any word of eleven letters looks like an id, so most of the ids must also differ from each other.
        if cells and 2 * len(ids) > len(cells) and 2 * len(set(ids)) > len(ids):
            return at
    return None


class _Table:
    """A table in which columns are recognised. `at`: the positions of the recognised columns."""

    def __init__(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        totals: Sequence[str] | None,
        known: dict[str, int],
    ) -> None:
        self.header, self.rows, self.totals = header, rows, totals
        self.at = known
        self.columns = [self._column(at) for at in range(len(header))]

    def _cells(self, at: int) -> list[str]:
        return [row[at].strip() if at < len(row) else "" for row in self.rows]

    def _column(self, at: int) -> _Column | None:
        """Return the numbers in the cells of the column, or None if a cell is neither a number nor empty."""
        cells = [without_percent(cell) for cell in self._cells(at)]
        percent = _is_percent(self.header[at])
        commas = has_decimal_commas(cells) if percent else decimal_commas_in(cells, False)
        values = [None if is_nothing(cell) else parsed(cell.lstrip("-−"), commas) for cell in cells]
        if any(value is None and not is_nothing(cell) for value, cell in zip(values, cells, strict=True)):
            return None
        known = [value for value in values if value is not None]
        total = None
        if self.totals is not None and at < len(self.totals):
            total = parsed(without_percent(self.totals[at].strip()), commas)
        mark = "," if commas else "."
        decimals = max((len(cell.partition(mark)[2]) for cell in cells), default=0)
        return _Column(values, total, all(value == int(value) for value in known), decimals) if known else None

    def _free(self, at: int) -> bool:
        return 0 <= at < len(self.header) and at not in self.at.values()

    def _counts(self, at: int) -> bool:
        column = self.columns[at] if 0 <= at < len(self.header) else None
        return (
            column is not None
            and column.whole
            and not _is_percent(self.header[at])
            and not _MONEY.search(self.header[at])
        )

    def find_video(self) -> None:
        if VIDEO not in self.at:
            at = id_column(self.rows, len(self.header))
            if at is not None and self._free(at):
                self.at[VIDEO] = at

    def find_text(self) -> None:
        """Find the columns with the title and the date of publication."""
        if VIDEO not in self.at:
            return
        for at in range(len(self.header)):
            if PUBLISHED in self.at or not self._free(at):
                continue
            cells = [cell for cell in self._cells(at) if cell]
            dates = [day for day in read_dates(cells) if day is not None]
            if cells and len(dates) > _MOST_SHARE_OF_DATES * len(cells):
                self.at[PUBLISHED] = at
        title = self.at[VIDEO] + 1
        if TITLE not in self.at and self._free(title) and self.columns[title] is None:
            self.at[TITLE] = title

    def find_rate(self) -> None:
        """Find the columns with the impressions and their click-through rates."""
        if RATE in self.at and IMPRESSIONS in self.at:
            return
        if RATE in self.at:
            pairs = [(self.at[RATE] - 1, self.at[RATE])]
        elif IMPRESSIONS in self.at:
            pairs = [(self.at[IMPRESSIONS], self.at[IMPRESSIONS] + 1)]
        else:
            pairs = [(at, at + 1) for at in range(len(self.header) - 1)]
        pairs = [pair for pair in pairs if self._may_be_rate(*pair)]
        if not pairs:
            return
        self.at[IMPRESSIONS], self.at[RATE] = pairs[-1]

    def _may_be_rate(self, impressions: int, rate: int) -> bool:
        for field, at in ((IMPRESSIONS, impressions), (RATE, rate)):
            if self.at.get(field) != at and not self._free(at):
                return False
        rates = self.columns[rate]
        if not self._counts(impressions) or rates is None or not _is_percent(self.header[rate]):
            return False
        shown = self.columns[impressions]
        assert shown is not None
        usual = max(rates.known) <= 100 and median(rates.known) <= _LARGEST_USUAL_RATE
        return usual and _fits(shown, rates) is not False

    def find_metrics(self) -> None:
        """Find the columns with the length of the videos, the views and the watch time in hours."""
        published = self.at.get(PUBLISHED)
        if VIEWS not in self.at:
            pairs = [
                at
                for at in range(len(self.header) - 1)
                if self._free(at) and self._counts(at) and self._may_be_hours(at + 1)
            ]
            if WATCH_HOURS in self.at:
                pairs = [at for at in [self.at[WATCH_HOURS] - 1] if self._free(at) and self._counts(at)]
            elif not pairs and published is not None:
                pairs = self._first_metric(published + 1)
            if pairs:
                # In every language, the name of the column of hours has the unit in parentheses. The column before the
                # column of hours has the views.
                self.at[VIEWS] = max(pairs, key=lambda at: ("(" in self.header[at + 1], at))
        if VIEWS in self.at and WATCH_HOURS not in self.at and self._may_be_hours(self.at[VIEWS] + 1, least=0):
            self.at[WATCH_HOURS] = self.at[VIEWS] + 1
        if DURATION not in self.at and published is not None and self._may_be_length(published + 1):
            self.at[DURATION] = published + 1

    def find_feed(self) -> None:
        """Find the columns of the Shorts feed: how often a Short was shown in the feed, and the share of these showings
        that were watched.

        Other columns of shares look the same. So the two columns are used only if the row of totals fits: see `_fits`.
        """
        if SHOWN_IN_FEED in self.at or STAYED in self.at or IMPRESSIONS not in self.at:
            return
        for at in range(self.at[IMPRESSIONS] - 1):
            shown, watched = self.columns[at], self.columns[at + 1]
            if not (self._free(at) and self._free(at + 1) and self._counts(at)) or shown is None or watched is None:
                continue
            high = median(watched.known) > _LARGEST_USUAL_RATE and max(watched.known) <= 100
            if _is_percent(self.header[at + 1]) and high and _fits(shown, watched) is True:
                self.at[SHOWN_IN_FEED], self.at[STAYED] = at, at + 1

    def _first_metric(self, start: int) -> list[int]:
        """Return a list with the position of the column of views, or an empty list. The views are in the column `start`
        or in the next column. The column of views has counts and a total.
        """
        for at in (start, start + 1):
            column = self.columns[at] if self._free(at) else None
            if column is not None and self._counts(at) and (column.total is not None or self.totals is None):
                if at == start and self.totals is None and self._counts(at + 1):
                    # The table has no totals and two columns of counts. The first of these columns is the length, and
                    # the second is the views.
                    continue
                return [at]
        return []

    def _may_be_hours(self, at: int, least: int = 4) -> bool:
        column = self.columns[at] if self._free(at) else None
        name = self.header[at] if column is not None else ""
        return column is not None and not _is_percent(name) and not _MONEY.search(name) and column.decimals >= least

    def _may_be_length(self, at: int) -> bool:
        if not self._free(at):
            return False
        cells = [cell for cell in self._cells(at) if cell]
        total = self.totals[at].strip() if self.totals is not None and at < len(self.totals) else ""
        clocks = all(":" in cell and seconds(cell, False) is not None for cell in cells)
        return bool(cells) and not total and (clocks or self._counts(at))


def _is_percent(name: str) -> bool:
    return "%" in name or "％" in name


def _fits(shown: _Column, rates: _Column) -> bool | None:
    """Return whether `rates` are the click-through rates of the impressions in `shown`.

    Return None if the row of totals is missing or covers other videos. If the totals cover exactly the table's videos,
    the total of the rates is the mean of the rates, weighted by the impressions.
    """
    if shown.total is None or rates.total is None:
        return None
    pairs = [
        (n, rate) for n, rate in zip(shown.values, rates.values, strict=True) if n is not None and rate is not None
    ]
    counted = sum(n for n, _ in pairs)
    if not counted or abs(counted - shown.total) > _COMPLETE * shown.total:
        return None
    return abs(sum(n * rate for n, rate in pairs) / counted - rates.total) <= _ROUNDING + _COMPLETE * rates.total

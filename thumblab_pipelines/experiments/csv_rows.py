"""Read a CSV table of experiments, one row per experiment. A bad row is reported and skipped."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.experiments.records import MOST_VARIANTS, GivenExperiment, GivenVariant
from thumblab_core.given_text import not_utf8
from thumblab_pipelines.tables.cells import is_nothing, moment, whole
from thumblab_pipelines.tables.csv_table import (
    ReadTable,
    cell_texts,
    column_names,
    header_and_rows,
    require_text,
    table_lines,
)
from thumblab_pipelines.tables.problems import RowProblem

REQUIRED = ("channel", "video_id", "started_on", "outcome")
_OF_A_VARIANT = ("picture", "title", "share", "impressions")
OPTIONAL = (
    "ended_on",
    "winner",
    "title",
    *(f"{name}_{at}" for at in range(1, MOST_VARIANTS + 1) for name in _OF_A_VARIANT),
)
"""The optional columns. `title` is the title of all variants. `title_2` is the title of the second variant only."""

LARGEST_TABLE = 16 * 2**20
"""Maximum size of a table, in bytes."""

_FREE_TEXT = {"channel", "video_id", "title", *(f"title_{at}" for at in range(1, MOST_VARIANTS + 1))}
"""Columns in which a word such as `nan` is text. In all other columns, such a word means an empty cell."""

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHARE = re.compile(r"([0-9]{1,3}(?:[.,][0-9]*)?) ?%?")
_SHOWN = 40
"""Maximum length of a value in a message, in characters."""


@dataclass(frozen=True)
class CsvRow:
    """A row that could be read. `line`: line number of the row in the file, starting at 1."""

    line: int
    given: GivenExperiment[Path]


@dataclass
class ExperimentTable(ReadTable):
    """The table at `path`, and the problems that were found while reading it.

    `rows`: number of rows that were read so far. `problems`: an entry for each skipped row. `remarks`: a sentence for
    each column that is not used.
    """

    path: Path
    _header: list[str] = field(default_factory=list)

    def read(self) -> Iterator[CsvRow]:
        """Yield each row that could be read.

        Raises `LabError` if the file cannot be read, is not a CSV file in UTF-8, or lacks a required column.
        """
        lines = table_lines(self.path, LARGEST_TABLE)
        header, rows = header_and_rows(self.path, lines, self._is_row)
        self._header = column_names(self.path, header, REQUIRED, OPTIONAL, ". docs/experiments.md lists the columns")
        self.remarks += [
            f"the column {name[:_SHOWN]} is not used"
            for name in self._header
            if name and name not in (*REQUIRED, *OPTIONAL)
        ]
        rows = (row for row in rows if any(row[1]))  # A spreadsheet may write rows of empty cells, which are skipped.
        yield from self.good_rows(rows, self._row)

    def _is_row(self, cells: Sequence[str]) -> bool:
        if not self._header:  # The header is not known if a quote in it is never closed.
            return False
        return bool(_DAY.fullmatch(cells[self._header.index("started_on")].strip()))

    def _row(self, cells: Sequence[str], line: int) -> CsvRow | RowProblem:
        texts = cell_texts(self._header, cells)
        video_id = "" if not_utf8(texts["video_id"]) else texts["video_id"][:_SHOWN]
        try:
            require_text(self._header, cells, texts)
            texts = {name: "" if name not in _FREE_TEXT and is_nothing(text) else text for name, text in texts.items()}
            empty = [name for name in REQUIRED if not texts[name]]
            if empty:
                raise ValueError(f"{', '.join(empty)} is missing; fill in the cell")
            return CsvRow(line, _parse(texts, self.path.parent))
        # RuntimeError is raised if the path of a picture contains a loop of symbolic links.
        except (LabError, ValueError, ArithmeticError, OSError, RuntimeError) as error:
            return RowProblem(line, video_id, str(error))


def _parse(cells: dict[str, str], folder: Path) -> GivenExperiment[Path]:
    """Convert the cells of one line to an experiment. `cells` has the text of each cell by the name of its column.

    `folder`: the folder of the table. Raises `ValueError` if a cell cannot be read. The message of the `ValueError` is
    shown to the person who imports the table.
    """
    variants = [
        GivenVariant(
            _picture(cells.get(f"picture_{at}", ""), folder),
            cells.get(f"title_{at}") or cells.get("title") or None,
            _share(cells.get(f"share_{at}", ""), f"share_{at}"),
            _count(cells.get(f"impressions_{at}", ""), f"impressions_{at}"),
        )
        for at in range(1, MOST_VARIANTS + 1)
        if at <= _last(cells)
    ]
    return GivenExperiment(
        channel=cells["channel"],
        video_id=cells["video_id"],
        started_on=_day(cells["started_on"], "started_on"),
        outcome=cells["outcome"],
        variants=variants,
        ended_on=_day(cells["ended_on"], "ended_on") if cells.get("ended_on") else None,
        winner=_count(cells.get("winner", ""), "winner", example=2),
    )


def _last(cells: dict[str, str]) -> int:
    """Return the number of the last variant with a filled cell, or 0 if no variant has a filled cell.

    For example, the cells of variant 2 are in `title_2`, `picture_2` and so on.
    """
    given = [at for at in range(1, MOST_VARIANTS + 1) if any(cells.get(f"{name}_{at}") for name in _OF_A_VARIANT)]
    return max(given, default=0)


def _picture(name: str, folder: Path) -> Path | None:
    """Return the path of the picture `name` in `folder`, the folder of the table. Return None if `name` is empty.

    `name` may have backslashes, as on Windows. Raises `ValueError` if the picture is outside the folder.
    """
    if not name:
        return None
    if "\\" in name and not (folder / name).exists():
        name = name.replace("\\", "/")
    picture = (folder / name).resolve()
    if not picture.is_relative_to(folder.resolve()):
        raise ValueError(f"picture {name[:_SHOWN]!r} is outside the folder of the table; copy it beside the table")
    return picture


def _share(cell: str, name: str) -> float | None:
    if not cell:
        return None
    match = _SHARE.fullmatch(cell)
    if match is None:
        raise ValueError(f"{name} {cell[:_SHOWN]!r} is not a share; write a percentage such as 52.3, or leave it empty")
    share = float(match[1].replace(",", "."))
    return share / 100 if "%" in cell else share


def _count(cell: str, name: str, example: int = 1200) -> int | None:
    if "." in cell:  # 1.000 means 1000 in some countries and 1 in other countries, so a point is refused.
        raise ValueError(
            f"{name} {cell[:_SHOWN]!r} has a point; write a whole number such as {example}, or leave it empty"
        )
    try:
        return whole(cell, name) if cell else None
    except ValueError as error:
        raise ValueError(f"{error}; write a whole number such as {example}, or leave it empty") from None


def _day(cell: str, name: str) -> date:
    # A day with a time and a time zone is refused, because the same moment may fall on another day in UTC.
    if not _DAY.fullmatch(cell):
        raise ValueError(f"{name} {cell[:_SHOWN]!r} is not a day; write the day as YYYY-MM-DD")
    try:
        return moment(cell, name).date()
    except ValueError as error:
        raise ValueError(f"{error}; write the day as YYYY-MM-DD") from None

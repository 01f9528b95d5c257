"""Read a CSV table by the names of its columns. A row that cannot be read is reported and skipped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from thumblab_core.errors import LabError
from thumblab_core.given_text import storable
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.tables.rows import IsRow, header_line, read_rows, separator_of

Row = TypeVar("Row")

_SHOWN_COLUMNS = 30
_SHOWN = 40
"""Maximum length of a column's name in a message, in characters."""


def table_lines(path: Path, most_bytes: int) -> list[str]:
    """Return the lines of a table. A byte that is not UTF-8 becomes a lone surrogate, so that only its row is skipped.

    Raises `LabError` if the file cannot be read, is not a regular file, or has more than `most_bytes` bytes.
    """
    try:
        if path.exists() and not path.is_file():  # Reading from a pipe may never end.
            raise LabError(f"{path} is not a regular file; give a CSV file")
        if path.stat().st_size > most_bytes:
            raise LabError(f"{path} holds more than {most_bytes // 2**20} MiB; split it into smaller tables")
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return file.readlines()
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); check the name and your permissions") from None


def header_and_rows(
    path: Path, lines: Sequence[str], is_row: IsRow
) -> tuple[list[str], Iterator[tuple[int, list[str] | str]]]:
    """Return the cells of the header of a table, and an iterator over the rows after the header.

    For each row, the iterator yields what `read_rows` yields. `lines` are the lines of the file at `path`. Raises
    `LabError` if the CSV parser cannot read the header.
    """
    start = header_line(lines)
    rows = read_rows(lines, start, separator_of(lines[start] if start < len(lines) else ""), is_row)
    _, header = next(rows, (0, []))
    if isinstance(header, str):
        raise LabError(f"{path} is not a CSV file ({header}); save it as CSV")
    return header, rows


def column_names(
    path: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str], advice: str
) -> list[str]:
    """Return the names of the columns in lower case, without spaces around them.

    Raises `LabError` if the header is not UTF-8, lacks a required column, or has a required or an optional column
    twice. `advice` is added at the end of the error message about a missing column.
    """
    if any(not storable(name) for name in header):
        raise LabError(f"{path} is not in UTF-8; save it as CSV in UTF-8")
    names = [name.strip().casefold() for name in header]
    missing = [name for name in required if name not in names]
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        present = ", ".join(name[:_SHOWN] for name in header[:_SHOWN_COLUMNS]) or "no columns"
        raise LabError(f"{path} lacks the {columns} {', '.join(missing)}; it has {present}{advice}")
    repeated = [name for name in (*required, *optional) if names.count(name) > 1]
    if repeated:
        raise LabError(f"{path} has the column {repeated[0]} {names.count(repeated[0])} times; remove all but one")
    return names


@dataclass(kw_only=True)
class ReadTable:
    """The counts and problems of a table, which are collected while it is read.

    `rows`: number of rows that were read so far. `problems`: an entry for each skipped row, and for each row that was
    used in spite of an error. `remarks`: sentences about the whole table.
    """

    rows: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def good_rows(
        self,
        rows: Iterator[tuple[int, list[str] | str]],
        parse: Callable[[Sequence[str], int], Row | RowProblem],
    ) -> Iterator[Row]:
        """Yield the result of `parse` for each good row. Add each bad row to `problems`.

        `rows` come from `header_and_rows`. `parse` is called with the cells of a row and its line number. For a bad
        row, `parse` returns a `RowProblem`. Empty lines are not counted as rows.
        """
        for line, cells in rows:
            if not cells:
                continue
            self.rows += 1
            row = RowProblem(line, "", cells) if isinstance(cells, str) else parse(cells, line)
            if isinstance(row, RowProblem):
                self.problems.append(row)
            else:
                yield row


def cell_texts(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the text of each cell, without spaces around it, by the name of its column. A missing cell is empty."""
    return {name: cell.strip() for name, cell in zip_longest(header, cells[: len(header)], fillvalue="")}


def require_text(header: Sequence[str], cells: Sequence[str], texts: dict[str, str]) -> None:
    """Raise `ValueError` if a row has more cells than the header, or a cell that is not valid text.

    `cells`: the cells of the row. `texts`: the result of `cell_texts` for these cells.
    """
    if len(cells) > len(header):
        raise ValueError(
            "the row has more cells than the header; put quotes around each text that contains the separator"
        )
    bad = [name for name, text in texts.items() if not storable(text)]
    if bad:
        raise ValueError(f"{', '.join(bad)} holds bytes that are not text; save the file in UTF-8")

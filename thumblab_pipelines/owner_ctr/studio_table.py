"""Read the table of a YouTube Studio export, in any language."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.given_text import VIDEO_ID, storable
from thumblab_pipelines.owner_ctr.studio_column_names import FIELDS, INVISIBLE, PUBLISHED, TITLE, TOTALS, VIDEO
from thumblab_pipelines.owner_ctr.studio_columns import Columns, find_columns, joined
from thumblab_pipelines.owner_ctr.studio_dates import read_dates
from thumblab_pipelines.owner_ctr.studio_file import TableText, read_texts
from thumblab_pipelines.owner_ctr.studio_numbers import is_nothing
from thumblab_pipelines.owner_ctr.studio_shape import id_column
from thumblab_pipelines.owner_ctr.video_ids import MAX_SHOWN_ID
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.tables.rows import read_rows, separator_of

MAX_LINES = 20_000
"""Maximum number of lines of a table. Studio exports at most 500 videos, one on each line."""

MAX_COLUMNS = 1_000
"""Maximum number of columns of a table. Studio has only some dozens of metrics."""

_LONGEST_LINE = 2**18
"""Maximum number of characters that are read of a line. The rest of a longer line is dropped, because millions of cells
in one line would take gigabytes of memory."""


@dataclass(frozen=True)
class Cells:
    """The texts of the cells of one row. A key is the lab's name of a column, see `studio_column_names.FIELDS`.

    `line`: the number of the row's line in the file, starting at 1.
    """

    line: int
    texts: dict[str, str]


@dataclass
class StudioTable:
    """The rows of a table, without the row of totals. A row that cannot be read is replaced by a `RowProblem`.

    `columns`: the position of each column. `remarks`: sentences that say which columns were recognised by their values.
    Other remarks quote the notes that Studio wrote below the rows.
    """

    columns: Columns
    rows: list[Cells | RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def texts_of(self, name: str) -> list[str]:
        """Return the cells of a column in all readable rows. For a missing column, all cells are empty."""
        return [row.texts.get(name, "") for row in self.rows if isinstance(row, Cells)]

    def published(self) -> dict[int, date | None]:
        """Return the day of publication of each readable row, by line number.

        The day is None if the row has no date that can be read.
        """
        days = read_dates(self.texts_of(PUBLISHED), self.columns.month_first)
        return dict(zip((row.line for row in self.rows if isinstance(row, Cells)), days, strict=True))


def read_tables(path: Path, given: Mapping[str, str] | None = None) -> tuple[dict[str, StudioTable], list[str]]:
    """Return the tables of an export, and a message for each table or file of the export that was left out.

    The key of a table is its location, such as `export.zip > Table data.csv`. `given`: the columns that a person named,
    see `find_columns`.

    Raises `LabError` if the file has no table that can be read. The error is an `UnknownColumnsError` if columns of a
    table were not recognised.
    """
    texts = read_texts(path)
    tables: dict[str, StudioTable] = {}
    errors: list[LabError] = []
    for text in texts.tables:
        try:
            tables[text.where] = read_table(text, given or {})
        except LabError as error:
            errors.append(error)
    if not tables:
        raise joined(errors)
    return tables, texts.left_out + [str(error) for error in errors]


def read_table(source: TableText, given: Mapping[str, str]) -> StudioTable:
    """Read one table.

    Raises `LabError` if the table is empty, too long or not CSV. Also raises `LabError` if a required column is not
    found, or if several columns may hold the same figure.
    """
    lines = list(islice(io.StringIO(source.text, newline=""), MAX_LINES + 1))
    if len(lines) > MAX_LINES:
        raise LabError(
            f"{source.where} has more than {MAX_LINES:,} lines, but YouTube Studio exports at most 500 videos; split it "
            "into smaller tables or import the file as Studio gave it"
        )
    lines = [line[:_LONGEST_LINE] for line in lines]
    # Excel may write a first line that names the separator of the columns, so this line is skipped.
    skipped = 1 if lines and re.fullmatch(r"sep=.\s*", lines[0]) else 0
    separator = separator_of(lines[skipped] if len(lines) > skipped else "")
    rows = read_rows(lines, skipped, separator, _has_id)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise LabError(f"{source.where} is empty; export it from YouTube Studio again") from None
    if isinstance(header, str):
        raise LabError(f"{source.where} is not a CSV file ({header}); import the file as YouTube Studio gave it")
    if len(header) > MAX_COLUMNS:
        raise LabError(
            f"{source.where} has more than {MAX_COLUMNS:,} columns, and no table of YouTube Studio has that many; import "
            "the file as Studio gave it"
        )
    numbered = list(rows)
    read = [row for _, row in numbered if not isinstance(row, str) and not _is_note(row)]
    totals = _totals(read, len(header))
    columns = find_columns(source.where, header, [row for row in read if row is not totals], totals, given)
    table = StudioTable(columns, remarks=list(columns.remarks))
    for line, row in numbered:
        if isinstance(row, str):
            table.rows.append(RowProblem(line, "", row))
        elif _is_note(row):
            table.remarks.append(f"line {line} says {row[0].strip()[:100]!r}")
        elif any(cell.strip() for cell in row) and row is not totals:
            cells = _cells(line, row, len(header), columns.at)
            if cells is not None:
                table.rows.append(cells)
    return table


def _totals(rows: Sequence[Sequence[str]], width: int) -> Sequence[str] | None:
    """Return the row of totals. The row of totals is the first row, if this row has numbers, no id of a video, and at
    most one text.

    The text is the word for the total in the language of the table.
    """
    first = next((row for row in rows if any(cell.strip() for cell in row)), None)
    if first is None or len(first) > width:
        return None
    at = id_column([row for row in rows if row is not first], width)
    if at is None or at >= len(first) or VIDEO_ID.fullmatch(_id_in(first[at])):
        return None
    word, others = first[at].strip(), [cell.strip() for n, cell in enumerate(first) if n != at and cell.strip()]
    # Studio writes the title and the date after the id. In the row of totals, these two cells are empty.
    blank = [cell.strip() == "" for cell in first[at + 1 : at + 3]]
    numbers = sum(any(letter.isdigit() for letter in cell) for cell in others)
    is_word = bool(word) and not any(letter.isdigit() for letter in word) and word[0] not in "#=\"'"
    return first if is_word and numbers == len(others) > 0 and any(blank) else None


def _cells(line: int, row: Sequence[str], width: int, columns: Mapping[str, int]) -> Cells | RowProblem | None:
    """Return the cells of a row, or a `RowProblem` if the row must be skipped.

    Return None for a row of totals that is not the first row.
    """
    texts = {name: INVISIBLE.sub("", row[at]).strip() for name, at in columns.items() if at < len(row)}
    video_id = texts[VIDEO] = _id_in(texts.get(VIDEO, ""))
    if video_id.casefold() in TOTALS and all(is_nothing(texts.get(name, "")) for name in (TITLE, PUBLISHED)):
        return None
    bad = [name for name, text in texts.items() if not storable(text)]
    if bad and set(bad) != {TITLE}:
        shown_id = "" if VIDEO in bad else video_id[:MAX_SHOWN_ID]
        columns_shown = ", ".join(FIELDS[name] for name in bad)
        return RowProblem(line, shown_id, f"{columns_shown} holds bytes that are not text; the file is damaged")
    if len(row) > width:
        return RowProblem(
            line, video_id[:MAX_SHOWN_ID], "the row has more cells than the header; check for an unquoted comma"
        )
    if len(texts) < len(columns):
        return RowProblem(line, video_id[:MAX_SHOWN_ID], "the row has fewer cells than the header")
    return Cells(line, texts)


def _id_in(cell: str) -> str:
    """Return the text of a cell without the characters that Studio or a spreadsheet puts before and after an id.

    Spreadsheets treat an id that begins with a hyphen as a formula. So Studio puts a space before such an id, and some
    spreadsheets write ="-id" instead of the id.
    """
    return INVISIBLE.sub("", cell).strip().lstrip("='\" ").rstrip('"')


def _is_note(row: Sequence[str]) -> bool:
    """Return whether the row is a note such as `Showing top 500 results`.

    A note has text only in the first cell, and the text contains a space. An id never contains a space.
    """
    words = row[0].strip() if row else ""
    return " " in words and not any(cell.strip() for cell in row[1:])


def _has_id(cells: Sequence[str]) -> bool:
    """Return whether at least one cell is the id of a video."""
    return any(VIDEO_ID.fullmatch(cell.strip("='\" ")) for cell in cells)

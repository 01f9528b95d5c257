"""Read the table of a YouTube Studio export.

Studio has renamed its columns several times. So each column is found by any of its known English names.
"""

import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.given_text import VIDEO_ID, not_utf8
from thumblab_pipelines.owner_ctr.studio_file import LANGUAGE_SETTING, TableText, listed, read_texts, shown
from thumblab_pipelines.owner_ctr.video_ids import MAX_SHOWN_ID
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.tables.rows import read_rows, separator_of

MAX_LINES = 20_000
"""A table may have at most this many lines. Studio exports at most 500 videos, one on each line."""

_STUDIO_NAMES = {
    "video": ("video", "content", "video id"),
    "impressions": ("impressions", "thumbnail impressions"),
    "rate": (
        "impressions click-through rate",
        "thumbnail impressions click-through rate",
        "thumbnail click-through rate",
    ),
    "duration": ("duration", "video duration", "video length"),
    "shown_in_feed": ("shown in feed",),
    "stayed": ("viewed (vs. swiped away)", "stayed to watch"),
}
"""The keys are the names that this module gives the columns.

The values are the names that Studio uses now or used earlier, in the form that `_normalized` returns.
"""

_REQUIRED = {"video": "Content", "impressions": "Impressions", "rate": "Impressions click-through rate (%)"}
"""The required columns, with the names that Studio uses now."""

_ENGLISH = {"video title", "video publish time", "views", "watch time (hours)", "subscribers", *_STUDIO_NAMES["rate"]}
"""Column names that only an English export has. `Video` and `Impressions` are not among them, because German and French
exports have them too."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
"""Regular expression for soft hyphens, zero-width characters, direction marks and byte order marks."""


@dataclass(frozen=True)
class Cells:
    """The texts of one row by column name, for the columns in `_STUDIO_NAMES`.

    `line` is the number of the row's line in the file. The first line of the file is line 1.
    """

    line: int
    texts: dict[str, str]


@dataclass
class StudioTable:
    """The rows of a table, without the row `Total`. In place of a row that cannot be read, there is a `RowProblem`.

    `remarks` quotes the notes that Studio wrote below the rows.
    """

    rows: list[Cells | RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_tables(path: Path) -> tuple[dict[str, StudioTable], list[str]]:
    """Return the tables of an export, and a message for each table or file of the export that was left out.

    The key of a table says where it was found, such as `export.zip > Table data.csv`.

    Raises `LabError` if the file has no table that can be read.
    """
    texts = read_texts(path)
    tables: dict[str, StudioTable] = {}
    errors: list[str] = []
    for text in texts.tables:
        try:
            tables[text.where] = read_table(text)
        except LabError as error:
            errors.append(str(error))
    if not tables:
        raise LabError(texts.refusal or errors[0])
    return tables, texts.left_out + errors


def read_table(source: TableText) -> StudioTable:
    """Read one table.

    Raises `LabError` if the table is empty, too long or not CSV, or if it is not an English export of Studio. Raises
    `LabError` too if a required column is missing, or if there are several columns for one figure.
    """
    lines = list(islice(io.StringIO(source.text, newline=""), MAX_LINES + 1))
    if len(lines) > MAX_LINES:
        raise LabError(
            f"{source.where} has more than {MAX_LINES:,} lines, but YouTube Studio exports at most 500 videos; split it "
            "into smaller tables or import the file as Studio gave it"
        )
    # Excel may write a first line that names the separator of the columns.
    skipped = 1 if lines and re.fullmatch(r"sep=.\s*", lines[0]) else 0
    separator = separator_of(lines[skipped] if len(lines) > skipped else "")
    rows = read_rows(lines, skipped, separator, _has_id)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise LabError(f"{source.where} is empty; export it from YouTube Studio again") from None
    if isinstance(header, str):
        raise LabError(f"{source.where} is not a CSV file ({header}); import the file as YouTube Studio gave it")
    columns = _columns(source.where, header, lines[skipped:], separator)
    table = StudioTable()
    for line, row in rows:
        if isinstance(row, str):
            table.rows.append(RowProblem(line, "", row))
        elif _is_note(row):
            table.remarks.append(f"line {line} says {row[0].strip()[:100]!r}")
        elif any(cell.strip() for cell in row):
            cells = _cells(line, row, len(header), columns)
            if cells is not None:
                table.rows.append(cells)
    return table


def _cells(line: int, row: Sequence[str], width: int, columns: dict[str, int]) -> Cells | RowProblem | None:
    """Return the cells of a row, or the problem because of which it is skipped.

    Return None for the row of the totals.
    """
    texts = {name: _INVISIBLE.sub("", row[at]).strip() for name, at in columns.items() if at < len(row)}
    # An id that begins with a hyphen looks like a formula to spreadsheets. Studio therefore puts a space before such an
    # id. Some spreadsheets write such an id as ="-id". The characters that Studio or a spreadsheet added are removed
    # here.
    video_id = texts["video"] = texts.get("video", "").lstrip("='\" ").rstrip('"')
    if video_id.casefold() == "total":
        return None
    bad = [name for name, text in texts.items() if "\0" in text or not_utf8(text)]
    if bad:
        shown_id = "" if "video" in bad else video_id[:MAX_SHOWN_ID]
        columns_shown = ", ".join(_REQUIRED.get(name, name) for name in bad)
        return RowProblem(line, shown_id, f"{columns_shown} holds bytes that are not text; the file is damaged")
    if len(row) > width:
        return RowProblem(
            line, video_id[:MAX_SHOWN_ID], "the row has more cells than the header; check for an unquoted comma"
        )
    if len(texts) < len(columns):
        return RowProblem(line, video_id[:MAX_SHOWN_ID], "the row has fewer cells than the header")
    return Cells(line, texts)


def _is_note(row: Sequence[str]) -> bool:
    """Return whether the row is a note such as `Showing top 500 results`.

    A note has text in the first cell only, and the text contains a space. Ids contain no space.
    """
    words = row[0].strip() if row else ""
    return " " in words and not any(cell.strip() for cell in row[1:])


def _columns(where: str, header: Sequence[str], lines: Sequence[str], separator: str) -> dict[str, int]:
    """Return the position of each column in the row. The columns of the duration and of Shorts may be missing.

    Raises `LabError` if a required column is missing, or if there are several columns for one figure.
    """
    if any("\0" in name or not_utf8(name) for name in header):
        raise LabError(f"{where} is not in UTF-8; import the file as YouTube Studio gave it")
    names = [_normalized(name) for name in header]
    columns: dict[str, int] = {}
    for column, studio_names in _STUDIO_NAMES.items():
        positions = [at for at, name in enumerate(names) if name in studio_names]
        matches = [header[at] for at in positions]
        if len(positions) > 1 and len({names[at] for at in positions}) == 1:
            raise LabError(
                f"{where} has the column {shown(matches[0])} {len(matches)} times; export it without a comparison"
            )
        if len(positions) > 1:
            raise LabError(
                f"{where} has several columns for one figure ({listed(matches)}); remove all but one of them from the "
                "table in Studio and export again"
            )
        if positions:
            columns[column] = positions[0]
    missing = [studio_name for column, studio_name in _REQUIRED.items() if column not in columns]
    if not missing:
        return columns
    present = listed(header)
    if not set(names) & _ENGLISH:
        if not any(_has_id(line.split(separator)) for line in lines[1:12]):
            raise LabError(
                f"{where} is not an export of YouTube Studio: its columns are {present}; export the table in Studio's "
                "Analytics under Advanced mode"
            )
        raise LabError(
            f"{where} is not in English: its columns are {present}; switch YouTube Studio's language to "
            f"English ({LANGUAGE_SETTING}) and export again"
        )
    noun = "column" if len(missing) == 1 else "columns"
    raise LabError(
        f"{where} lacks the {noun} {', '.join(missing)}; it has {present}. In Studio's Analytics open "
        "Advanced mode, choose Content, add the metrics Impressions and Impressions click-through rate, and export again"
    )


def _has_id(cells: Sequence[str]) -> bool:
    """Return whether one of the cells holds the id of a video."""
    return any(VIDEO_ID.fullmatch(cell.strip("='\" ")) for cell in cells)


def _normalized(name: str) -> str:
    """Return a column name in the form that is used for comparisons.

    The result is case-folded and has single spaces. Invisible characters and ` (%)` are removed.
    """
    visible = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name)).casefold().strip("\"' ")
    return " ".join(visible.removesuffix("(%)").split())

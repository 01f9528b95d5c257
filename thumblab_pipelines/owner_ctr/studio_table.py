"""The table of a YouTube Studio export: its columns are found whatever Studio calls them this year."""

import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_pipelines.owner_ctr.studio_file import SWITCH, TableText, read_texts
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.tables.rows import not_utf8, read_rows, separator_of

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
MOST_LINES = 20_000
"""Studio exports at most 500 videos, each on a line of its own."""

_LONGEST_ID = 200

_NAMES = {
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
"""By our names, as Studio calls or called the columns; ` (%)` at the end is left out in comparing."""

_CALLED = {"video": "Content", "impressions": "Impressions", "rate": "Impressions click-through rate (%)"}
"""The columns that are needed, as Studio calls them now."""

_ENGLISH = {"video title", "video publish time", "views", "watch time (hours)", "subscribers", *_NAMES["rate"]}
"""No other language has these; `Video` and `Impressions` are German and French as well."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


@dataclass(frozen=True)
class Cells:
    """One row: the text of those columns that matter, by our names for them. `line` counts from 1, the header included."""

    line: int
    texts: dict[str, str]


@dataclass
class Table:
    """The rows of a table, `Total` left out, or why one cannot be read; `remarks` are what Studio wrote below them."""

    rows: list[Cells | RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_tables(path: Path) -> tuple[dict[str, Table], list[str]]:
    """The tables of a file by where they are, at least one, and a sentence for each part of it that is none.

    Raises `LabError` when no part can be read.
    """
    found = read_texts(path)
    tables: dict[str, Table] = {}
    wrong: list[str] = []
    for source in found.texts:
        try:
            tables[source.where] = read_table(source)
        except LabError as error:
            wrong.append(str(error))
    if not tables:
        raise LabError(found.refusal or wrong[0])
    return tables, found.left + wrong


def read_table(source: TableText) -> Table:
    """Raises `LabError` when the text is no export of Studio's, is in another language than English, or lacks a column."""
    lines = list(islice(io.StringIO(source.text, newline=""), MOST_LINES + 1))
    if len(lines) > MOST_LINES:
        raise LabError(
            f"{source.where} has more than {MOST_LINES:,} lines, and YouTube Studio exports 500 videos; split it into "
            "smaller tables or import the file as Studio gave it"
        )
    skipped = 1 if lines and re.fullmatch(r"sep=.\s*", lines[0]) else 0  # a note of Excel's to itself
    separator = separator_of(lines[skipped] if len(lines) > skipped else "")
    rows = read_rows(lines, skipped, separator, _has_id)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise LabError(f"{source.where} is empty; export it from YouTube Studio once more") from None
    if isinstance(header, str):
        raise LabError(f"{source.where} is no CSV file ({header}); import the file as YouTube Studio gave it")
    columns = _columns(source.where, header, lines[skipped:], separator)
    table = Table()
    for line, row in rows:
        if isinstance(row, str):
            table.rows.append(RowProblem(line, "", row))
        elif _is_note(row):
            table.remarks.append(f"line {line} says {row[0].strip()[:100]!r}")
        elif any(cell.strip() for cell in row):
            found = _cells(line, row, len(header), columns)
            if found is not None:
                table.rows.append(found)
    return table


def _cells(line: int, row: Sequence[str], width: int, columns: dict[str, int]) -> Cells | RowProblem | None:
    """None for the row of the totals."""
    texts = {name: _INVISIBLE.sub("", row[at]).strip() for name, at in columns.items() if at < len(row)}
    # Studio puts a space before an id that begins with a hyphen, so that no spreadsheet takes it for a formula; spreadsheets
    # put = and quotes.
    video_id = texts["video"] = texts.get("video", "").lstrip("='\" ").rstrip('"')
    if video_id.casefold() == "total":
        return None
    bad = [name for name, text in texts.items() if "\0" in text or not_utf8(text)]
    if bad:
        shown = "" if "video" in bad else video_id[:_LONGEST_ID]
        called = ", ".join(_CALLED.get(name, name) for name in bad)
        return RowProblem(line, shown, f"{called} holds bytes that are no text; the file is damaged")
    if len(row) > width:
        return RowProblem(line, video_id[:_LONGEST_ID], "the row has more cells than the header; is a comma unquoted?")
    if len(texts) < len(columns):
        return RowProblem(line, video_id[:_LONGEST_ID], "the row has fewer cells than the header")
    return Cells(line, texts)


def _is_note(row: Sequence[str]) -> bool:
    """Words in the first cell alone, such as `Showing top 500 results`: no id has a space."""
    words = row[0].strip() if row else ""
    return " " in words and not any(cell.strip() for cell in row[1:])


def _columns(where: str, header: Sequence[str], lines: Sequence[str], separator: str) -> dict[str, int]:
    """Where each of our columns is. The length and those of Shorts may be absent."""
    if any("\0" in name or not_utf8(name) for name in header):
        raise LabError(f"{where} is not in UTF-8; import the file as YouTube Studio gave it")
    names = [_plain(name) for name in header]
    found: dict[str, int] = {}
    for ours, theirs in _NAMES.items():
        places = [at for at, name in enumerate(names) if name in theirs]
        if len(places) > 1 and len({names[at] for at in places}) == 1:
            raise LabError(
                f"{where} has the column {_shown(header[places[0]])} {len(places)} times; export it without a comparison"
            )
        if len(places) > 1:
            raise LabError(
                f"{where} has several columns for one figure ({_listed([header[at] for at in places])}); remove all but one "
                "of them from the table in Studio and export again"
            )
        if places:
            found[ours] = places[0]
    missing = [called for ours, called in _CALLED.items() if ours not in found]
    if not missing:
        return found
    has = _listed(header)
    if not set(names) & _ENGLISH:
        if not any(_has_id(line.split(separator)) for line in lines[1:12]):
            raise LabError(
                f"{where} is no export of YouTube Studio: its columns are {has}; export the table in Studio's Analytics "
                "under Advanced mode"
            )
        raise LabError(
            f"{where} is in another language than English: its columns are {has}; switch YouTube Studio's language to "
            f"English ({SWITCH}) and export again"
        )
    raise LabError(
        f"{where} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}; it has {has}. In Studio's Analytics open "
        "Advanced mode, choose Content, add the metrics Impressions and Impressions click-through rate, and export again"
    )


def _has_id(cells: Sequence[str]) -> bool:
    return any(VIDEO_ID.fullmatch(cell.strip("='\" ")) for cell in cells)


def _plain(name: str) -> str:
    """As it is compared: without soft hyphens and marks that nobody sees, in one case, with single spaces."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name)).casefold().strip("\"' ")
    return " ".join(plain.removesuffix("(%)").split())


def _shown(name: str) -> str:
    return "".join(letter for letter in _INVISIBLE.sub("", name) if letter.isprintable())[:60]


def _listed(names: Sequence[str]) -> str:
    shown = [_shown(name) for name in names[:30]]
    return ", ".join(shown) + (f" and {len(names) - 30} more" if len(names) > 30 else "")

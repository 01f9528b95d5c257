"""The table of a YouTube Studio export: out of its .zip or CSV, its columns found whatever Studio calls them this year."""

import csv
import io
import lzma
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from thumblab_core.errors import LabError
from thumblab_pipelines.steps.catalogue_rows import RowProblem

LARGEST_TABLE = 16 * 2**20
"""Bytes; Studio exports at most 500 videos, which are some 100 KB."""

TABLE = "Table data.csv"
VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_LARGEST_ZIP = 64 * 2**20
_LONGEST_ID = 200

_NAMES = {
    "video": ("video", "content", "video id"),
    "impressions": ("impressions", "thumbnail impressions"),
    "rate": ("impressions click-through rate (%)", "thumbnail impressions click-through rate (%)"),
    "shown_in_feed": ("shown in feed",),
    "stayed": ("viewed (vs. swiped away) (%)", "stayed to watch (%)"),
}
_CALLED = {"video": "Content", "impressions": "Impressions", "rate": "Impressions click-through rate (%)"}
"""The columns that are needed, as Studio calls them now."""

_SWITCH = "in Studio: Settings > General, or your picture at the top right > Language"

_ENGLISH = {"video title", "video publish time", "views", "watch time (hours)", "subscribers", *_NAMES["rate"]}
"""No other language has these; `Video` and `Impressions` are German and French as well."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


@dataclass(frozen=True)
class Cells:
    """One row: the text of those columns that matter, by our names for them. `line` counts from 1, the header included."""

    line: int
    texts: dict[str, str]


def read_table(path: Path) -> Iterator[Cells | RowProblem]:
    """Each row of an export, `Total` left out, or why it cannot be read.

    Raises `LabError` when the file is no export of Studio's, is in another language than English, or lacks a column.
    """
    lines = list(io.StringIO(_text(path), newline=""))
    rows = _rows(lines)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise LabError(f"{path} is empty; export it from YouTube Studio once more") from None
    if isinstance(header, str):
        raise LabError(f"{path} is no CSV file ({header}); import the file as YouTube Studio gave it")
    columns = _columns(path, header, lines)
    for line, row in rows:
        if isinstance(row, str):
            yield RowProblem(line, "", row)
            continue
        if not any(cell.strip() for cell in row):
            continue
        texts = {name: row[at].strip() for name, at in columns.items() if at < len(row)}
        # Studio puts a space before an id that begins with a hyphen, so that no spreadsheet takes it for a formula.
        video_id = texts["video"] = texts.get("video", "").lstrip("' ")
        if video_id.casefold() == "total":
            continue
        bad = [name for name, text in texts.items() if "\0" in text or _not_utf8(text)]
        if bad:
            shown = "" if "video" in bad else video_id[:_LONGEST_ID]
            called = ", ".join(_CALLED.get(name, name) for name in bad)
            yield RowProblem(line, shown, f"{called} holds bytes that are no text; the file is damaged")
        elif len(row) > len(header):
            yield RowProblem(
                line, video_id[:_LONGEST_ID], "the row has more cells than the header; is a comma unquoted?"
            )
        elif len(texts) < len(columns):
            yield RowProblem(line, video_id[:_LONGEST_ID], "the row has fewer cells than the header")
        else:
            yield Cells(line, texts)


def _text(path: Path) -> str:
    """The CSV text. A byte that is not UTF-8 becomes a lone surrogate, so that it costs its own row and no other."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            data = _unzipped(path, file) if start[:2] == b"PK" else _limited(path, file)
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror or error}); check the name and your rights") from None
    return data.decode("utf-8-sig", errors="surrogateescape")


def _limited(path: Path, file: BinaryIO) -> bytes:
    data = file.read(LARGEST_TABLE + 1)
    if len(data) > LARGEST_TABLE:
        raise LabError(f"{path} holds more than {LARGEST_TABLE // 2**20} MiB; no table of YouTube Studio is that large")
    return data


def _unzipped(path: Path, file: BinaryIO) -> bytes:
    """`Table data.csv` of the archive, read in memory. What its directory says of sizes is checked, and not believed."""
    if path.stat().st_size > _LARGEST_ZIP:
        raise LabError(f"{path} holds more than {_LARGEST_ZIP // 2**20} MiB; no export of YouTube Studio is that large")
    try:
        with zipfile.ZipFile(file) as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
            table = [f for f in files if f.filename.rsplit("/", 1)[-1].casefold() == TABLE.casefold()]
            if not table:
                raise LabError(_without_table(path, [entry.filename for entry in files]))
            with archive.open(table[0]) as entry:
                data = entry.read(LARGEST_TABLE + 1)
            if table[0].file_size > LARGEST_TABLE or len(data) > LARGEST_TABLE:
                raise LabError(
                    f"{TABLE} in {path} holds more than {LARGEST_TABLE // 2**20} MiB unpacked; it is not read"
                )
            return data
    # RuntimeError: locked with a password. NotImplementedError: a compression that Python does not know.
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise LabError(f"{path} is a damaged .zip file ({error}); export it from YouTube Studio once more") from None


def _without_table(path: Path, names: Sequence[str]) -> str:
    if "xl/workbook.xml" in names:
        return f"{path} is an Excel workbook; in YouTube Studio choose the export as comma-separated values (.csv)"
    return (
        f"{path} holds no {TABLE} but {_listed(names) or 'nothing'}; import the .zip that YouTube Studio's export gives, "
        f"made in English ({_SWITCH})"
    )


def _columns(path: Path, header: Sequence[str], lines: Sequence[str]) -> dict[str, int]:
    """Where each of our columns is. Those of Shorts may be absent."""
    if any("\0" in name or _not_utf8(name) for name in header):
        raise LabError(f"{path} is not in UTF-8; import the file as YouTube Studio gave it")
    names = [_plain(name) for name in header]
    found: dict[str, int] = {}
    for ours, theirs in _NAMES.items():
        places = [at for at, name in enumerate(names) if name in theirs]
        if len(places) > 1:
            raise LabError(
                f"{path} has the column {_shown(header[places[0]])} {len(places)} times; export it without a comparison"
            )
        if places:
            found[ours] = places[0]
    missing = [called for ours, called in _CALLED.items() if ours not in found]
    if not missing:
        return found
    has = _listed(header)
    if len(header) == 1 and re.search("[;\t]", header[0]):
        raise LabError(f"{path} is not separated by commas; import the file as YouTube Studio gave it, not saved again")
    if not set(names) & _ENGLISH:
        if not any(VIDEO_ID.fullmatch(line.split(",")[0].strip(" '\"")) for line in lines[1:12]):
            raise LabError(
                f"{path} is no export of YouTube Studio: its columns are {has}; export the table in Studio's Analytics "
                "under Advanced mode"
            )
        raise LabError(
            f"{path} is in another language than English: its columns are {has}; switch YouTube Studio's language to "
            f"English ({_SWITCH}) and export again"
        )
    raise LabError(
        f"{path} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}; it has {has}. In Studio's Analytics open "
        "Advanced mode, choose Content, add the metrics Impressions and Impressions click-through rate, and export again"
    )


def _rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Line number and cells of each row, or what is wrong with it.

    A quote that is never closed swallows the rows after it: where a row goes on over lines that are rows of
    their own, only its first line is given up.
    """
    start, width = 0, 0
    while start < len(lines):
        reader = csv.reader(lines[start:])
        base, start = start, len(lines)
        while True:
            first = base + reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:  # such as a cell of more than 128 KiB
                yield first + 1, str(error)
                start = first + 1
                break
            width = width or len(row)
            more = lines[first + 1 : base + reader.line_num]
            if more and (len(row) != width or any(_is_row(line, width) for line in more)):
                yield first + 1, "a quote is opened and not closed on this line"
                start = first + 1
                break
            yield first + 1, row


def _is_row(line: str, width: int) -> bool:
    cells = next(csv.reader([line]), [])
    return len(cells) == width and any(VIDEO_ID.fullmatch(cell.strip("' ")) for cell in cells)


def _plain(name: str) -> str:
    """As it is compared: without soft hyphens and marks that nobody sees, in one case, with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", _INVISIBLE.sub("", name)).casefold().split())


def _shown(name: str) -> str:
    return "".join(letter for letter in _INVISIBLE.sub("", name) if letter.isprintable())[:60]


def _listed(names: Sequence[str]) -> str:
    shown = [_shown(name) for name in names[:30]]
    return ", ".join(shown) + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def _not_utf8(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)

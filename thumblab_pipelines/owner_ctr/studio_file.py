"""The tables in a file that YouTube Studio gave: a CSV, or a .zip with one table or several, read in memory."""

import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from thumblab_core.errors import LabError

LARGEST_TABLE = 16 * 2**20
"""Bytes; Studio exports at most 500 videos, which are some 100 KB."""

TABLE = "Table data.csv"
SWITCH = "in Studio: Settings > General, or your picture at the top right > Language"
_LARGEST_ZIP = 64 * 2**20
"""Bytes, packed, and also of all that is unpacked of one file."""

_MOST_FILES = 50
"""Tables, and as many archives."""

_NAMED = re.compile(r"table data( ?\(\d+\))?\.csv")
_BESIDE = re.compile(r"(chart data|totals)( ?\(\d+\))?\.csv")
"""What Studio puts beside each table, and what no import needs."""

# NotImplementedError: a compression that Python does not know. OSError: bz2 says so of bad data.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


@dataclass(frozen=True)
class TableText:
    """A table as text, and where it is: the path of the file, and in a .zip the name there."""

    where: str
    text: str


@dataclass
class Found:
    """What a file holds. `left` has a sentence for each part that was not read.

    `refusal` says what the file lacks, where no name told which of several CSV files is the table.
    """

    texts: list[TableText] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    refusal: str = ""


def read_texts(path: Path) -> Found:
    """Every table of the file, at least one; also of a .zip inside a .zip. Raises `LabError`."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, which may never end
            raise LabError(f"{path} is no file; give the .zip or the .csv that YouTube Studio gave")
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start[:2] != b"PK":
                return Found([TableText(str(path), _decoded(_limited(path, file)))])
            if path.stat().st_size > _LARGEST_ZIP:
                raise LabError(
                    f"{path} holds more than {_LARGEST_ZIP // 2**20} MiB; no export of YouTube Studio is that large"
                )
            unpacking = _Unpacking(path)
            unpacking.archive(file)
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror or error}); check the name and your rights") from None
    if not unpacking.found.texts:
        raise LabError(unpacking.found.left[0])
    return unpacking.found


def _limited(path: Path, file: BinaryIO) -> bytes:
    data = file.read(LARGEST_TABLE + 1)
    if len(data) > LARGEST_TABLE:
        raise LabError(f"{path} holds more than {LARGEST_TABLE // 2**20} MiB; no table of YouTube Studio is that large")
    return data


def _decoded(data: bytes) -> str:
    """UTF-8, or UTF-16 where it says so. A byte that is not UTF-8 becomes a lone surrogate, so that it costs its own row
    and no other.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="surrogateescape")


class _TooMuchError(LabError):
    """The whole file is refused, and not one part of it."""


class _Unpacking:
    """Reads one .zip within bounds. What the directory of an archive says of sizes is checked, and not believed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = Found()
        self.unpacked = 0
        self.tables = 0
        self.archives = 0

    def archive(self, file: BinaryIO, inner: str = "") -> None:
        """Its tables; those called `Table data.csv`, or else every CSV file, whose header then tells."""
        where = f"{self.path} > {inner}".removesuffix(" > ")
        with self._skipping(), _reading(where), zipfile.ZipFile(file) as archive:
            files = [entry for entry in archive.infolist() if _is_file(entry)]
            sheets = [entry for entry in files if _base(entry).endswith(".csv") and not _BESIDE.fullmatch(_base(entry))]
            archives = [entry for entry in files if _base(entry).endswith(".zip")]
            named = [entry for entry in sheets if _NAMED.fullmatch(_base(entry))]
            tables = named or sheets
            opened = [] if inner else archives
            if not tables and not opened:
                raise LabError(_without_table(where, files))
            if not named and len(sheets) > 1:
                self.found.refusal = _without_table(where, files)
            unread = [entry for entry in sheets if entry not in tables] + (archives if inner else [])
            for entry in tables:
                self.tables += 1
                with self._skipping():
                    text = _decoded(self._entry(where, archive, entry))
                    self.found.texts.append(TableText(f"{where} > {entry.filename}", text))
            if unread:
                self.found.left.append(f"{where} also holds {_listed(unread)}")
            for entry in opened:
                self.archives += 1
                with self._skipping():
                    self.archive(io.BytesIO(self._entry(where, archive, entry)), f"{entry.filename} > ")

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """A part that cannot be read costs no other part."""
        try:
            yield
        except _TooMuchError:
            raise
        except LabError as error:
            self.found.left.append(str(error))

    def _entry(self, where: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
        name = f"{entry.filename} in {where}"
        self._bound()
        if entry.flag_bits & 1:
            raise LabError(f"{name} is locked with a password; unpack it and import the {TABLE}")
        with _reading(name), archive.open(entry) as file:
            data = file.read(LARGEST_TABLE + 1)
        self.unpacked += len(data)
        self._bound()
        if entry.file_size > LARGEST_TABLE or len(data) > LARGEST_TABLE:
            raise LabError(f"{name} holds more than {LARGEST_TABLE // 2**20} MiB unpacked; it is not read")
        return data

    def _bound(self) -> None:
        if max(self.tables, self.archives) > _MOST_FILES or self.unpacked > _LARGEST_ZIP:
            raise _TooMuchError(
                f"{self.path} holds more than {_MOST_FILES} tables or .zip files, or more than "
                f"{_LARGEST_ZIP // 2**20} MiB unpacked; import the exports in several files"
            )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise LabError(f"{name} is a damaged .zip file ({error}); export it from YouTube Studio once more") from None


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Neither a folder, nor a link, nor what macOS puts beside every file."""
    mode = entry.external_attr >> 16
    beside = entry.filename.startswith("__MACOSX/") or _base(entry).startswith("._")
    return not entry.is_dir() and not beside and not (mode and stat.S_ISLNK(mode))


def _base(entry: zipfile.ZipInfo) -> str:
    """Its name as it is compared: without folders, in one case."""
    return entry.filename.replace("\\", "/").rsplit("/", 1)[-1].strip().casefold()


def _listed(files: Sequence[zipfile.ZipInfo]) -> str:
    names = ["".join(letter for letter in entry.filename if letter.isprintable())[:60] for entry in files[:30]]
    return ", ".join(names) + (f" and {len(files) - 30} more" if len(files) > 30 else "")


def _without_table(where: str, files: Sequence[zipfile.ZipInfo]) -> str:
    if any(entry.filename == "xl/workbook.xml" for entry in files):
        return f"{where} is an Excel workbook; in YouTube Studio choose the export as comma-separated values (.csv)"
    return (
        f"{where} holds no {TABLE} but {_listed(files) or 'nothing'}; import the .zip that YouTube Studio's export gives, "
        f"made in English ({SWITCH})"
    )

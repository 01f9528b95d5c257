"""Read the tables in an export of YouTube Studio: a CSV, or a .zip with one or more tables.

Everything is read in memory; no file is unpacked to disk.
"""

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
"""Bytes. Studio exports at most 500 videos, about 100 KB."""

TABLE = "Table data.csv"
LANGUAGE_SETTING = "in Studio: Settings > General, or your picture at the top right > Language"
_LARGEST_ZIP = 64 * 2**20
"""Bytes. Limit for a .zip file, and for everything that is unpacked from it."""

_MAX_FILES = 50
"""Limit for the tables in a file, and for the .zip files in it."""

_TABLE_NAME = re.compile(r"table data( ?\(\d+\))?\.csv")
_OTHER_NAME = re.compile(r"(chart data|totals)( ?\(\d+\))?\.csv")
"""Files that Studio puts beside each table. The import does not need them."""

# NotImplementedError: a compression method that Python does not support. OSError: bad data in bz2.
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
    """The text of a table, and its location: the path of the file, followed by the name inside a .zip."""

    where: str
    text: str


@dataclass
class FileTexts:
    """The texts of the tables in a file.

    `left_out` has a sentence for each part that was not read. `refusal` is set if no file name says which of several CSV
    files is the table. It is the error to report if none of them turns out to be one.
    """

    tables: list[TableText] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    refusal: str = ""


def read_texts(path: Path) -> FileTexts:
    """Return the tables of the file, including those of a .zip inside the .zip.

    Raises `LabError` if the file has no table that can be read.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe may never end
            raise LabError(f"{path} is not a regular file; give the .zip or .csv file from YouTube Studio")
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start[:2] != b"PK":
                return FileTexts([TableText(str(path), _decoded(_limited(path, file)))])
            if path.stat().st_size > _LARGEST_ZIP:
                raise LabError(
                    f"{path} holds more than {_LARGEST_ZIP // 2**20} MiB; no export of YouTube Studio is that large"
                )
            reader = _ZipReader(path)
            reader.read_archive(file)
    except OSError as error:
        raise LabError(
            f"{path} cannot be read ({error.strerror or error}); check the name and your permissions"
        ) from None
    if not reader.texts.tables:
        raise LabError(reader.texts.left_out[0])
    return reader.texts


def _limited(path: Path, file: BinaryIO) -> bytes:
    data = file.read(LARGEST_TABLE + 1)
    if len(data) > LARGEST_TABLE:
        raise LabError(f"{path} holds more than {LARGEST_TABLE // 2**20} MiB; no table of YouTube Studio is that large")
    return data


def _decoded(data: bytes) -> str:
    """Decode UTF-16 if the data starts with a byte order mark of it, else UTF-8.

    A byte that is not UTF-8 becomes a lone surrogate, so that only its own row is lost.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="surrogateescape")


class _TooMuchError(LabError):
    """The file exceeds a limit and is refused as a whole, not only one part of it."""


class _ZipReader:
    """Reads one .zip file within limits.

    Unpacked sizes are measured, because the directory of an archive may state wrong sizes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts = FileTexts()
        self.unpacked = 0
        self.tables = 0
        self.archives = 0

    def read_archive(self, file: BinaryIO, inner: str = "") -> None:
        """Read the tables of an archive, and of the archives inside it. `inner` is the name of an inner archive.

        Tables are the files called `Table data.csv`. If there are none, every CSV file is read; its header then decides.
        """
        where = f"{self.path} > {inner}".removesuffix(" > ")
        with self._skipping(), _reading(where), zipfile.ZipFile(file) as archive:
            files = [entry for entry in archive.infolist() if _is_file(entry)]
            csv_files = [
                entry
                for entry in files
                if _base_name(entry).endswith(".csv") and not _OTHER_NAME.fullmatch(_base_name(entry))
            ]
            archives = [entry for entry in files if _base_name(entry).endswith(".zip")]
            named = [entry for entry in csv_files if _TABLE_NAME.fullmatch(_base_name(entry))]
            tables = named or csv_files
            inner_archives = [] if inner else archives
            if not tables and not inner_archives:
                raise LabError(_no_table(where, files))
            if not named and len(csv_files) > 1:
                self.texts.refusal = _no_table(where, files)
            unread = [entry for entry in csv_files if entry not in tables] + (archives if inner else [])
            for entry in tables:
                self.tables += 1
                with self._skipping():
                    text = _decoded(self._read_entry(where, archive, entry))
                    self.texts.tables.append(TableText(f"{where} > {entry.filename}", text))
            if unread:
                self.texts.left_out.append(f"{where} also holds {listed(_names(unread))}")
            for entry in inner_archives:
                self.archives += 1
                with self._skipping():
                    data = self._read_entry(where, archive, entry)
                    self.read_archive(io.BytesIO(data), f"{entry.filename} > ")

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Note an error of one part in `left_out` and continue with the other parts."""
        try:
            yield
        except _TooMuchError:
            raise
        except LabError as error:
            self.texts.left_out.append(str(error))

    def _read_entry(self, where: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
        name = f"{entry.filename} in {where}"
        self._check_limits()
        if entry.flag_bits & 1:
            raise LabError(f"{name} is locked with a password; unpack it and import the {TABLE}")
        with _reading(name), archive.open(entry) as file:
            data = file.read(LARGEST_TABLE + 1)
        self.unpacked += len(data)
        self._check_limits()
        if entry.file_size > LARGEST_TABLE or len(data) > LARGEST_TABLE:
            raise LabError(f"{name} holds more than {LARGEST_TABLE // 2**20} MiB unpacked; it was not read")
        return data

    def _check_limits(self) -> None:
        if max(self.tables, self.archives) > _MAX_FILES or self.unpacked > _LARGEST_ZIP:
            raise _TooMuchError(
                f"{self.path} holds more than {_MAX_FILES} tables or .zip files, or more than "
                f"{_LARGEST_ZIP // 2**20} MiB unpacked; import the exports in several files"
            )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn errors of a damaged archive into `LabError`."""
    try:
        yield
    except _DAMAGED as error:
        raise LabError(f"{name} is a damaged .zip file ({error}); export it from YouTube Studio again") from None


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Return whether the entry is a regular file, and not one of the metadata files that macOS adds for every file."""
    mode = entry.external_attr >> 16
    metadata = entry.filename.startswith("__MACOSX/") or _base_name(entry).startswith("._")
    return not entry.is_dir() and not metadata and not (mode and stat.S_ISLNK(mode))


def _base_name(entry: zipfile.ZipInfo) -> str:
    """Return the name for comparisons: without folders and case-folded."""
    return entry.filename.replace("\\", "/").rsplit("/", 1)[-1].strip().casefold()


def _no_table(where: str, files: Sequence[zipfile.ZipInfo]) -> str:
    if any(entry.filename == "xl/workbook.xml" for entry in files):
        return f"{where} is an Excel workbook; in YouTube Studio choose the export as comma-separated values (.csv)"
    contents = listed(_names(files)) or "other entries"
    return (
        f"{where} holds no {TABLE}, only {contents}; import the .zip that YouTube Studio exports while its language is "
        f"English ({LANGUAGE_SETTING})"
    )


def _names(files: Sequence[zipfile.ZipInfo]) -> list[str]:
    return [entry.filename for entry in files]


def shown(name: str) -> str:
    """Return the name of a file or column for an error message: at most 60 characters, only printable ones."""
    return "".join(letter for letter in name if letter.isprintable())[:60]


def listed(names: Sequence[str]) -> str:
    """Join at most 30 names for an error message."""
    return ", ".join(shown(name) for name in names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")

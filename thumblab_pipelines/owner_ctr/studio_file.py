"""Read the tables in an export of YouTube Studio. An export is a CSV file, or a .zip with one or more tables.

All files are read in memory. No file is unpacked to the disk.
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
"""Maximum size of a table in bytes. Studio exports at most 500 videos, which are about 100 KB."""

TABLE = "Table data.csv"
_LARGEST_ZIP = 64 * 2**20
"""Maximum size of a .zip file in bytes. The total size of the files that are unpacked from it has the same limit."""

_MAX_FILES = 50
"""Maximum number of tables in an imported file. Also the maximum number of .zip files inside the file."""

_OTHER_NAME = re.compile(r"(chart data|totals)( ?\(\d+\))?\.csv")
"""Regular expression for the files that Studio puts beside each table. The import does not need these files."""

# The exceptions that mean a damaged .zip. Python raises NotImplementedError for a compression method that it does not
# support, and OSError for bad bz2 data.
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
    """The text of a table, and its location.

    The location is the path of the file. For a table inside a .zip, the name of the table in the .zip follows this
    path.
    """

    where: str
    text: str


@dataclass
class FileTexts:
    """The texts of the tables in a file.

    `left_out` has a sentence for each part that was not read.
    """

    tables: list[TableText] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_texts(path: Path) -> FileTexts:
    """Return the tables of the file, including the tables of a .zip inside the .zip.

    Raises `LabError` if the file has no table that can be read.
    """
    try:
        # The path may be a pipe, for example. Reading from a pipe may never end, so only a regular file is read.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise LabError(f"{path} is not a regular file; give the .zip or .csv file from YouTube Studio")
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start[:2] != b"PK":
                if path.suffix.casefold() == ".zip":
                    raise LabError(f"{path} cannot be opened as a .zip file; export it from YouTube Studio again")
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
    """Decode the data as UTF-16 if it starts with a byte order mark of UTF-16, and otherwise as UTF-8.

    A byte that is not UTF-8 becomes a lone surrogate, so that only the row with this byte is skipped.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="surrogateescape")


class _TooMuchError(LabError):
    """Raised if the file exceeds a limit for the whole import.

    A damaged part of the file is only skipped. A `_TooMuchError` ends the reading of the whole file.
    """


class _ZipReader:
    """Reads one .zip file. The reader refuses a file that exceeds the limits of this module.

    The unpacked bytes are counted, because the directory of the archive may give wrong sizes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts = FileTexts()
        self.unpacked = 0
        self.tables = 0
        self.archives = 0

    def read_archive(self, file: BinaryIO, inner: str = "") -> None:
        """Read the tables of an archive, and of the archives inside it.

        `inner`: the name of an archive inside the .zip file, or empty for the .zip file itself. Archives inside an
        inner archive are not read. Studio translates the name `Table data.csv`, so every CSV file is read. The header
        of a file shows whether the file is a table.
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
            inner_archives = [] if inner else archives
            if not csv_files and not inner_archives:
                raise LabError(_no_table(where, files))
            unread = archives if inner else []
            for entry in csv_files:
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
        """Catch an error in the `with` block, which reads one part of the .zip.

        The error is added to `left_out`, so that the other parts are still read.
        """
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
    """Turn an error that a damaged archive causes in the `with` block into a `LabError`."""
    try:
        yield
    except _DAMAGED as error:
        raise LabError(f"{name} is a damaged .zip file ({error}); export it from YouTube Studio again") from None


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Return whether the entry is a regular file.

    For every file in a .zip, macOS adds a second file with metadata. The second file does not count as a regular file.
    """
    mode = entry.external_attr >> 16
    metadata = entry.filename.startswith("__MACOSX/") or _base_name(entry).startswith("._")
    return not entry.is_dir() and not metadata and not (mode and stat.S_ISLNK(mode))


def _base_name(entry: zipfile.ZipInfo) -> str:
    """Return the file name of the entry without its folders, case-folded so that upper and lower case are equal."""
    return entry.filename.replace("\\", "/").rsplit("/", 1)[-1].strip().casefold()


def _no_table(where: str, files: Sequence[zipfile.ZipInfo]) -> str:
    if any(entry.filename == "xl/workbook.xml" for entry in files):
        return f"{where} is an Excel workbook; in YouTube Studio choose the export as comma-separated values (.csv)"
    contents = listed(_names(files)) or "other entries"
    return (
        f"{where} holds no {TABLE}, only {contents}; import the .zip that YouTube Studio exports as comma-separated "
        "values (.csv)"
    )


def _names(files: Sequence[zipfile.ZipInfo]) -> list[str]:
    return [entry.filename for entry in files]


def shown(name: str) -> str:
    """Return the name of a file or column for an error message, shortened to 60 printable characters."""
    return "".join(letter for letter in name if letter.isprintable())[:60]


def listed(names: Sequence[str]) -> str:
    """Return the names in one text for an error message. The text has at most 30 names."""
    return ", ".join(shown(name) for name in names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")

"""The tables in a file that YouTube Studio gave: a CSV, or a .zip with one table or several, read in memory."""

import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from thumblab_core.errors import LabError

LARGEST_TABLE = 16 * 2**20
"""Bytes; Studio exports at most 500 videos, which are some 100 KB."""

TABLE = "Table data.csv"
SWITCH = "in Studio: Settings > General, or your picture at the top right > Language"
_LARGEST_ZIP = 64 * 2**20
_MOST_TABLES = 50


@dataclass(frozen=True)
class TableText:
    """A table as text, and where it is: the path of the file, and in a .zip the name there."""

    where: str
    text: str


def read_texts(path: Path) -> list[TableText]:
    """Every table of the file, at least one; also of a .zip inside a .zip. Raises `LabError`."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, which may never end
            raise LabError(f"{path} is no file; give the .zip or the .csv that YouTube Studio gave")
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start[:2] != b"PK":
                return [TableText(str(path), _decoded(_limited(path, file)))]
            if path.stat().st_size > _LARGEST_ZIP:
                raise LabError(
                    f"{path} holds more than {_LARGEST_ZIP // 2**20} MiB; no export of YouTube Studio is that large"
                )
            found = list(_unzipped(path, file))
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror or error}); check the name and your rights") from None
    if len(found) > _MOST_TABLES:
        raise LabError(f"{path} holds {len(found)} tables; import at most {_MOST_TABLES} at once")
    return found


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


def _unzipped(path: Path, file: BinaryIO, inner: str = "") -> Iterator[TableText]:
    """What the directory of an archive says of sizes is checked, and not believed."""
    try:
        with zipfile.ZipFile(file) as archive:
            files = [entry for entry in archive.infolist() if _is_file(entry)]
            tables = [entry for entry in files if _base(entry).casefold() == TABLE.casefold()]
            archives = [entry for entry in files if entry.filename.casefold().endswith(".zip")]
            if not tables and (not archives or inner):
                raise LabError(_without_table(path, [entry.filename for entry in files]))
            for entry in tables:
                yield TableText(f"{path} > {inner}{entry.filename}", _decoded(_entry(path, archive, entry)))
            for entry in archives if not inner else ():
                yield from _unzipped(path, io.BytesIO(_entry(path, archive, entry)), f"{entry.filename} > ")
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


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Neither a folder, nor a link, nor what macOS puts beside every file."""
    mode = entry.external_attr >> 16
    beside = entry.filename.startswith("__MACOSX/") or _base(entry).startswith("._")
    return not entry.is_dir() and not beside and not (mode and stat.S_ISLNK(mode))


def _base(entry: zipfile.ZipInfo) -> str:
    return entry.filename.replace("\\", "/").rsplit("/", 1)[-1]


def _entry(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        data = file.read(LARGEST_TABLE + 1)
    if entry.file_size > LARGEST_TABLE or len(data) > LARGEST_TABLE:
        raise LabError(
            f"{_base(entry)} in {path} holds more than {LARGEST_TABLE // 2**20} MiB unpacked; it is not read"
        )
    return data


def _without_table(path: Path, names: Sequence[str]) -> str:
    if "xl/workbook.xml" in names:
        return f"{path} is an Excel workbook; in YouTube Studio choose the export as comma-separated values (.csv)"
    listed = ", ".join("".join(letter for letter in name if letter.isprintable())[:60] for name in names[:30])
    return (
        f"{path} holds no {TABLE} but {listed or 'nothing'}; import the .zip that YouTube Studio's export gives, "
        f"made in English ({SWITCH})"
    )

"""Read the log files of a lab's servers in the order of time, and follow the lines that are added."""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from thumblab_core.errors import LabError

MOST_BYTES, OLD_FILES = 10 * 2**20, 5
"""`MOST_BYTES` is the largest size of a log file. `OLD_FILES` is the number of older files that are kept beside it,
such as `scoring.log.1` to `scoring.log.5`.
"""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_TAIL_BYTES = 2**16


@dataclass(frozen=True, order=True)
class Line:
    """A line of a log. `moment` is the time in UTC as the log writes it, such as 2026-11-28T03:00:00.000Z."""

    moment: str
    server: str
    text: str

    def local_time(self) -> str:
        """Return the time of the line in the time zone of this machine."""
        return f"{datetime.fromisoformat(self.moment).astimezone():%Y-%m-%d %H:%M:%S}" if self.moment else ""


def log_path(data_dir: Path, server: str) -> Path:
    """Return the log file of a server."""
    return data_dir / "logs" / f"{server}.log"


def servers_with_logs(data_dir: Path) -> list[str]:
    """Return the names of the servers that have a log."""
    return sorted(path.stem for path in (data_dir / "logs").glob("*.log"))


def last_lines(data_dir: Path, servers: Collection[str], count: int) -> list[Line]:
    """Return the last `count` lines of the logs of the servers together, in the order of time."""
    found = [line for server in servers for line in _tail(log_path(data_dir, server), server, count)]
    return sorted(found, key=lambda line: line.moment)[-count:] if count else []


class Followed:
    """The lines that are added to the logs of some servers after this object was made.

    If a log is rotated, reading continues in the new file. A log that is created later is read from its beginning.
    """

    def __init__(self, data_dir: Path, servers: Collection[str]) -> None:
        self._places = [_Place(log_path(data_dir, server), server) for server in servers]

    def read(self) -> list[Line]:
        """Return the lines that were added since the last call, in the order of time."""
        return sorted((line for place in self._places for line in place.read()), key=lambda line: line.moment)


def end_of_log(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of a log file without their times, or fewer if the log is shorter."""
    return [line.text for line in _tail(path, "", count)]


class _Place:
    """The position up to which a log file was read.

    The file may not exist yet. Rotation may replace it with a new file.
    """

    def __init__(self, path: Path, server: str) -> None:
        self._path, self._server = path, server
        self._file: BinaryIO | None = None
        self._rest, self._last = b"", ""
        if self._open() and self._file is not None:
            self._file.seek(0, 2)

    def read(self) -> Iterator[Line]:
        yield from self._read()
        if self._is_replaced():
            # The server may have added lines to the old file between the last reading and the rotation. So read the
            # rest of the old file first.
            yield from self._read()
            if self._open():
                yield from self._read()

    def _read(self) -> Iterator[Line]:
        if self._file is None:
            return
        *complete, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in complete:
            parsed = _parsed(line, self._server, self._last)
            self._last = parsed.moment
            yield parsed

    def _is_replaced(self) -> bool:
        try:
            state = self._path.stat()
        except OSError:
            return False
        return self._file is None or not os.path.samestat(state, os.fstat(self._file.fileno()))

    def _open(self) -> bool:
        try:
            opened = self._path.open("rb")
        except OSError:
            return False
        if self._file is not None:
            self._file.close()
        self._file, self._rest = opened, b""
        return True


def _tail(path: Path, server: str, count: int) -> list[Line]:
    """Return the last lines of the file. If the file has fewer lines than `count`, read the older, rotated files too."""
    lines: list[Line] = []
    for file in (path, *(path.with_name(f"{path.name}.{number}") for number in range(1, OLD_FILES + 1))):
        lines = [*_end(file, server, count), *lines]
        if len(lines) >= count:
            break
    return lines[-count:] if count else []


def _end(file: Path, server: str, count: int) -> list[Line]:
    """Return the last `count` lines of a file.

    Read the file from its end, in pieces of growing size, because the file may be large.
    """
    with suppress(FileNotFoundError):
        try:
            with file.open("rb") as opened:
                size = opened.seek(0, 2)
                wanted = _TAIL_BYTES
                while True:
                    opened.seek(max(0, size - wanted))
                    found = opened.read(min(wanted, size)).splitlines()
                    if wanted >= size or len(found) > count:
                        break
                    wanted *= 4
        except PermissionError as error:
            raise LabError(
                f"{file} cannot be read ({error.strerror}); run the command as the user of the lab"
            ) from None
        lines, last = [], ""
        for line in found if wanted >= size else found[1:]:
            lines.append(_parsed(line, server, last))
            last = lines[-1].moment
        return lines[-count:]
    return []


def _parsed(line: bytes, server: str, moment: str) -> Line:
    """Parse a line of a log. A line without a time, written by an earlier version, gets the time of the line before it."""
    text = line.decode(errors="replace")
    first, _, rest = text.partition(" ")
    return Line(first, server, rest) if _TIME.fullmatch(first) else Line(moment, server, text)

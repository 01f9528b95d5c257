"""Copy the output of a server into its log file, with the time before each line, and keep the file small.

The supervisor runs this module as a script, one process per server. The script's standard input is the pipe to which
the server and its workers print. The script ends when the server and all its workers have ended. So if the supervisor
is killed, the script still logs what the server and its workers print.

If a line cannot be written, for example because the disk is full, the line is lost and the server keeps running.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler

_BLOCK = 2**16
_LONGEST_LINE = 2**16
_COLOUR = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""The codes that colour text on a terminal. Some programs print these codes even if their output is not a terminal."""


class _LogFile(RotatingFileHandler):
    def handleError(self, _: LogRecord) -> None:  # noqa: N802  the name is that of the library
        """Ignore errors of logging, because the script has no other place to report them. Close the file, and lose the
        lines in its buffer. Otherwise Python 3.13 would report the same error again at the end of the script.
        """
        with suppress(OSError):
            self.close()


def lines(descriptor: int) -> Iterator[str]:
    """Yield the lines of a pipe until the pipe is closed. A line longer than 64 KiB is cut into several lines."""
    rest = b""
    while block := os.read(descriptor, _BLOCK):
        *complete, rest = (rest + block).split(b"\n")
        while len(rest) > _LONGEST_LINE:
            complete, rest = [*complete, rest[:_LONGEST_LINE]], rest[_LONGEST_LINE:]
        yield from map(_text, complete)
    if rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    """Return the text after the last \\r of a line. A progress bar writes its line again after each \\r."""
    return _COLOUR.sub(b"", line).rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")


def writer(path: str, most_bytes: int, old_files: int) -> Callable[[str], None]:
    """Return a function that adds a line to a log file, and begins a new file when the file is full."""
    log = _LogFile(path, maxBytes=most_bytes, backupCount=old_files, encoding="utf-8", delay=True)

    def write(line: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        log.emit(makeLogRecord({"msg": f"{moment} {line}"}))

    return write


def main(path: str, most_bytes: int, old_files: int) -> None:
    write = writer(path, most_bytes, old_files)
    for line in lines(sys.stdin.fileno()):
        write(line)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""Keep the log of a running server. The server prints to a pipe, and a process writes the printed text to a file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thumblab_cli.servers import log_keeper
from thumblab_cli.servers.logs import MOST_BYTES, OLD_FILES


class KeptLog:
    """A pipe to a process that writes the log.

    The supervisor keeps the reading end of the pipe open too. So the server can still print to the pipe after the
    process that writes the log was killed. A new process then reads what is in the pipe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # If the log file cannot be created now, the process that writes the log tries again with each line.
        with suppress(OSError):
            path.touch()
        self._reading: int | None
        self._reading, self._writing = os.pipe()
        try:
            self._keeper = self._start()
        except OSError:
            os.close(self._reading)
            os.close(self._writing)
            raise

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Yield the file descriptor to which the server prints. At the end of the `with` block, this process closes the
        file descriptor.
        """
        try:
            yield self._writing
        finally:
            os.close(self._writing)

    def mend(self) -> None:
        """If the process that writes the log was killed, start a new process."""
        if self._keeper.poll() is not None:
            self._keeper = self._start()

    def wait(self, seconds: float) -> None:
        """Wait until all output of an ended server is in its log.

        Wait at most `seconds`, because workers of the server may still run.
        """
        with suppress(subprocess.TimeoutExpired):
            self._keeper.wait(seconds)

    def close(self, seconds: float) -> None:
        """Wait at most `seconds` until all output is in the log. Then end the process that writes the log."""
        self.wait(seconds)
        self._keeper.kill()
        self._keeper.wait()
        if self._reading is not None:
            os.close(self._reading)
            self._reading = None

    def _start(self) -> "subprocess.Popen[bytes]":
        # The process has its own session, so Ctrl-C in the terminal does not end it. It must log until the server ends.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", log_keeper.__file__, str(self._path), str(MOST_BYTES), str(OLD_FILES)],
            stdin=self._reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

"""Limit how many requests per minute a key may send. All workers of a service count together.

The rule is the generic cell rate algorithm (GCRA, ITU-T I.371): each key has a moment at which its whole allowance will
be free again. A request moves this moment by 60 s / limit. It is refused if the moment would then be more than 60 s
ahead. So a key may send its allowance at once, and gets it back evenly over the next minute.
"""

import fcntl
import functools
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

_PERIOD_S = 60.0
_MOMENT = struct.Struct("<d")


class RateLimits:
    """The moments of all keys, each in a file of 8 bytes. Threads and processes may share the folder of the files.

    Without a `folder`, the files are in a temporary folder that no other process uses. `clock` returns seconds.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._shared_folder = folder
        self._clock = clock
        self._lock = threading.Lock()

    def wait(self, name: str, per_minute: int) -> float:
        """Count a request of the key `name` and return 0. If it is one too many, do not count it.

        The result is then the number of seconds until the next request is allowed.
        """
        step = _PERIOD_S / per_minute
        with self._locked_file(name) as file:
            now, stored = self._clock(), file.read(_MOMENT.size)
            free_at = _MOMENT.unpack(stored)[0] if len(stored) == _MOMENT.size else now
            # A moment too far ahead was stored before the clock was put back, or before the limit was raised.
            moment = max(now, min(free_at, now + _PERIOD_S)) + step
            early = moment - now - _PERIOD_S
            # Rounding must not refuse the last request of an allowance.
            if early > 1e-6:
                return early
            file.seek(0)
            file.write(_MOMENT.pack(moment))
        return 0.0

    @contextmanager
    def _locked_file(self, name: str) -> Iterator[FileIO]:
        """Open the file of a key inside the `with` block, and make it if needed. Nobody else has it open meanwhile."""
        with self._lock:  # Only one of the threads. The lock of the file is for the processes.
            folder = self._shared_folder or Path(self._own_folder.name)
            # The system may have tidied its temporary folder.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileIO(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file

    @functools.cached_property
    def _own_folder(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="thumblab-rates-", ignore_cleanup_errors=True)


def shared_folder() -> Path | None:
    """Return the folder that all workers of this service share, or None if there is one worker.

    `python -m thumblab_serving` makes the folder for the metrics of its workers.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) / "rates" if folder else None

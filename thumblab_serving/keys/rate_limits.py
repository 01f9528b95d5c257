"""Limit how many requests per minute a key may send. The requests to all workers of a service are counted together.

The rule is the leaky bucket as a meter (ITU-T I.371). Each key has a level, which falls by the key's limit per minute.
A request raises the level by one, and is refused if the level would then be above the limit. So a key may send all
requests of one minute at once. After that, the level falls slowly, so the key may send further requests one by one.

A batch may have more items than the limit of its key. Such a batch is accepted if the level is not above the limit, and
raises the level by one for each item. So after the batch, the next request of the key is accepted only when the level
has fallen below the limit again.
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
_ACCOUNT = struct.Struct("<dd")
"""The content of the file of a key: the level, and the time at which the level was written."""


class RateLimits:
    """The level of each API key, in one file of 16 bytes per key. Threads and processes may share the folder of the
    files.

    Without a `folder`, the files are in a temporary folder that no other process uses. `clock` returns seconds.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._shared_folder = folder
        self._clock = clock
        self._lock = threading.Lock()

    def wait(self, name: str, per_minute: int) -> float:
        """Count a request of the key `name` and return 0.

        If the key has sent too many requests, do not count this request. Return the number of seconds until the next
        request of the key is allowed.
        """
        return self._count(name, per_minute, 1, per_minute - 1)

    def charge(self, name: str, per_minute: int, items: int) -> float:
        """Count `items` more requests, in addition to the request that `wait` has counted, and return 0.

        If the key has sent too many requests, count nothing. Return the number of seconds until the next request is
        allowed.
        """
        return self._count(name, per_minute, items, per_minute)

    def _count(self, name: str, per_minute: int, count: int, most: int) -> float:
        """If the level of the key `name` is at most `most`, raise the level by `count` and return 0.

        The level is the number of counted requests, which falls by `per_minute` a minute. If the level is higher than
        `most`, change nothing, and return the seconds until the next request is allowed.
        """
        per_second = per_minute / _PERIOD_S
        with self._locked_file(name) as file:
            now, stored = self._clock(), file.read(_ACCOUNT.size)
            level, written_at = 0.0, now
            if len(stored) == _ACCOUNT.size:
                level, written_at = map(float, _ACCOUNT.unpack(stored))
            # The clock may have been set back since the file was written. A negative time then counts as 0.
            level = max(0.0, level - per_second * max(0.0, now - written_at))
            # Without this tolerance, a request that the limit still allows could be refused because of a rounding
            # error.
            if (level - most) / per_second > 1e-6:
                return (level + 1 - per_minute) / per_second
            file.seek(0)
            file.write(_ACCOUNT.pack(level + count, now))
        return 0.0

    @contextmanager
    def _locked_file(self, name: str) -> Iterator[FileIO]:
        """Open the file of a key for the `with` block, and create the file if it is missing. No other thread or process
        can open the file during this time.
        """
        with self._lock:  # This lock excludes other threads of the process. The file lock excludes other processes.
            folder = self._shared_folder or Path(self._own_folder.name)
            # The folder may be gone, because the operating system deletes old temporary files.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileIO(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file

    @functools.cached_property
    def _own_folder(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="thumblab-rates-", ignore_cleanup_errors=True)

"""Keep copies of an object store's pictures on this machine's disk. The copies stay for at most a day."""

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path

from thumblab_core.durable_files import age
from thumblab_core.image_store.folder import ImageFolder
from thumblab_core.images import ImageError

_KEPT_S = 86_400.0
"""The longest time for which a copy is used and kept. If a picture is deleted on one host, other hosts may still have
a copy.
"""
_SHRUNK_S = 3_600.0
_SLACK = 1 / 16
"""After a process has written this share of the limit, it measures the size of the folder again."""

_log = logging.getLogger(__name__)


class ImageCache:
    """A folder of copies. `limit` is the largest number of bytes that the folder should hold. The oldest copies are
    deleted first.

    Many threads and processes may use the same folder at the same time. Each of them may exceed the limit by a sixteenth.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.images = ImageFolder(folder)
        self._limit = limit
        self._unmeasured = float(limit)  # When this process keeps its first copy, it measures the folder.
        self._shrunk_at = 0.0
        self._lock = threading.Lock()

    def get(self, sha256: str) -> bytes | None:
        """Return the bytes of a copy, or None if there is no usable copy. A copy that is damaged or too old is deleted."""
        try:
            if age(self.images.path(sha256)) <= _KEPT_S:
                return self.images.get(sha256)
        except ImageError as error:
            _log.warning("a copy in %s cannot be used, so the picture is fetched again: %s", self.images, error)
        except OSError:  # There is no copy, or it cannot be read.
            return None
        try:
            self.forget(sha256)
        except OSError as error:
            _log.warning("a copy cannot be deleted from %s (%s)", self.images, error.strerror)
        return None

    def keep(self, data: bytes) -> None:
        """Keep a copy, unless it would take more than 1/16 of the limit. With the limit 0, no copy is kept.

        If the copy cannot be written, or an old copy cannot be deleted, a warning in the log says so. Without a copy,
        the picture is fetched each time.
        """
        if len(data) > self._limit * _SLACK:
            return
        try:
            self.images.put(data)
            if self._is_due(len(data)):
                self.shrink()
        except OSError as error:
            _log.warning("a copy of a picture cannot be kept in %s (%s)", self.images, error.strerror)

    def _is_due(self, written: int) -> bool:
        """Count the bytes that were written since the folder was last measured. Return whether it must be measured
        again.
        """
        with self._lock:
            self._unmeasured += written
            return self._unmeasured > self._limit * _SLACK or time.monotonic() - self._shrunk_at > _SHRUNK_S

    def forget(self, sha256: str) -> None:
        """Delete a copy, if there is one. Raises `OSError` if it cannot be deleted."""
        try:
            self.images.remove(sha256)
        except OSError:  # A read-only disk refuses even to delete a file that does not exist.
            if self.images.has(sha256):
                raise

    def shrink(self) -> int:
        """Delete all copies that are older than a day. If the cache is still above its limit, delete the oldest copies.

        Return the number of deleted copies.
        """
        with self._lock:
            self._unmeasured, self._shrunk_at = 0.0, time.monotonic()
        copies: list[tuple[float, int, str]] = []
        for sha256, size in self.images.stored():
            with suppress(FileNotFoundError):
                copies.append((age(self.images.path(sha256)), size, sha256))
        total, removed = sum(size for _, size, _ in copies), 0
        for seconds, size, sha256 in sorted(copies, reverse=True):
            if total <= self._limit and seconds <= _KEPT_S:
                break
            removed += self.images.remove(sha256)
            total -= size
        return removed

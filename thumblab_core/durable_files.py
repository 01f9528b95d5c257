"""Write files durably, tell how old a file is, and recognise file systems without hard links."""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

NO_LINKS = {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
"""The error numbers with which a file system refuses to make a hard link."""


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, would survive a power cut.

    To make a new file durable, sync the file first and then its folder. Raises `OSError` if `path` cannot be opened or
    written to the disk.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def age(path: Path) -> float:
    """Return the seconds since a file was last written. Raises `OSError` if there is no such file.

    If the clock was wrong when the file was written, its modification time may be in the future. Then the age is 0, and
    this function also tries to set the modification time to now. Otherwise, the age would stay 0 until the wrong time
    has passed.
    """
    seconds = time.time() - path.stat().st_mtime
    if seconds < 0:
        with suppress(PermissionError):
            os.utime(path)
    return max(0.0, seconds)

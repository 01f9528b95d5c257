"""What is on the disk, and not only written: a file first, then the folder that names it.

And how old a file is, and where no hard link can be made.
"""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

NO_LINKS = {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
"""What file systems answer where a hard link cannot be made."""


def sync(path: Path) -> None:
    """Return when a file's bytes, or a folder's names, would outlive a power cut. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def age(path: Path) -> float:
    """Seconds since a file was last written. One that is dated in the future, by a clock that was wrong, is dated now: else
    it would stay young until the clock comes by. Raises `OSError`."""
    found = time.time() - path.stat().st_mtime
    if found < 0:
        with suppress(PermissionError):
            os.utime(path)
    return max(0.0, found)

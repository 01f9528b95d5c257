"""A lock on a folder, for stores that several workers of the service use."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let only one thread of all processes run the `with` block at a time. If a process dies, the kernel frees its
    lock.

    Raises `OSError` if the folder does not exist or cannot be read.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

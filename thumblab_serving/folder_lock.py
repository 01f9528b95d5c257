"""A lock on a folder, for stores that several workers of the service use."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one thread of all processes at a time run the block. The kernel frees the lock of a process that dies.

    Raises `OSError` if the folder does not exist or cannot be read.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

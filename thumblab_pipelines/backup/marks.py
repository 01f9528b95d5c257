"""The file that marks the folder of a running backup or restore. A lock on this file stops other processes from using
the folder.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from thumblab_core.errors import LabError


@contextmanager
def held_mark(mark: Path, busy: str) -> Iterator[TextIO]:
    """Open the file `mark`, lock it until the block ends, and yield the file object at position 0.

    If the file is missing, create it. Raises `LabError` with the sentence `busy` if another process holds the lock.
    """
    with mark.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"{busy}; wait until it has finished") from None
        file.seek(0)
        yield file


def write_mark(file: TextIO, content: str) -> None:
    """Replace the content of an opened mark."""
    file.truncate(0)
    file.write(f"{content}\n")
    file.flush()

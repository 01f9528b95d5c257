"""Read vectors from a file that is mapped into memory, and keep only a small part of the file in the memory of the
process.

A search of an approximate index reads only a few vectors. So the file is mapped, and only the pages that a search needs
are read. The operating system counts these pages as memory of the process until it needs the memory for something else.
So after many reads of a large file, the process gives the pages back to the operating system. The pages stay in the
system's cache of files, so the next read is still fast.
"""

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors

_MOST_RESIDENT = 2**29
"""The memory, in bytes, that the pages may take before they are given back to the operating system."""
_AROUND = 2**16
"""The number of bytes that Linux maps around each row that is read."""


def mapped(path: Path) -> Vectors:
    """Return the array of a `.npy` file, mapped into memory. Raises `OSError` or `ValueError` if it cannot be read."""
    vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    return vectors


class Pages:
    """Give the pages of mapped vectors back to the operating system after they were read. Does nothing if the vectors
    are not mapped. Many threads may use this object at the same time.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._map: Any = getattr(vectors, "_mmap", None) if vectors.nbytes > _MOST_RESIDENT else None
        self._read = 0

    def count(self, rows: int) -> None:
        """Count `rows` vectors as read. If the pages read so far may take too much memory, free all pages."""
        if self._map is None:
            return
        # No lock is needed. If two threads count at the same time, one count may be lost, and the pages are freed a
        # little later. Other threads can read the vectors at the same time. They get the pages from the system's cache
        # again.
        self._read += rows
        if self._read * _AROUND >= _MOST_RESIDENT:
            self._read = 0
            self._map.madvise(mmap.MADV_DONTNEED)

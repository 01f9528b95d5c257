"""Read vectors from a file that is mapped into memory, and keep little of it in the memory of the process.

A search of an approximate index reads only a few vectors. So the file is mapped, and only the pages that a search needs
are read. The system counts these pages as memory of the process until it needs the memory for something else. So after
many reads, the pages are given back. They stay in the system's cache of files, and the next read is fast.
"""

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors

_READ_ROWS = 8_192
"""The number of rows that are read before the pages are given back.

Linux maps up to 64 KiB around each row that is read. So these rows take up to 512 MiB.
"""


def mapped(path: Path) -> Vectors:
    """Return the array of a `.npy` file, mapped into memory. Raises `OSError` or `ValueError` if it cannot be read."""
    vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    return vectors


class Pages:
    """Give back the pages of vectors that were read, if the vectors are mapped. Many threads may use it at once."""

    def __init__(self, vectors: Vectors) -> None:
        self._map: Any = getattr(vectors, "_mmap", None)
        self._read = 0

    def count(self, rows: int) -> None:
        """Note that `rows` vectors were read. After many vectors, give all pages back."""
        # Threads that count at the same time may lose a count. Then the pages are given back a little later.
        self._read += rows
        if self._read >= _READ_ROWS:
            self.give_back()

    def give_back(self) -> None:
        """Give all pages back. Other threads may read the vectors at the same time."""
        self._read = 0
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)

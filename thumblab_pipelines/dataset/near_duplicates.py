"""Which of many pictures are near-duplicates: by file, by perceptual hash, or by the vectors of an encoder.

Nothing here lists couples: of 3,000 times the same picture there are 4.5 million. Each question has one answer per picture.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Rows
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images.perceptual import NEAR

_CELLS = 2**22
"""Couples that are compared at a time: 32 MiB of hashes and 16 MiB of cosines."""

_ROWS = 2_048


class Pictures:
    """n pictures that can be compared: alike are the very same file, hashes within 6 bits (None: not known), and unit
    vectors [n, d] whose cosine is at least the threshold.

    Memory is some dozens of MiB beside the vectors. Time grows with the square of the number of different pictures: 20,000
    with vectors of 768 numbers take some seconds.
    """

    def __init__(
        self,
        sha256: Sequence[str],
        phashes: Sequence[int | None],
        vectors: Vectors | None = None,
        threshold: float = 1.0,
    ) -> None:
        self._file = np.unique(np.asarray(sha256, str), return_inverse=True)[1].ravel()
        self._hashed = np.array([phash is not None for phash in phashes], bool)
        self._hash = np.array([phash or 0 for phash in phashes], np.int64).view(np.uint64)
        self._vectors, self._threshold = vectors, threshold

    def __len__(self) -> int:
        return len(self._file)

    def repeats(self) -> Flags:
        """[n] whether a picture looks like an earlier one that stays. So of several alike the first stays."""
        count = len(self)
        gone = np.ones(count, bool)
        gone[np.unique(self._file, return_index=True)[1]] = (
            False  # the same file again looks like whatever it looks like
        )
        kept = np.zeros(0, np.intp)
        rows = np.flatnonzero(~gone)
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            block = block[~self.any_alike(block, kept)]
            among = self._alike(block, block)
            new = np.ones(len(block), bool)
            for place in range(1, len(block)):
                new[place] = not among[place, :place][new[:place]].any()
            gone[rows[start : start + _ROWS]] = True
            gone[block[new]] = False
            kept = np.concatenate([kept, block[new]])
        return gone

    def any_alike(self, rows: Rows, others: Rows) -> Flags:
        """[len(rows)] whether a picture of the rows looks like any of the others."""
        found = np.zeros(len(rows), bool)
        for start, block in _blocks(rows, len(others)):
            found[start : start + len(block)] = self._alike(block, others).any(axis=1)
        return found

    def across(self, side: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
        """Of each picture that looks like an earlier one of another side [n], the first such and it, in order."""
        everything = np.arange(len(self))
        for start, block in _blocks(everything, len(self)):
            before = everything[: start + len(block)]
            apart = self._alike(block, before) & (side[block][:, None] != side[before])
            apart &= before < block[:, None]
            for place in np.flatnonzero(apart.any(axis=1)):
                yield int(apart[place].argmax()), int(block[place])

    def _alike(self, rows: Rows, others: Rows) -> Flags:
        """[len(rows), len(others)]"""
        found: Flags = self._file[rows][:, None] == self._file[others]
        near = np.bitwise_count(self._hash[rows][:, None] ^ self._hash[others]) <= NEAR
        found |= near & self._hashed[rows][:, None] & self._hashed[others]
        if self._vectors is not None:
            found |= self._vectors[rows] @ self._vectors[others].T >= self._threshold
        return found


def _blocks(rows: Rows, others: int) -> Iterator[tuple[int, Rows]]:
    """The rows in blocks, with the place of the first, none of which is compared with too many at a time."""
    size = max(1, min(_ROWS, _CELLS // max(others, 1)))
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]

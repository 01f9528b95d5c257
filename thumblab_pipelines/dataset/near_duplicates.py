"""Find near-duplicates among many pictures: by file, by perceptual hash, or by the vectors of an encoder.

3,000 copies of one picture make 4.5 million pairs of near-duplicates. So no method lists all pairs: each method returns
at most one result per picture.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from thumblab_core.arrays import Flags, Rows
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images.perceptual import NEAR

_CELLS = 2**22
"""Maximum number of comparisons in one step.

The results of this many comparisons take 32 MiB for hashes (8 bytes each), or 16 MiB for cosines (4 bytes each).
"""

_ROWS = 2_048
"""Maximum number of pictures in a block. Pictures are compared block by block."""


class Pictures:
    """A set of n pictures that can be compared with each other.

    Two pictures look alike if they are the same file, or if their perceptual hashes differ in at most 6 bits. Two
    pictures also look alike if the cosine of their vectors is at least `threshold`.

    Comparing needs a few dozen MiB of memory in addition to the vectors. The time grows with the square of the number
    of distinct files. 20,000 pictures with vectors of 768 numbers take some seconds.

    Parameters
    ----------
    sha256
        The digest of each picture's file [n].
    phashes
        The perceptual hash of each picture [n], or None if it is not known.
    vectors
        Unit vectors [n, d]. If None, pictures are compared only by file and hash.
    threshold
        Minimum cosine of the vectors of two pictures that look alike.
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
        """Return for each picture [n] whether to leave it out.

        A picture is left out if it looks like a kept picture with a smaller row number.
        """
        dropped = np.ones(len(self), bool)
        # If several files are identical, only the first file is compared with other pictures. The later files are
        # always left out.
        dropped[np.unique(self._file, return_index=True)[1]] = False
        kept = np.zeros(0, np.intp)
        rows = np.flatnonzero(~dropped)
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            block = block[~self.any_alike(block, kept)]
            alike = self._alike(block, block)
            new = np.ones(len(block), bool)
            for place in range(1, len(block)):
                new[place] = not alike[place, :place][new[:place]].any()
            dropped[rows[start : start + _ROWS]] = True
            dropped[block[new]] = False
            kept = np.concatenate([kept, block[new]])
        return dropped

    def any_alike(self, rows: Rows, others: Rows) -> Flags:
        """Return for each picture in `rows` whether it looks like any picture in `others`."""
        alike = np.zeros(len(rows), bool)
        for start, block in _blocks(rows, len(others)):
            alike[start : start + len(block)] = self._alike(block, others).any(axis=1)
        return alike

    def across(self, side: Rows) -> Iterator[tuple[int, int]]:
        """Yield pairs of row numbers of pictures that look alike but belong to different groups, such as parts of the
        data.

        The smaller row number comes first.

        `side` [n]: the number of each picture's group. Each picture is compared with the pictures of smaller row
        numbers. If a picture looks like several earlier pictures in other groups, only the pair with the first of these
        pictures is yielded.
        """
        everything = np.arange(len(self))
        for start, block in _blocks(everything, len(self)):
            before = everything[: start + len(block)]
            apart = self._alike(block, before) & (side[block][:, None] != side[before])
            apart &= before < block[:, None]
            for place in np.flatnonzero(apart.any(axis=1)):
                yield int(apart[place].argmax()), int(block[place])

    def _alike(self, rows: Rows, others: Rows) -> Flags:
        """Return an array [len(rows), len(others)]: whether each picture in `rows` looks like each picture in
        `others`."""
        alike: Flags = self._file[rows][:, None] == self._file[others]
        near = np.bitwise_count(self._hash[rows][:, None] ^ self._hash[others]) <= NEAR
        alike |= near & self._hashed[rows][:, None] & self._hashed[others]
        if self._vectors is not None:
            alike |= self._vectors[rows] @ self._vectors[others].T >= self._threshold
        return alike


def _blocks(rows: Rows, others: int) -> Iterator[tuple[int, Rows]]:
    """Divide `rows` into blocks. Yield for each block its first position in `rows`, and the block.

    A block is small enough that its pictures can be compared with `others` pictures in one step.
    """
    size = max(1, min(_ROWS, _CELLS // max(others, 1)))
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]

"""Find near-duplicates among many pictures: by file, by perceptual hash, or by the vectors of an encoder.

3,000 copies of one picture make 4.5 million pairs of near-duplicates. So no method lists all pairs: each method returns
at most one result per picture. Most pairs are not even compared, see `HashSearch` and `VectorSearch`.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from thumblab_core.arrays import Flags, Rows
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images.hash_search import Hashes, HashSearch
from thumblab_core.images.perceptual import NEAR
from thumblab_pipelines.dataset.vector_search import VectorSearch

_METHOD = 1
"""Version of `Pictures.repeats`. The version is part of each digest. Raise this number when you change what
`repeats` returns."""

_ROWS = 1_024
"""Maximum number of pictures in a block. Within a block, each picture is compared with every other picture."""
_SEVERAL = 32 * _ROWS
"""Maximum number of pictures that are compared with all earlier pictures in one search. One large search is faster than
many small searches."""


class Pictures:
    """A set of n pictures that can be compared with each other.

    Two pictures look alike if they are the same file, or if their perceptual hashes differ in at most 6 bits. Two
    pictures also look alike if the cosine of their vectors is at least `threshold`.

    Pictures are compared block by block. Comparing needs about 600 bytes of memory per picture in addition to the vectors,
    and a few hundred MB for the present block.

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
        self._names = np.asarray(sha256, str)
        self._file = np.unique(self._names, return_inverse=True)[1].ravel()
        self._hashed = np.array([phash is not None for phash in phashes], bool)
        self._hash = np.array([phash or 0 for phash in phashes], np.int64).view(np.uint64)
        self._vectors, self._threshold = vectors, threshold

    def __len__(self) -> int:
        return len(self._file)

    def digest(self, rows: Rows) -> str:
        """Return a digest of the files, hashes and vectors of the pictures in `rows`, in this order, and of the
        threshold.
        """
        digest = hashlib.sha256(repr((_METHOD, NEAR, self._threshold, self._names[rows].tolist())).encode())
        digest.update(self._hashed[rows].tobytes() + self._hash[rows].tobytes())
        if self._vectors is not None:
            for block in _blocks(rows, _ROWS):
                digest.update(self._vectors[block].tobytes())
        return digest.hexdigest()

    def repeats(self) -> Flags:
        """Return for each picture [n] whether to leave it out.

        A picture is left out if it looks like a kept picture with a smaller row number. So no two of the kept pictures
        look alike.
        """
        dropped = np.ones(len(self), bool)
        # If several files are identical, only the first file is compared with other pictures. The later files are
        # always left out.
        rows = np.sort(np.unique(self._file, return_index=True)[1])
        hashes = _KeptHashes(self._hash, self._hashed, rows)
        vectors = self._searched_vectors()
        for several in _blocks(rows, _SEVERAL):
            left = several if vectors is None else several[~vectors.any_near(several)]
            recent = None if vectors is None else vectors.emptied()
            for block in _blocks(left, _ROWS):
                block = block[~hashes.any_near(block)]
                block = block if recent is None else block[~recent.any_near(block)]
                block = block[self._new_of(block, recent)]
                hashes.add(block)
                if recent is not None:
                    recent.add(block)
                dropped[block] = False
            if vectors is not None:
                vectors.add(several[~dropped[several]])
        return dropped

    def any_alike(self, rows: Rows, others: Rows) -> Flags:
        """Return for each picture in `rows` whether it looks like any picture in `others`."""
        hashes = _KeptHashes(self._hash, self._hashed, np.sort(others))
        hashes.add(others)
        alike = np.isin(self._file[rows], self._file[others]) | hashes.any_near(rows)
        vectors = self._searched_vectors()
        if vectors is not None:
            vectors.add(others)
            alike |= vectors.any_near(rows)
        return alike

    def across(self, side: Rows) -> Iterator[tuple[int, int]]:
        """Yield the row numbers of two pictures that look alike but belong to different groups (for example, parts).

        The smaller row number comes first.

        `side` [n]: the number of each picture's group. Each picture is compared with the pictures of smaller row
        numbers. If a picture looks like several earlier pictures in other groups, only the pair with the first of these
        pictures is yielded.
        """
        every = np.arange(len(self))
        first = _FirstOfTwoSides(self._file, side).apart(self._file, every)
        hashed = np.flatnonzero(self._hashed)
        if len(hashed):
            distinct, value = np.unique(self._hash[hashed], return_inverse=True)
            firsts = _FirstOfTwoSides(value.ravel(), side, hashed)
            search = HashSearch(distinct)
            search.open(len(distinct))
            for block in _blocks(hashed, _ROWS):
                for asked, found in search.near(self._hash[block]):
                    np.minimum.at(first, block[asked], firsts.apart(found, block[asked]))
        vectors = self._searched_vectors()
        if vectors is not None:
            copies = self._equal_vectors()
            vectors.add(np.unique(copies))
            firsts = _FirstOfTwoSides(copies, side)
            for block in _blocks(every, _SEVERAL):
                for asked, found in vectors.near(block):
                    np.minimum.at(first, block[asked], firsts.apart(found, block[asked]))
        for row in np.flatnonzero(first < every):
            yield int(first[row]), int(row)

    def _new_of(self, block: Rows, search: VectorSearch | None) -> Flags:
        """Return for each picture of a block whether it is new.

        A picture is new if it is not a near-duplicate of an earlier new picture of the block. All pictures of the block
        have different files.
        """
        alike = np.bitwise_count(self._hash[block][:, None] ^ self._hash[block]) <= NEAR
        alike &= self._hashed[block][:, None] & self._hashed[block]
        if search is not None:
            alike |= search.within(block)
        alike &= np.tri(len(block), k=-1, dtype=bool)
        new = np.ones(len(block), bool)
        for place in np.flatnonzero(alike.any(axis=1)):
            new[place] = not (alike[place] & new).any()
        return new

    def _searched_vectors(self) -> VectorSearch | None:
        return None if self._vectors is None or not len(self._vectors) else VectorSearch(self._vectors, self._threshold)

    def _equal_vectors(self) -> Rows:
        """Return for each picture [n] the first row with the same vector."""
        assert self._vectors is not None
        first: dict[bytes, int] = {}
        rows = (hashlib.blake2b(vector.tobytes(), digest_size=16).digest() for vector in self._vectors)
        return np.array([first.setdefault(digest, row) for row, digest in enumerate(rows)], np.intp)


class _KeptHashes:
    """The hashes of kept pictures. Later pictures are compared with these hashes."""

    def __init__(self, hashes: Hashes, hashed: Flags, rows: Rows) -> None:
        """`rows`: the rows of the pictures that may be added, in ascending order. Pictures are added in this order."""
        self._hash, self._hashed = hashes, hashed
        values, first = np.unique(hashes[rows[hashed[rows]]], return_index=True)
        order = np.argsort(first)
        self._values, self._place = values, np.argsort(order)
        self._search = HashSearch(values[order])
        self._has = np.zeros(len(values), bool)

    def add(self, rows: Rows) -> None:
        places = self._place[np.searchsorted(self._values, self._hash[rows[self._hashed[rows]]])]
        self._has[places] = True
        self._search.open(int(places.max(initial=-1)) + 1)

    def any_near(self, rows: Rows) -> Flags:
        """Return for each picture in `rows` whether its hash is near the hash of a picture that was added."""
        near = np.zeros(len(rows), bool)
        hashed = np.flatnonzero(self._hashed[rows])
        for block in _blocks(hashed, _ROWS):
            for asked, found in self._search.near(self._hash[rows[block]]):
                near[block[asked[self._has[found]]]] = True
        return near


class _FirstOfTwoSides:
    """Finds the first picture that equals a given picture but is on another side.

    A side is a group of pictures, see `Pictures.across`. Equal pictures form a class. Only two rows of each class are
    stored: the first row, and the first row whose side differs from the side of that row.
    """

    def __init__(self, classes: Rows, side: Rows, rows: Rows | None = None) -> None:
        """`rows` [m]: rows of pictures, in ascending order (by default all rows). `classes` [m]: the class of each of
        these pictures. `side` [n]: see `Pictures.across`.
        """
        rows = np.arange(len(classes)) if rows is None else rows
        self._side = side
        self._none = len(side)
        count = int(classes.max(initial=-1)) + 1
        self._first = np.full(count, self._none)
        np.minimum.at(self._first, classes, rows)
        self._other = np.full(count, self._none)
        apart = side[rows] != side[self._first[classes]]
        np.minimum.at(self._other, classes[apart], rows[apart])

    def apart(self, classes: Rows, rows: Rows) -> Rows:
        """Compare each row of `rows` [m] with the pictures of the class in `classes` [m].

        Return for each row the first picture of the class that is on another side, or n if there is none.
        """
        first = self._first[classes]
        return np.where(self._side[first] != self._side[rows], first, self._other[classes])


def _blocks(rows: Rows, size: int) -> Iterator[Rows]:
    return (rows[start : start + size] for start in range(0, len(rows), size))

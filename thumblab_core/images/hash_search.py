"""Find perceptual hashes that differ in few bits, without comparing every pair.

A hash has four bands of 16 bits. Suppose that two hashes differ in at most 6 bits. Then they differ in at most 1 bit of
one of the first three bands, or they agree in the last band. Otherwise, they would differ in at least 2 + 2 + 2 + 1
bits.

All hashes with the same 16 bits in one band form a bucket. Therefore, each hash is compared only with the hashes in 52
buckets. In each of the first three bands, these are 17 buckets: the bucket with the same 16 bits, and the 16 buckets
that differ in one bit. In the last band, this is only the bucket with the same 16 bits. The method is from Norouzi,
Punjani and Fleet, "Fast search in Hamming space with multi-index hashing" (2012).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Rows
from thumblab_core.images.perceptual import NEAR

Hashes = npt.NDArray[np.uint64]

_BITS = 16
_FLIPS = np.concatenate([[0], 1 << np.arange(_BITS)])
"""The 17 numbers of 16 bits with at most one bit set. If two bands differ in at most one bit, their exclusive or (XOR)
is one of these numbers.
"""
_PAIRS = 2**16
"""Maximum number of pairs of hashes that are compared in one step. A bucket with more hashes is compared in one step
too.

A step takes up to about 80 MiB.
"""
_QUERIES = 1_024


class HashSearch:
    """An index of distinct hashes [m]. It finds the hashes that are near to a given hash.

    At first, a search finds no hash. `open(count)` makes the first `count` hashes findable.
    """

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
        self._opened = 0
        self._bands = []
        for band, flips in enumerate((_FLIPS, _FLIPS, _FLIPS, _FLIPS[:1])):
            keys = _band(hashes, band)
            order = np.argsort(keys, kind="stable")
            counts = np.bincount(keys, minlength=2**_BITS)
            starts = np.cumsum(counts) - counts
            # The hashes are sorted by bucket, so that the hashes of a bucket lie next to each other in memory. The sort
            # keeps the order of the hashes within a bucket, so the hashes that `open` has made findable come first in
            # each bucket.
            self._bands.append((flips, starts, np.zeros(2**_BITS, np.intp), order, hashes[order]))

    def open(self, count: int) -> None:
        """Let searches find the first `count` hashes. Hashes that searches could find before stay findable."""
        new = self._hashes[self._opened : count]
        for band, (_, _, sizes, _, _) in enumerate(self._bands):
            sizes += np.bincount(_band(new, band), minlength=2**_BITS)
        self._opened += len(new)

    def near(self, queries: Hashes) -> Iterator[tuple[Rows, Rows]]:
        """Search in steps, and yield each pair of a query and a hash that differ in at most `NEAR` bits.

        Only the hashes that `open` has made findable are searched.

        Each step yields the rows of `queries` and the rows of the hashes. A pair may be yielded several times.
        """
        for band, (flips, starts, opened, order, stored) in enumerate(self._bands):
            buckets = (_band(queries, band)[:, None] ^ flips).ravel()
            begins, sizes = starts[buckets], opened[buckets]
            filled = np.flatnonzero(sizes)
            ends = np.cumsum(sizes[filled])
            first = done = 0
            while first < len(filled):
                last = max(first + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
                probes = filled[first:last]
                count = sizes[probes]
                # A probe is one bucket that is searched for one query. `places` are the rows of `stored` with the
                # findable hashes of these buckets.
                places = np.arange(done, ends[last - 1]) + np.repeat(begins[probes] - (ends[first:last] - count), count)
                asked = probes // len(flips)
                different = np.bitwise_count(np.repeat(queries[asked], count) ^ stored[places])
                alike = np.flatnonzero(different <= NEAR)
                probe_of_pair = np.searchsorted(ends[first:last], done + alike, side="right")
                yield asked[probe_of_pair], order[places[alike]]
                first, done = last, int(ends[last - 1])


def near_duplicates(hashes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return for each of n signed hashes whether another hash differs from it by at most `NEAR` bits, bool [n]."""
    signed = np.asarray(hashes, dtype=np.int64)
    distinct, value, count = np.unique(signed.view(np.uint64), return_inverse=True, return_counts=True)
    near: npt.NDArray[np.bool_] = count > 1
    search = HashSearch(distinct)
    for start in range(0, len(distinct), _QUERIES):
        # At this step, searches find only the hashes of this block and of the blocks before it. So each pair is found
        # when the later of its two hashes is the query.
        search.open(start + _QUERIES)
        for asked, found in search.near(distinct[start : start + _QUERIES]):
            apart = asked + start != found
            near[asked[apart] + start] = near[found[apart]] = True
    return near[value.ravel()]


def _band(hashes: Hashes, band: int) -> Rows:
    return ((hashes >> np.uint64(_BITS * band)) & np.uint64(2**_BITS - 1)).astype(np.intp)

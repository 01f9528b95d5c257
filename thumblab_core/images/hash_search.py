"""Find perceptual hashes that differ in few bits, without comparing every pair.

A hash has four bands of 16 bits. Suppose that two hashes differ in at most 6 bits. Then they differ in at most 1 bit of
one of the first three bands, or they agree in the last band. Otherwise, they would differ in at least 2 + 2 + 2 + 1
bits. So for each hash, only the hashes of 3 * 17 + 1 buckets are compared in full. A bucket has all hashes with the
same bits in one band. Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing" (2012),
describe the method.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Rows
from thumblab_core.images.perceptual import NEAR

Hashes = npt.NDArray[np.uint64]

_BITS = 16
_FLIPS = np.concatenate([[0], 1 << np.arange(_BITS)])
"""All differences of two bands of 16 bits that differ in at most 1 bit."""
_PAIRS = 2**16
"""Maximum number of pairs of hashes that are compared in one step, unless one bucket has more hashes.

A step takes up to about 80 MiB.
"""
_QUERIES = 1_024


class HashSearch:
    """Distinct hashes [m] in buckets, so that near ones are found in them.

    At first, no hash is found. `open` adds the first hashes.
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
            # The hashes are stored in the order of the buckets, so that a bucket is read in one piece.
            # A bucket has its hashes in their order, so the opened ones come first.
            self._bands.append((flips, starts, np.zeros(2**_BITS, np.intp), order, hashes[order]))

    def open(self, count: int) -> None:
        """Let later searches find the first `count` hashes, and those that were opened before."""
        new = self._hashes[self._opened : count]
        for band, (_, _, sizes, _, _) in enumerate(self._bands):
            sizes += np.bincount(_band(new, band), minlength=2**_BITS)
        self._opened += len(new)

    def near(self, queries: Hashes) -> Iterator[tuple[Rows, Rows]]:
        """Yield the pairs of a query and an opened hash that differ in at most `NEAR` bits, in steps.

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
                # Each probe of a bucket is repeated for every hash of the bucket.
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
        # Each pair is found once: by the hash that comes later.
        search.open(start + _QUERIES)
        for asked, found in search.near(distinct[start : start + _QUERIES]):
            apart = asked + start != found
            near[asked[apart] + start] = near[found[apart]] = True
    return near[value.ravel()]


def _band(hashes: Hashes, band: int) -> Rows:
    return ((hashes >> np.uint64(_BITS * band)) & np.uint64(2**_BITS - 1)).astype(np.intp)

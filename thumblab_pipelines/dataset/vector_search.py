"""Find the pairs of unit vectors whose cosine is at least a threshold, without comparing every pair.

The found pairs are the same as if every pair were compared, except for the rounding of float32.

Each vector x gets a short form s(x): its components along the first principal axes, followed by the length of all its
other components. s keeps the lengths of vectors, and never makes a distance longer. Let two vectors have a cosine of at
least t. Then the inner product of their short forms is at least t, and the distance is at most sqrt(2 - 2 t).

The short forms are divided into cells. Each cell has a centre, and a short form belongs to the cell of its nearest
centre. Suppose that the short form q is in cell A with the centre a, and that the short form x is in cell B with the
centre b. The plane halfway between a and b separates the cells, and x is on the side of b. The distance of q from this
plane is:

    (|q - b|^2 - |q - a|^2) / (2 |a - b|)

If this distance is more than sqrt(2 - 2 t), no vector of cell B is near q, and the cell is not searched. In the other
cells, only the vectors whose short forms have an inner product of at least t are compared in full.
"""

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float32s, Rows
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.kinds import faiss_module
from thumblab_core.index.projection import principal_axes, rest_lengths

_COMPONENTS = 64
_BLOCK = 1_024
_ROUNDING = 1e-5
"""Allowance for the rounding error in the inner product of two short forms (float32). Measured errors are smaller."""
_DISTANCE_ROUNDING = 1e-3
"""Allowance for the rounding error in the distance of two short forms (float32). It is larger than `_ROUNDING`, because
a distance is the root of a rounded number."""
_TRAINED_PER_CELL = 64
"""The centres of the cells are computed from a sample of vectors. The sample has this number of vectors per cell."""
_KMEANS_ITERATIONS = 5
_FOUND = 2**24
"""Maximum number of pairs that one step can find by their short forms. This number of pairs takes 200 MB."""
_PAIRS = 2**14
"""Maximum number of pairs of vectors that are compared at once. With 768 dimensions, copying the vectors takes 100 MB."""
_DENSE = 16
"""If at least 1/16 of all pairs must be compared, all pairs are compared. Comparing all pairs is then faster,
because no vectors are copied.
"""


class VectorSearch:
    """A search among unit vectors, float32 [n, d]. Only the rows that were added (see `add`) can be found.

    Two vectors are near if their cosine is at least `threshold`. A row with NaN or infinite numbers has no near
    vectors.
    """

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        """`threshold`: the minimum cosine of two near vectors, above 0."""
        self._vectors, self._threshold = vectors, threshold
        self._short = _short_forms(vectors)
        lengths = np.linalg.norm(self._short, axis=1)
        self._usable: Flags = np.isfinite(lengths)
        longest = float(lengths[self._usable].max(initial=0.0))
        # `_reach` is the maximum distance of two near vectors, with a margin for rounding. If `_possible` is false, no
        # two vectors are near.
        self._reach = np.sqrt(max(0.0, 2 * longest**2 - 2 * threshold)) + _DISTANCE_ROUNDING
        self._possible = threshold <= longest**2 + _ROUNDING
        self._centres = self._trained_centres() if self._possible else self._short[:1]
        # `_farthest` [i, j] decides whether a query in cell i also searches cell j. If the query's squared distance
        # from the centre of j exceeds its squared distance from the centre of i by more than this number, cell j has no
        # vector near the query.
        between = np.sqrt(_squared_distances(self._centres, self._centres))
        self._farthest = np.float32(2 * self._reach) * between + np.float32(_DISTANCE_ROUNDING)
        self._cell = np.concatenate(
            [_squared_distances(block, self._centres).argmin(axis=1) for block in _blocks(self._short)]
        )
        self._lists = self._empty_lists()

    def emptied(self) -> "VectorSearch":
        """Return a new search among the same vectors, without any added row."""
        search = copy(self)
        search._lists = search._empty_lists()
        return search

    def add(self, rows: Rows) -> None:
        """Add the vectors of `rows` [m], so that later searches can find them."""
        rows = rows[self._usable[rows]]
        if len(rows) and self._possible:
            faiss = faiss_module()
            ids, short, cells = np.ascontiguousarray(rows, np.int64), self._short[rows], self._cell[rows]
            self._lists.add_core(len(rows), faiss.swig_ptr(short), faiss.swig_ptr(ids), faiss.swig_ptr(cells))

    def near(self, rows: Rows) -> Iterator[tuple[Rows, Rows]]:
        """Find the added rows near each row in `rows` [m]. Yield the near pairs in several steps, to save memory.

        Each step yields two arrays of equal length: the positions in `rows`, and the added rows that are near. An added
        row is near itself.
        """
        asked = np.flatnonzero(self._usable[rows])
        if not self._lists.ntotal:
            return
        # The queries are sorted by their cells. So successive queries search the same cells, which stay in the cache of
        # the processor.
        asked = asked[np.argsort(self._cell[rows[asked]], kind="stable")]
        size = max(1, _FOUND // self._lists.ntotal)
        for several in _blocks(asked):
            short = self._short[rows[several]]
            cells = self._cells_near(short, self._cell[rows[several]])
            self._lists.nprobe = cells.shape[1]
            for start in range(0, len(several), size):
                some = slice(start, start + size)
                ends, _, found = self._lists.range_search_preassigned(
                    short[some], self._threshold - _ROUNDING, cells[some], None
                )
                if len(found):
                    of = np.repeat(np.arange(len(ends) - 1), np.diff(ends.astype(np.intp)))
                    near = self._compared(rows[several[some]], of, found)
                    yield several[some][of[near]], found[near]

    def any_near(self, rows: Rows) -> Flags:
        """Return for each row in `rows` whether an added row is near it."""
        near = np.zeros(len(rows), np.bool_)
        for asked, _ in self.near(rows):
            near[asked] = True
        return near

    def within(self, rows: Rows) -> Flags:
        """Return for each pair of the vectors in `rows` [m, m] whether their cosine is at least the threshold."""
        short = self._short[rows]
        near: Flags = short @ short.T >= self._threshold - _ROUNDING
        near &= self._usable[rows][:, None] & self._usable[rows]
        one, other = np.divmod(np.flatnonzero(near), len(rows))
        near[one, other] = self._compared(rows, one, rows[other])
        return near

    def _compared(self, rows: Rows, of: Rows, others: Rows) -> Flags:
        """Return for each vector in `others` whether its cosine with the vector `rows[of]` is at least the threshold.

        `of` and `others` have the same length. `of`: positions in `rows`.
        """
        if len(of) > _PAIRS:
            distinct, place = np.unique(others, return_inverse=True)
            if len(of) * _DENSE >= len(rows) * len(distinct):
                return self._compared_with_all(rows, of, distinct, place.ravel())
        near = np.empty(len(of), np.bool_)
        for start in range(0, len(of), _PAIRS):
            some = slice(start, start + _PAIRS)
            cosines = np.einsum("ij,ij->i", self._vectors[rows[of[some]]], self._vectors[others[some]])
            near[some] = cosines >= self._threshold
        return near

    def _compared_with_all(self, rows: Rows, of: Rows, distinct: Rows, place: Rows) -> Flags:
        """Return the flags that `_compared` returns if its argument `others` is `distinct[place]`.

        Each vector in `distinct` is compared with all vectors of `rows`, as a product of matrices.
        """
        queries, near = self._vectors[rows], np.empty(len(of), np.bool_)
        for start in range(0, len(distinct), _PAIRS):
            inside = np.flatnonzero((place >= start) & (place < start + _PAIRS))
            cosines = queries @ self._vectors[distinct[start : start + _PAIRS]].T
            near[inside] = cosines[of[inside], place[inside] - start] >= self._threshold
        return near

    def _cells_near(self, short: Float32s, own: Rows) -> Rows:
        """Return the cells [m, k] that may have vectors near each short form [m]. An unused element is -1.

        `own`: the cell of each short form.
        """
        further = _squared_distances(short, self._centres)
        further -= further[np.arange(len(short)), own][:, None]
        further -= self._farthest[own]
        query, cell = np.divmod(np.flatnonzero(further <= 0), len(self._centres))
        count = np.bincount(query, minlength=len(short))
        cells = np.full((len(short), int(count.max())), -1, np.int64)
        cells[query, np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)] = cell
        return cells

    def _trained_centres(self) -> Float32s:
        """Return the centres of about sqrt(n) cells. The centres are found by k-means in a sample of the vectors."""
        faiss = faiss_module()
        usable = np.flatnonzero(self._usable)
        count = max(1, int(len(usable) ** 0.5))
        sample = np.random.default_rng(0).permutation(usable)[: _TRAINED_PER_CELL * count]
        kmeans = faiss.Kmeans(self._short.shape[1], count, niter=_KMEANS_ITERATIONS, min_points_per_centroid=1, seed=0)
        kmeans.train(self._short[np.sort(sample)])
        return np.asarray(kmeans.centroids)

    def _empty_lists(self) -> Any:
        faiss = faiss_module()
        dimension = self._short.shape[1]
        # This class assigns the vectors to cells by itself, so the quantizer of FAISS is never used.
        self._quantizer = faiss.IndexFlatIP(dimension)
        lists = faiss.IndexIVFFlat(self._quantizer, dimension, len(self._centres), faiss.METRIC_INNER_PRODUCT)
        lists.is_trained = True
        return lists


def _short_forms(vectors: Vectors) -> Float32s:
    """Return the first components of each vector, and the length of its other components, float32 [n, m + 1]."""
    _, axes = principal_axes(vectors)
    basis = np.ascontiguousarray(axes[:, :_COMPONENTS])
    short = np.empty((len(vectors), basis.shape[1] + 1), np.float32)
    for block, made in zip(_blocks(vectors), _blocks(short), strict=True):
        made[:, :-1] = block @ basis
        made[:, -1] = rest_lengths(np.asarray(block), made[:, :-1])
    return short


def _blocks(of: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (of[start : start + _BLOCK] for start in range(0, len(of), _BLOCK))


def _squared_distances(one: Float32s, other: Float32s) -> Float32s:
    squares: Float32s = one @ (-2 * other.T)
    squares += np.einsum("ij,ij->i", one, one)[:, None]
    squares += np.einsum("ij,ij->i", other, other)
    return np.maximum(squares, 0, out=squares)

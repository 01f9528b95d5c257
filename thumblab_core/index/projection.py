"""Find exactly the vectors that are nearest to a query, without reading most of the vectors.

The vectors are rotated so that their first components contain most of their length. For unit vectors q and x, let q'
and x' be the first components, and q" and x" the other components. The cosine of q and x is at most

    q' . x' + |q"| |x"|

by the Cauchy-Schwarz inequality. This bound needs only the first components of x, and the length of x". If k other
vectors have a higher cosine than the bound of x, then x is not among the k nearest vectors. So all components are
compared only for the vectors whose bound is higher than those k cosines.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s
from thumblab_core.encoders.protocol import Vectors

Rows = npt.NDArray[np.int64]

_LENGTH = 0.9
"""The share of the squared length of the vectors that the first components must contain. If they contain less, the
bounds exclude only few vectors.
"""
_MOST_COMPONENTS = 128
"""The largest number of components. With more components, computing the bounds takes almost as long as computing the
cosines.
"""
_STEP = 16
"""The number of components is a multiple of this number, which suits the registers of processors."""
_SAMPLE = 5_000
"""The principal components are computed from at most this number of vectors, drawn at random."""
_BLOCK = 10_000
_ROUNDING = 1e-5
"""The largest error of a squared length and of a bound, because all numbers are float32."""
_MOST_COMPARED = 0.25
"""If more than this share of the vectors remains after the bounds were applied, a plain comparison with all vectors is
faster.
"""
_FEW = 8
"""If fewer than 1/8 of all rows are searched, only the bounds of these rows are computed. Otherwise, the bounds of all
rows are computed, because reading the whole memory in order is then faster.
"""


class Projection:
    """The first components of n unit vectors [n, m], and the lengths of their other components [n]."""

    def __init__(self, basis: Vectors, first: Vectors, others: Vectors) -> None:
        self._basis = basis
        self._first = first
        self._others = others

    @classmethod
    def of(cls, vectors: Vectors, read: Callable[[int], None] = lambda rows: None) -> "Projection | None":
        """Return the projection of unit vectors, float32 [n, d]. Each time some rows were read, `read` is called with
        the count of these rows.

        Return None if a few components contain too little of the vectors' length. The bounds would then exclude too few
        vectors.
        """
        shares, axes = principal_axes(vectors)
        held = np.cumsum(shares) / (shares.sum() or 1.0)
        enough = int(np.searchsorted(held, _LENGTH)) + 1
        count = -(-enough // _STEP) * _STEP
        if count > min(_MOST_COMPONENTS, vectors.shape[1] // 2):
            return None
        basis = np.ascontiguousarray(axes[:, :count])
        first = np.empty((len(vectors), count), np.float32)
        others = np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = np.asarray(vectors[start : start + _BLOCK])
            part = block @ basis
            first[start : start + _BLOCK] = part
            others[start : start + _BLOCK] = rest_lengths(block, part)
            read(len(block))
        return cls(basis, first, others)

    def candidates(self, rows: Rows, query: Vectors, k: int, cosines_of: Callable[[Rows], Vectors]) -> Rows | None:
        """Return the rows in `rows` whose vectors can be among the k nearest to a unit vector [d].

        `rows` must be in rising order. The result is in rising order too. `cosines_of` returns the cosines of the query
        and the vectors of some rows. Return None if the bounds exclude too few rows (`_MOST_COMPARED`).
        """
        part = query @ self._basis
        rest = rest_lengths(query[None], part[None])[0]
        few = len(rows) * _FEW < len(self._first)
        near = self._first[rows] @ part if few else (self._first @ part)[rows]
        seeds = rows[np.argpartition(-near, k - 1)[:k]]
        least = float(cosines_of(seeds).min()) - _ROUNDING
        left = rows[near + rest * self._others[rows] >= least]
        return None if len(left) > max(4 * k, _MOST_COMPARED * len(rows)) else left


def principal_axes(vectors: Vectors) -> tuple[Float64s, Vectors]:
    """Return the principal axes of a sample of vectors [n, d], and the squared length of the sample along each axis.

    The lengths [d] are returned before the axes [d, d], whose columns are the axes. The longest axis comes first.
    Vectors with NaN or infinite numbers are left out.
    """
    chosen = np.random.default_rng(0).permutation(len(vectors))[:_SAMPLE]
    sample = np.asarray(vectors[np.sort(chosen)])
    sample = sample[np.isfinite(sample).all(axis=1)]
    shares, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return shares[::-1], axes[:, ::-1].astype(np.float32)


def rest_lengths(vectors: Vectors, first: Vectors) -> Vectors:
    """Return the length, rounded up, that each vector [n, d] has without its components `first` [n, m]."""
    squares = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", first, first)
    lengths: Vectors = np.sqrt(np.maximum(squares, 0) + _ROUNDING, dtype=np.float32)
    return lengths

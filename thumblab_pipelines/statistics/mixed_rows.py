"""Hold rows of numbers whose columns are partly sparse, and read them in dense blocks.

A model has about a thousand dense inputs and two thousand hashed words. A title has about a hundred of these words, so
a dense array of all inputs of 200,000 videos would need 2.6 GB, most of it zeros. So this module keeps dense and sparse
columns in separate parts, and copies none of them. At any time, at most a few thousand rows are converted to a dense
block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float64s, Floats, Rows

BLOCK = 2_048
"""Number of rows that are made dense at a time. With 3,000 columns, a block takes 25 MB."""

Part = npt.NDArray[Any] | Any
"""The values of some columns [n, d]: an array, or a `scipy.sparse` matrix in CSR format."""


@dataclass(frozen=True)
class MixedRows:
    """n rows of d numbers. `parts` are arrays and sparse matrices [n, d_i]. Side by side, the parts have all columns.

    `rows`: the chosen rows of the parts, or None for all rows. If `function` is given, it is applied to each dense
    block [m, sum d_i] that is read. The caller gets the result of `function`, a block [m, d].
    """

    parts: Sequence[Part]
    rows: Rows | None = None
    function: Callable[[Floats], Floats] | None = None

    @classmethod
    def of(cls, values: Floats | MixedRows) -> MixedRows:
        """Return an array [n, d] as mixed rows. Mixed rows are returned as they are."""
        return values if isinstance(values, MixedRows) else cls((values,))

    def __len__(self) -> int:
        return int(self.parts[0].shape[0]) if self.rows is None else len(self.rows)

    @property
    def width(self) -> int:
        """The number of columns, d."""
        if self.function is None:
            return sum(int(part.shape[1]) for part in self.parts)
        return int(self[:1].shape[1]) if len(self) else 0

    def __getitem__(self, chosen: Rows | Flags | slice) -> Any:
        """Return the chosen rows as a dense array [m, d]."""
        rows: Any = chosen if self.rows is None else self.rows[chosen]
        dense = [
            part[rows] if isinstance(part, np.ndarray) else np.asarray(part[rows].toarray()) for part in self.parts
        ]
        block = dense[0] if len(dense) == 1 else np.concatenate(dense, axis=1)
        return block if self.function is None else self.function(block)

    def take(self, chosen: Rows | Flags) -> MixedRows:
        """Return the chosen rows. The arrays in `parts` are shared and not copied."""
        rows = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, np.intp)
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def through(self, function: Callable[[Any], Floats]) -> MixedRows:
        """Return these rows with `function` applied to them. `function` maps a dense block [m, d] to a block [m, k]."""
        first = self.function
        return replace(self, function=function if first is None else lambda block: function(first(block)))

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield all rows in dense blocks of at most `BLOCK` rows, as pairs (slice, block). The slice says which rows
        the block has."""
        for start in range(0, len(self), BLOCK):
            place = slice(start, min(start + BLOCK, len(self)))
            yield place, self[place]

    def dense(self) -> Any:
        """Return all rows as a dense array [n, d].

        The array is filled block by block. So `function` never gets all rows at once.
        """
        if len(self) <= BLOCK:
            return self[:]
        filled: npt.NDArray[Any] | None = None
        for place, block in self.blocks():
            if filled is None:
                filled = np.empty((len(self), block.shape[1]), block.dtype)
            filled[place] = block
        return filled

    def mapped(self, function: Callable[[Any], npt.NDArray[Any]]) -> Any:
        """Return the concatenated results of `function`, which is called for one dense block [m, d] at a time."""
        found = [function(block) for _, block in self.blocks()]
        return np.concatenate(found) if found else np.asarray(function(self[:]))

    def moments(self) -> tuple[Float64s, Float64s]:
        """Return the mean and the standard deviation of each column [d]. There must be at least one row."""
        total, squares = np.zeros(self.width), np.zeros(self.width)
        for _, block in self.blocks():
            total += block.sum(axis=0, dtype=np.float64)
        mean = total / len(self)
        # The deviations are squared in a second pass, because the difference of two large sums would be less exact.
        for _, block in self.blocks():
            squares += ((block - mean) ** 2).sum(axis=0)
        return mean, np.sqrt(squares / len(self))

    def buffers(self) -> list[npt.NDArray[Any]]:
        """Return all arrays of which the rows consist. The caller computes a digest from these arrays."""
        arrays: list[npt.NDArray[Any]] = [] if self.rows is None else [self.rows]
        for part in self.parts:
            arrays += [part] if isinstance(part, np.ndarray) else [part.data, part.indices, part.indptr]
        return arrays

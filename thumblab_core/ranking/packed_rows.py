"""Store the standardised inputs of pictures without the zeros of their hashed words.

About 2,000 of the 3,000 inputs are hashed words. For one title, only about 100 of these 2,000 inputs differ from zero.
Without the zeros, the inputs take less than half of the memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Floats

_SPARSE = 0.25
"""A column is stored without its zeros if at most this share of its values differ from 0."""

_FIELDS = ("columns", "values", "places", "starts", "width")


@dataclass(frozen=True)
class PackedRows:
    """m rows of d numbers in half precision.

    `dense` [m, a]: the columns with few zeros, float16. `columns` [a]: the column numbers of `dense`. `values` [z]: the
    non-zero values of the other columns, row by row, float16. `places` [z]: the column number of each of these values.
    `starts` [m + 1]: row i has the values from `starts[i]` to `starts[i + 1]`. `width`: the number of all columns, d.
    """

    dense: npt.NDArray[np.float16]
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.float16]
    places: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    width: int

    @classmethod
    def of(cls, rows: Floats) -> Self:
        """Return rows [m, d] in packed form, rounded to half precision."""
        halves = np.asarray(rows, np.float16)
        counts = np.count_nonzero(halves, axis=0)
        columns = np.flatnonzero(counts > _SPARSE * len(halves)).astype(np.int32)
        rest = np.flatnonzero((counts <= _SPARSE * len(halves)) & (counts > 0)).astype(np.int32)
        other = halves[:, rest]
        row, place = np.nonzero(other)
        starts = np.searchsorted(row, np.arange(len(halves) + 1)).astype(np.int32)
        return cls(halves[:, columns], columns, other[row, place], rest[place], starts, halves.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.dense), self.width

    def unpacked(self) -> Float32s:
        """Return the rows [m, d] in single precision."""
        rows = np.zeros(self.shape, np.float32)
        rows[:, self.columns] = self.dense
        rows[np.repeat(np.arange(len(rows)), np.diff(self.starts)), self.places] = self.values
        return rows

    def tensors(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store in a file, each with its name. `dense` gets the name `name`. The names of the
        other arrays begin with `name` and a dot.
        """
        arrays = {field: getattr(self, field) for field in _FIELDS[:-1]} | {"width": np.array([self.width], np.int32)}
        return {name: np.ascontiguousarray(self.dense)} | {f"{name}.{field}": arrays[field] for field in _FIELDS}

    @classmethod
    def read(cls, tensors: Mapping[str, npt.NDArray[Any]], name: str) -> Self | None:
        """Return the rows with this name from the arrays of a file, or None if the arrays contradict each other.

        Older versions of the lab stored all columns in the array with the given name.
        """
        dense = tensors[name]
        if f"{name}.width" not in tensors:
            return cls.of(dense) if dense.ndim == 2 else None
        columns, values, places, starts, width = (tensors[f"{name}.{field}"] for field in _FIELDS)
        packed = cls(dense, columns, values, places, starts, int(width[0]))
        return packed if packed._is_valid() else None

    def _is_valid(self) -> bool:
        inside = all(((numbers >= 0) & (numbers < self.width)).all() for numbers in (self.columns, self.places))
        return bool(
            inside
            and self.dense.ndim == 2
            and self.dense.shape[1] == len(self.columns)
            and len(self.starts) == len(self.dense) + 1
            and self.starts[0] == 0
            and (np.diff(self.starts) >= 0).all()
            and len(self.values) == len(self.places) == self.starts[-1]
        )

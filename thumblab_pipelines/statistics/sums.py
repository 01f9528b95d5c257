"""Fit ridge regressions from sums over rows, so that the rows are read once and never copied.

Take a ridge regression of targets Y [n, k] on inputs X [n, d] with an intercept. The regression needs only n, the sums
of the columns of X and of Y, X'X and X'Y. The sums of several groups of rows can be added. So a regression that leaves
out one group needs no second pass over the other groups. Its sums are the sums of all rows, minus the sums of the
group.

The products of a block are computed in the precision of the block, and added up in 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float64s, Floats
from thumblab_pipelines.statistics.mixed_rows import MixedRows


@dataclass(frozen=True)
class Sums:
    """The sums over n rows.

    `count`: the sum of the rows' weights, usually n. `x` [d] and `y` [k]: the sums of the inputs and of the targets.
    `xx` [d, d] and `xy` [d, k]: the sums of their products.
    """

    count: float
    x: Float64s
    y: Float64s
    xx: Float64s
    xy: Float64s

    @classmethod
    def of(cls, inputs: Floats | MixedRows, targets: Floats) -> Sums:
        """Return the sums over the rows of `inputs` [n, d] and `targets` [n, k]."""
        rows = MixedRows.of(inputs)
        d, k = rows.width, targets.shape[1]
        x, y, xx, xy = np.zeros(d), np.zeros(k), np.zeros((d, d)), np.zeros((d, k))
        for place, block in rows.blocks():
            target = np.asarray(targets[place], block.dtype)
            x += block.sum(axis=0, dtype=np.float64)
            y += target.sum(axis=0, dtype=np.float64)
            xx += block.T @ block
            xy += block.T @ target
        return cls(float(len(rows)), x, y, xx, xy)

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(mine + others for mine, others in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(mine - others for mine, others in zip(vars(self).values(), vars(other).values(), strict=True)))

    def ridge(self, penalty: float) -> Float64s:
        """Return the coefficients [d, k] of the ridge regression. The regression has an intercept, which is not
        penalised.
        """
        from scipy.linalg import cho_factor, cho_solve

        matrix = self.xx - np.outer(self.x, self.x) / self.count
        matrix.flat[:: len(matrix) + 1] += penalty
        right = self.xy - np.outer(self.x, self.y) / self.count
        return np.asarray(cho_solve(cho_factor(matrix, lower=True, overwrite_a=True), right), np.float64)

    @property
    def means(self) -> tuple[Float64s, Float64s]:
        """The mean of the inputs [d] and of the targets [k]."""
        return self.x / self.count, self.y / self.count

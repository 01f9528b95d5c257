"""The kernel of channel adapters, a function that says how similar the inputs of two videos are.

If two videos of a channel are more similar, the views of one video predict the views of the other video better. The
kernel is the sum of a Gaussian and of linear parts:

    k(x, y) = exp(-|x - y|^2 / 2) + sum over blocks of variance(block) * x(block) . y(block)

The Gaussian compares picture and title as a whole. The linear parts let each channel have its own linear weights. These
weights learn which pictures the channel's viewers like under any title. They also learn which words, wording and length
of the video these viewers like. Duvenaud et al. (NIPS 2011) describe additive kernels like this one.
docs/training-recipe.md says how the variances were chosen.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Floats
from thumblab_core.ranking.inputs import (
    FACTS_BLOCK,
    IMAGE,
    LENGTH_BLOCK,
    TITLE,
    WORDS_BLOCK,
    InputLayout,
)

_GAUSSIAN = IMAGE, TITLE, FACTS_BLOCK, WORDS_BLOCK
"""The blocks of inputs that the Gaussian compares.

The length scale of the Gaussian is 1, because the standardised block of a picture or of a title has the length 1.
"""

VARIANCES = {IMAGE: 0.1, FACTS_BLOCK: 0.4, WORDS_BLOCK: 0.1, LENGTH_BLOCK: 0.2}
"""The variance of each linear part, as a multiple of the variance of the Gaussian.

The title facts have a larger variance because their standardised block has the length 0.5, not 1. With the variance
0.4, they contribute as much as a block of length 1 with the variance 0.1, because 0.4 * 0.5^2 = 0.1.
"""


@dataclass(frozen=True)
class Kernel:
    """A kernel for standardised inputs of d columns.

    `gaussian` [d] is 1 for the columns that the Gaussian compares, and 0 for the other columns. `linear` [d] has the
    variance of the linear part of each column.
    """

    gaussian: Float32s
    linear: Float32s

    @classmethod
    def of(cls, layout: InputLayout) -> Self:
        """Return the kernel for inputs of this layout.

        For inputs of versions 1 and 2, which have no block `length`, the kernel has no linear parts.
        """
        gaussian, linear = np.zeros(layout.total, np.float32), np.zeros(layout.total, np.float32)
        for name in layout.sizes:
            columns = layout.columns(name)
            gaussian[columns] = name in _GAUSSIAN
            linear[columns] = VARIANCES.get(name, 0.0) if layout.sizes[LENGTH_BLOCK] else 0.0
        return cls(gaussian, linear)

    @classmethod
    def without_linear_parts(cls, columns: int) -> Self:
        """Return a kernel without linear parts. Its Gaussian part compares all columns."""
        return cls(np.ones(columns, np.float32), np.zeros(columns, np.float32))

    def __call__(self, first: Floats, second: Floats) -> npt.NDArray[np.float64]:
        """Return the value of the kernel for each row of `first` [n, d] and each row of `second` [m, d], as [n, m]."""
        a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
        compared, added = self.gaussian > 0, self.linear > 0
        left, right = a[:, compared], b[:, compared]
        squared_distance = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
        kernel: npt.NDArray[np.float64] = np.exp(-np.maximum(squared_distance, 0).astype(np.float64) / 2)
        if added.any():
            kernel += (a[:, added] * self.linear[added]) @ b[:, added].T
        return kernel

"""Measure how similar the items of a library are to their nearest neighbours.

The similarity of a new thumbnail is measured in the same way. A thumbnail is typical of the library if its similarity
is higher than the similarity of most items.
"""

import numpy as np
import numpy.typing as npt

from thumblab_core.index.base import Base
from thumblab_core.index.items import typical_neighbours
from thumblab_core.index.kinds import FLAT_UP_TO

MeanCosines = npt.NDArray[np.float32]
"""The mean cosines of n items of a library, float32 [n], in rising order. Each is the mean of an item's cosines to its
k nearest other items.

The function `typical_neighbours` returns k.
"""

_SAMPLE = 5_000
"""If the library has more than `FLAT_UP_TO` items, mean cosines are computed only for this number of items, drawn at
random.
"""


def mean_cosines_of(base: Base) -> MeanCosines:
    """Measure the items of a base, and return their `MeanCosines`. The result is empty if there are fewer than two
    items.
    """
    count = len(base)
    if count < 2:
        return np.zeros(0, np.float32)
    rows = np.arange(count)
    if count > FLAT_UP_TO:
        rows = np.sort(np.random.default_rng(0).choice(count, _SAMPLE, replace=False))
    k = min(typical_neighbours(count), count - 1)
    return np.sort(np.array([near.mean() for near, _ in base.nearest_others(rows, k)], np.float32))

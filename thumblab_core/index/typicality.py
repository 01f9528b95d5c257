"""How similar the items of a library are to their own neighbours. It places a new thumbnail among them."""

import numpy as np
import numpy.typing as npt

from thumblab_core.index.base import Base
from thumblab_core.index.items import typical_neighbours
from thumblab_core.index.kinds import FLAT_UP_TO

MeanCosines = npt.NDArray[np.float32]
"""float32 [n], rising: for each item, its mean cosine to its k nearest other items (`typical_neighbours`)."""

_SAMPLE = 5_000
"""Items that are measured if the library has more than `FLAT_UP_TO`."""


def mean_cosines_of(base: Base) -> MeanCosines:
    """Return the calibration of a base. It is empty if the base has fewer than two items."""
    count = len(base)
    if count < 2:
        return np.zeros(0, np.float32)
    rows = np.arange(count)
    if count > FLAT_UP_TO:
        rows = np.sort(np.random.default_rng(0).choice(count, _SAMPLE, replace=False))
    k = min(typical_neighbours(count), count - 1)
    return np.sort(np.array([near.mean() for near, _ in base.nearest_others(rows, k)], np.float32))

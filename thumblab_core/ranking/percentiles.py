"""Place a score among the scores of other videos, of which a release stores the 101 percentiles."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEAST_PLACED = 20
"""A score is placed among the videos of a niche or a channel only if there are at least this many of them."""

_RANKS = np.arange(101.0)


def percentiles(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the 0th to 100th percentile of scores [n], float64 [101]."""
    return np.asarray(np.percentile(np.asarray(scores), _RANKS), np.float64)


def percentile_of(score: float, quantiles: Sequence[float] | npt.NDArray[np.floating]) -> float:
    """Return the percentile of a score, 0 to 100, among scores whose 101 `percentiles` are `quantiles`."""
    return float(np.interp(score, quantiles, _RANKS))

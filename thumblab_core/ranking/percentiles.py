"""Find the percentile of a score among the scores of all videos of a niche or of a channel.

A release stores only the 101 percentiles of these scores, not the scores.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEAST_PLACED = 20
"""Minimum number of videos of a niche or a channel. With fewer videos, no percentiles of scores are given."""

_RANKS = np.arange(101.0)


def percentiles(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the 0th to 100th percentile of scores [n], float64 [101]."""
    return np.asarray(np.percentile(np.asarray(scores), _RANKS), np.float64)


def percentile_of(score: float, quantiles: Sequence[float] | npt.NDArray[np.floating]) -> float:
    """Return the percentile of a score among other scores, 0 to 100. `quantiles` are the 101 `percentiles` of the other
    scores.
    """
    return float(np.interp(score, quantiles, _RANKS))

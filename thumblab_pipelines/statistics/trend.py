"""Compute the local trend of a channel: a weighted mean of the targets of its videos.

The target of a video is the log of its age-corrected views. The trend is computed for one moment. A video has a larger
weight if it was published nearer to this moment. Models learn the target of a video minus the trend at its publication.
So the size and the growth of the channel do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Rows

if TYPE_CHECKING:
    import pandas as pd

_CELLS = 4_000_000
"""Maximum number of distances between videos that are computed in one step.

With this limit, a channel of 20,000 videos needs megabytes of memory instead of gigabytes.
"""

_NO_SPREAD = 1e-12
"""Maximum sum of squares of the centred scores at which the scores count as constant."""

_SECONDS_PER_DAY = 86_400.0


def publication_days(videos: pd.DataFrame) -> Float64s:
    """Return the moment at which each video [n] was published, in days since 1970 (UTC), with fractions."""
    import pandas as pd

    moments = pd.to_datetime(videos.published_at, utc=True).to_numpy("datetime64[s]")
    return np.asarray(moments.astype(np.int64) / _SECONDS_PER_DAY, np.float64)


def local_trend(
    channel: npt.ArrayLike,
    days: npt.ArrayLike,
    target: npt.ArrayLike,
    known: npt.ArrayLike,
    scale: float = 30.0,
) -> Float64s:
    """Return the local trend of each video's channel, float64 [n].

    The trend for video i is a Nadaraya-Watson kernel mean [1]_ over the other known videos j of its channel:

        trend(i) = sum_j w_ij * target(j) / sum_j w_ij,    w_ij = exp(-abs(days(i) - days(j)) / scale)

    Parameters
    ----------
    channel, days, target
        The channel, the publication day and the target of each video [n].
    known
        For each video [n], whether the trend may be computed from its target. If false, the target is not read.
    scale
        The distance in days at which a weight has fallen to 1/e.

    The trend for a video does not use the target of this video. The exception is the only known video of a channel: its
    trend is its own target, so that the target minus the trend is 0. If a channel has no known video, its trend is 0.

    .. [1] E. Nadaraya, "On estimating regression", Theory of Probability and Its Applications, 1964.
    """
    _, place = np.unique(np.asarray(channel), return_inverse=True)
    published, targets = np.asarray(days, np.float64), np.asarray(target, np.float64)
    is_known = np.asarray(known, bool)
    trend = np.zeros(len(targets))
    order = np.argsort(place, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        known_rows = rows[is_known[rows]]
        if not len(known_rows):
            continue
        for block in np.array_split(rows, -(-len(rows) * len(known_rows) // _CELLS)):
            trend[block] = _kernel_mean(block, known_rows, published, targets, scale)
        if len(known_rows) == 1:
            trend[known_rows] = targets[known_rows]
    return trend


def slope_within_channels(channel: npt.ArrayLike, scores: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Return the slope of a least-squares fit of the target [n] on the scores [n].

    Scores and target are first centred within each channel. `channel` [n] has the channel of each row. The slope is 1 if
    the scores do not vary within any channel.
    """
    _, number = np.unique(np.asarray(channel), return_inverse=True)
    count = np.bincount(number)
    x, y = (np.asarray(values, np.float64) for values in (scores, target))
    x, y = (values - (np.bincount(number, values) / count)[number] for values in (x, y))
    spread = float((x**2).sum())
    return float((x * y).sum()) / spread if spread > _NO_SPREAD else 1.0


def _kernel_mean(rows: Rows, known_rows: Rows, published: Float64s, target: Float64s, scale: float) -> Float64s:
    distance = np.abs(published[rows, None] - published[known_rows]) / scale
    distance[rows[:, None] == known_rows] = np.inf
    # The distance to the nearest known video is subtracted from all distances. Without the subtraction, for a video far
    # from all known videos, all weights would underflow to 0.
    nearest = distance.min(axis=1, keepdims=True)
    weight = np.exp(np.where(np.isfinite(nearest), nearest, 0.0) - distance)
    total = weight.sum(axis=1)
    return np.asarray((weight @ target[known_rows]) / np.where(total > 0, total, 1.0), np.float64)

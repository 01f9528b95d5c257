"""Compute the figures of a cluster: the usual outlier multiple of its videos, and the growth of its share of new
videos.
"""

from __future__ import annotations

import math

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.library_map.map_figures import Growth, Multiple
from thumblab_pipelines.library_map.read import UNKNOWN_DAY
from thumblab_pipelines.statistics.intervals import interval_of_channels

RECENT_WEEKS, BEFORE_WEEKS = 4, 8
_LEAST_CHANNELS = 3
_LEAST_VIDEOS = 3
"""The growth of a cluster is computed only if each of the two periods has at least this number of its videos."""
_FURTHEST = math.log(1e6)


def multiple_of(multiples: Float64s, channels: Rows) -> Multiple | None:
    """Return the usual outlier multiple of m videos, or None if fewer than three channels have a known multiple.

    `multiples` [m] is NaN for an unknown multiple. The usual multiple is the geometric mean of the channels' medians,
    so that all channels have the same weight. The result also has the 95 % interval of this mean (Student's t).
    """
    known = np.isfinite(multiples) & (multiples > 0)
    place = np.unique(channels[known], return_inverse=True)[1]
    if place.max(initial=-1) + 1 < _LEAST_CHANNELS:
        return None
    logs = np.log(multiples[known])
    medians = np.array([np.median(logs[place == channel]) for channel in range(place.max() + 1)])
    low, high = interval_of_channels(medians, (-_FURTHEST, _FURTHEST))
    return Multiple(
        median=round(math.exp(medians.mean()), 4),
        low=round(math.exp(low), 4),
        high=round(math.exp(high), 4),
        videos=int(known.sum()),
    )


def newest_day(days: Rows, today: int) -> int:
    """Return the last of the `days` [n] that is not after today, or `UNKNOWN_DAY`.

    A day after today must be wrong. If it counted as the newest day, all other videos would count as old.
    """
    return int(days[days <= today].max(initial=UNKNOWN_DAY))


def growth_of(days: Rows, inside: Flags, channels: Rows, newest: int, clusters: int) -> Growth:
    """Return how a cluster's share of new videos has changed, as a ratio with a 95 % interval.

    `days` [n]: the day of publication of each video of the map, or `UNKNOWN_DAY`. `inside` [n]: whether each video is in
    the cluster. `newest`: the last day that is used. `clusters`: number of clusters on this level of the map. The
    cluster is `rising` only if the whole interval is above 1 after a Bonferroni correction for the number of clusters.
    """
    week = np.where(days == UNKNOWN_DAY, -1, (newest - days) // 7)
    counts = [int((inside & (week == number)).sum()) for number in range(RECENT_WEEKS + BEFORE_WEEKS)]
    recent = (week >= 0) & (week < RECENT_WEEKS)
    before = (week >= RECENT_WEEKS) & (week < RECENT_WEEKS + BEFORE_WEEKS)
    weeks = tuple(counts[::-1])
    now, earlier = int((recent & inside).sum()), int((before & inside).sum())
    if min(now, earlier) < _LEAST_VIDEOS:
        return Growth(weeks=weeks, recent=now, before=earlier, ratio=None, low=None, high=None, rising=False)
    ratio, error, freedom = _ratio(recent, before, inside, channels)
    low, high = (math.exp(math.log(ratio) + side * _quantile(0.975, freedom) * error) for side in (-1, 1))
    corrected = math.log(ratio) - _quantile(1 - 0.025 / clusters, freedom) * error
    return Growth(
        weeks=weeks,
        recent=now,
        before=earlier,
        ratio=round(ratio, 4),
        low=round(low, 4),
        high=round(high, 4),
        rising=corrected > 0,
    )


def _ratio(recent: Flags, before: Flags, inside: Flags, channels: Rows) -> tuple[float, float, float]:
    """Return the cluster's share of `recent` videos divided by its share of the videos `before`.

    Also return the standard error of the logarithm of this ratio, and the degrees of freedom. The error is computed
    from one value per channel, because the videos of one channel are not independent.
    """
    shares = [float((time & inside).sum() / time.sum()) for time in (recent, before)]
    influence = np.zeros(len(inside))
    for sign, time, share in zip((1, -1), (recent, before), shares, strict=True):
        influence[time] += sign * (inside[time] - share) / (share * time.sum())
    counted = recent | before
    place = np.unique(channels[counted], return_inverse=True)[1]
    by_channel = np.bincount(place, influence[counted])
    count = len(by_channel)
    error = math.sqrt(float((by_channel**2).sum()) * count / max(1, count - 1))
    in_cluster = len(np.unique(channels[counted & inside]))
    return shares[0] / shares[1], error, float(max(1, in_cluster - 1))


def _quantile(level: float, freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(level, freedom))

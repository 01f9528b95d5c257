"""Compute ranking metrics: AUC over pairs, its bootstrap intervals, and rank correlation.

A pair is given by two row numbers of `scores`: its winner and its loser. The AUC over m pairs is

    AUC = (number of pairs with score[winner] > score[loser] + half the number of ties) / m

If the pairs are all combinations of two groups, this is the area under the ROC curve, which is also the Mann-Whitney U
statistic divided by m [1]_. For pairs of videos it is also called pairwise accuracy.

.. [1] J. Hanley and B. McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
   Radiology, 1982.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Floats, Rows

Interval = tuple[float, float]
"""The lower and the upper end of an interval."""

_CHANNEL_DRAWS = 1_000
_VIDEO_DRAWS = 300
_PERCENTILES_95 = (2.5, 97.5)


def pair_wins(scores: Floats, winners: Rows, losers: Rows) -> Float64s:
    """Return for each pair [m] 1 if the winner has the higher score, 0 if it has the lower score, 0.5 for a tie."""
    gap = scores[winners] - scores[losers]
    return np.asarray((gap > 0) + 0.5 * (gap == 0), np.float64)


def pair_auc(scores: Floats, winners: Rows, losers: Rows) -> float:
    """Return the AUC over the pairs, 0 to 1. A tie counts half. Return NaN if there are no pairs."""
    return float(pair_wins(scores, winners, losers).mean()) if len(winners) else float("nan")


def interval_over_channels(values: Float64s, channel: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Interval:
    """Return the 95 % interval of the weighted mean of `values` [m] by a cluster bootstrap over channels [1]_.

    There are 1,000 draws. Each draws k of the k channels with replacement, and takes all values of each drawn channel.
    The ends of the interval are the 2.5th and the 97.5th percentile of the weighted means. Whole channels are drawn
    because pairs of one channel share videos and are therefore not independent. With few channels the interval is
    rough.

    Parameters
    ----------
    values
        One value per pair, such as `pair_wins` [m].
    channel
        The channel of each value [m], as names or as numbers from `numbered`. Numbers are faster, because names must be
        sorted.
    weights
        The weight of each value [m]. The default is 1.

    .. [1] For the percentile method, see B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993. For the
       clusters, see C. Field and A. Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B,
       2007.
    """
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    place, size = _consecutive(channel)
    total, count = np.bincount(place, values * weight, size), np.bincount(place, weight, size)
    drawn = np.random.default_rng(0).integers(0, size, (_CHANNEL_DRAWS, size))
    return _percentiles(total[drawn].sum(axis=1), count[drawn].sum(axis=1))


def interval_over_videos(
    values: Float64s, winners: Rows, losers: Rows, percentiles: Interval = _PERCENTILES_95
) -> Interval:
    """Return the bootstrap interval of the mean of `values` [m] over pairs of one channel, by drawing its videos.

    There are 300 draws. Each draws k of the k videos with replacement. If the videos of a pair were drawn a and b
    times, the pair counts a * b times. `percentiles` are the ends of the interval. The default is a 95 % interval.
    """
    from scipy.sparse import csr_array

    videos, place = np.unique(np.concatenate([winners, losers]), return_inverse=True)
    winner, loser = np.split(place, 2)
    size = len(videos)
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), _VIDEO_DRAWS).astype(np.float64)

    def drawn_sums(of_pairs: Float64s) -> Float64s:
        per_winner = csr_array((of_pairs, (loser, winner)), shape=(size, size)).T @ drawn.T
        return np.asarray((per_winner.T * drawn).sum(axis=1), np.float64)

    return _percentiles(drawn_sums(values), drawn_sums(np.ones(len(values))), percentiles)


def interval(values: Float64s, winners: Rows, losers: Rows, channel: npt.ArrayLike) -> Interval:
    """Return the 95 % interval of the mean of `values` [m]. Draw channels, or videos if there is only one channel."""
    if _consecutive(channel)[1] > 1:
        return interval_over_channels(values, channel)
    return interval_over_videos(values, winners, losers)


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return Spearman's rank correlation [1]_ of two arrays [n], -1 to 1. Return 0 if one of them is constant.

    This is Pearson's correlation of the ranks. Equal values get the mean of their ranks.

    .. [1] C. Spearman, "The proof and measurement of association between two things", American Journal of Psychology,
       1904.
    """
    from scipy.stats import rankdata

    first_ranks, second_ranks = rankdata(first), rankdata(second)
    first_ranks, second_ranks = first_ranks - first_ranks.mean(), second_ranks - second_ranks.mean()
    norm = float(np.sqrt((first_ranks**2).sum() * (second_ranks**2).sum()))
    return float((first_ranks * second_ranks).sum()) / norm if norm > 0 else 0.0


def channel_correlations(
    scores: Floats, truth: npt.ArrayLike, channel: npt.ArrayLike, rows: Iterable[int] | Rows, least: int = 10
) -> dict[str, float]:
    """Return Spearman's correlation of `scores` [n] and `truth` [n] within each `channel` [n], by channel name.

    Only those of the `rows` are used whose truth is finite. Channels with fewer than `least` such videos are left out.
    """
    target = np.asarray(truth, np.float64)
    chosen = np.asarray(rows, np.intp)
    chosen = chosen[np.isfinite(target[chosen])]
    place, names = numbered(np.asarray(channel, object)[chosen])
    chosen = chosen[np.argsort(place, kind="stable")]
    correlations = {}
    end = 0
    for name, count in zip(names, np.bincount(place), strict=True):
        channel_rows, end = chosen[end : end + count], end + count
        if count >= least:
            correlations[name] = rank_correlation(scores[channel_rows], target[channel_rows])
    return correlations


def numbered(names: npt.ArrayLike) -> tuple[Rows, list[str]]:
    """Return the position of each name [m] in the sorted list of distinct names, and this list.

    Names are hashed, and only the distinct names are sorted. If many names are equal, this is faster than `np.unique`.
    """
    import pandas as pd

    codes, distinct_names = pd.factorize(np.asarray(names, object), sort=True)
    return np.asarray(codes, np.intp), [str(name) for name in distinct_names]


def distinct(numbers: Rows) -> int:
    """Return how many different numbers there are. All numbers must be 0 or more."""
    return int(np.count_nonzero(np.bincount(numbers))) if len(numbers) else 0


def _consecutive(channel: npt.ArrayLike) -> tuple[Rows, int]:
    """Return the channels [m] numbered from 0 without gaps in their sorted order, and the number of channels."""
    given = np.asarray(channel)
    numbers = given if np.issubdtype(given.dtype, np.integer) else numbered(given)[0]
    occurs = np.bincount(numbers) > 0
    return (np.cumsum(occurs) - 1)[numbers], int(np.count_nonzero(occurs))


def _percentiles(totals: Float64s, counts: Float64s, percentiles: Interval = _PERCENTILES_95) -> Interval:
    """Return percentiles of total / count over the draws. Draws that contain no pair are left out."""
    drawn = counts > 0
    low, high = np.percentile(totals[drawn] / counts[drawn], percentiles)
    return float(low), float(high)

"""Compute ranking metrics: AUC over pairs, and rank correlation.

A pair is given by two row numbers of `scores`: its winner and its loser. The AUC over m pairs is

    AUC = (number of pairs with score[winner] > score[loser] + half the number of ties) / m

If the pairs are all combinations of two groups, this AUC is the area under the ROC curve. For all combinations of two
groups, the AUC is also equal to the Mann-Whitney U statistic divided by m [1]_. For pairs of videos, the AUC is also
called pairwise accuracy.

.. [1] J. Hanley and B. McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
   Radiology, 1982.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Floats, Rows


def pair_wins(scores: Floats, winners: Rows, losers: Rows) -> Float64s:
    """Return for each pair [m] 1 if the winner has the higher score, 0 if it has the lower score, 0.5 for a tie."""
    gap = scores[winners] - scores[losers]
    return np.asarray((gap > 0) + 0.5 * (gap == 0), np.float64)


def pair_auc(scores: Floats, winners: Rows, losers: Rows) -> float:
    """Return the AUC over the pairs, 0 to 1. A tie counts half. Return NaN if there are no pairs."""
    return float(pair_wins(scores, winners, losers).mean()) if len(winners) else float("nan")


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return Spearman's rank correlation [1]_ of two arrays [n], -1 to 1. Return 0 if one of the arrays is constant.

    Spearman's correlation is Pearson's correlation of the ranks. Equal values get the mean of their ranks.

    .. [1] C. Spearman, "The proof and measurement of association between two things", American Journal of Psychology,
       1904.
    """
    from scipy.stats import rankdata

    first_ranks, second_ranks = rankdata(first), rankdata(second)
    first_ranks, second_ranks = first_ranks - first_ranks.mean(), second_ranks - second_ranks.mean()
    norm = float(np.sqrt((first_ranks**2).sum() * (second_ranks**2).sum()))
    return float((first_ranks * second_ranks).sum()) / norm if norm > 0 else 0.0


def correlation_within(first: Floats, second: Floats, group: Rows) -> tuple[float, float]:
    """Return Spearman's correlation of two arrays [n] within groups, and the lower end of its 95 % interval.

    `group` [n]: the number of each value's group. The mean of each group is subtracted first, so differences between
    groups do not count. The interval is from Fisher's transformation [1]_, and each group costs one value.

    .. [1] R. Fisher, "On the probable error of a coefficient of correlation deduced from a small sample", Metron, 1921.
    """
    count = np.bincount(group)
    centred = [
        values - (np.bincount(group, values) / np.maximum(count, 1))[group]
        for values in (np.asarray(first, np.float64), np.asarray(second, np.float64))
    ]
    correlation = rank_correlation(*centred)
    # The correlation is clipped, because the transformation of 1 is infinite.
    transformed = np.arctanh(np.clip(correlation, -1 + 1e-9, 1 - 1e-9))
    independent = max(len(first) - int(np.count_nonzero(count)) - 2, 1)
    return correlation, float(np.tanh(transformed - 1.96 / np.sqrt(independent)))


def channel_correlations(
    scores: Floats, truth: npt.ArrayLike, channel: npt.ArrayLike, rows: Iterable[int] | Rows, least: int = 10
) -> dict[str, float]:
    """Return Spearman's correlation of `scores` [n] and `truth` [n] within each `channel` [n], by channel name.

    A video is used if it is in `rows` and its `truth` is finite. Channels with fewer than `least` used videos are left
    out.
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
    """Sort the distinct names. Return the position [m] of each name in the sorted list, and the sorted list itself.

    Names are hashed, and only the distinct names are sorted. If many names are equal, hashing is faster than
    `np.unique`. Names in a categorical column of pandas have numbers already, so only these numbers are hashed.
    """
    import pandas as pd

    given: Any = names
    if isinstance(getattr(given, "dtype", None), pd.CategoricalDtype):
        given = pd.Categorical(given)
        codes, numbers = pd.factorize(given.codes)
        distinct_names = np.asarray(given.categories[numbers], object)
        order = np.argsort(distinct_names)
        return np.argsort(order)[codes].astype(np.intp), [str(name) for name in distinct_names[order]]
    codes, distinct_names = pd.factorize(np.asarray(names, object), sort=True)
    return np.asarray(codes, np.intp), [str(name) for name in distinct_names]


def distinct(numbers: Rows) -> int:
    """Return how many different numbers there are. All numbers must be 0 or more."""
    return int(np.count_nonzero(np.bincount(numbers))) if len(numbers) else 0

"""Compare two groups within strata by ranks, and test the difference by permutations within the strata.

A stratum has n1 videos of the first group and n0 other videos. Let R be the sum of the ranks of the first group in the
stratum. The first group wins this share of the n1 * n0 comparisons, if a tie counts as one half:

    share = (R - n1 * (n1 + 1) / 2) / (n1 * n0)

The share is the statistic of Mann and Whitney, divided by its largest value [1]_. A weighted sum of such shares is
linear in the ranks [2]_. The null hypothesis is that the group has no effect on the value. Then, within each stratum,
each choice of n1 videos is equally likely to be the first group. The mean and the variance of the sum follow exactly
from the null hypothesis. The distribution of the sum is estimated from random choices.

.. [1] H. Mann and D. Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
   Annals of Mathematical Statistics, 1947.
.. [2] P. van Elteren, "On the combination of independent two sample tests of Wilcoxon", Bulletin of the International
   Statistical Institute, 1960.
.. [3] J. Besag and P. Clifford, "Sequential Monte Carlo p-values", Biometrika, 1991.
"""

from __future__ import annotations

import math

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows

DRAWS = 9_999
"""Number of permutations. The smallest p value is 1 / (DRAWS + 1)."""

_DOUBTFUL = 0.02
"""If the p value of the normal approximation is at most this number, it is replaced by a p value from permutations.

Only small p values lead to a discovery, and the normal approximation is least exact for small p values.
"""

_CERTAIN = 1e-9
"""If the p value of the normal approximation is below this number, the smallest possible p value is returned, without
permutations.

For such a p value, the sum is more than six standard deviations from its mean. Ranks are bounded, so the true p value
is below the smallest possible p value even if the normal approximation is poor.
"""

_FIRST_DRAWS, _ENOUGH_REACHED = 1_999, 20
"""If at least 20 of the first 1,999 drawn sums reach the observed sum, the p value is about 1 % or more. In this case,
no further permutation is drawn [3]_.
"""

_CELLS = 200_000
"""Maximum number of scores that are shuffled at the same time. This number of scores fits into the cache of a
processor."""


def stratum_ranks(values: Float64s, stratum: Rows) -> Float64s:
    """Return the rank of each value [n] within its stratum, at least 1. Equal values get the mean of their ranks."""
    import pandas as pd

    return np.asarray(pd.Series(values).groupby(stratum).rank(), np.float64)


def permutation_p_value(scores: Float64s, chosen: Flags, stratum: Rows, seed: int, draws: int = DRAWS) -> float:
    """Return the two-sided p value of the sum of `scores` [n] over the `chosen` [n] members.

    The null hypothesis is that the chosen members of each stratum were drawn at random from the stratum.

    Parameters
    ----------
    scores
        The weighted rank of each member [n].
    chosen
        Whether each member belongs to the first group [n].
    stratum
        The stratum of each member [n], as numbers from 0.
    seed
        The seed of the permutations.
    draws
        Number of permutations. Permutations are drawn only if the normal approximation of the p value is small.
    """
    from scipy.stats import norm

    size = np.bincount(stratum)
    ones = np.bincount(stratum, chosen)
    mean_score = np.bincount(stratum, scores) / size
    centred = scores - mean_score[stratum]
    observed = float(centred[chosen].sum())
    spread = np.bincount(stratum, centred**2)
    variance = float((ones * (size - ones) / (size * np.maximum(size - 1, 1)) * spread).sum())
    if variance <= 0:
        return 1.0
    approximate = 2 * float(norm.sf(abs(observed) / math.sqrt(variance)))
    if approximate > _DOUBTFUL:
        return approximate
    if approximate < _CERTAIN:
        return 1 / (draws + 1)
    random = np.random.default_rng(seed)
    reached = done = 0
    for count in (min(draws, _FIRST_DRAWS), max(draws - _FIRST_DRAWS, 0)):
        sums = _drawn_sums(centred, chosen, stratum, random, count)
        reached += int((np.abs(sums) >= abs(observed) * (1 - 1e-9)).sum())
        done += count
        if reached >= _ENOUGH_REACHED:
            break
    return (reached + 1) / (done + 1)


def _drawn_sums(centred: Float64s, chosen: Flags, stratum: Rows, random: np.random.Generator, draws: int) -> Float64s:
    """Return the sum [draws] of `centred` over the members that each permutation chooses."""
    order = np.argsort(stratum, kind="stable")
    sums = np.zeros(draws)
    for members in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1):
        size, count = len(members), int(chosen[members].sum())
        # The centred scores of a stratum add up to 0. So the sum over the chosen members is minus the sum over the
        # other members. To save time, the smaller of the two groups is drawn.
        fewer, sign = (count, 1.0) if 2 * count <= size else (size - count, -1.0)
        block = max(1, _CELLS // size)
        for start in range(0, draws, block):
            part = sums[start : start + block]
            left = np.tile(centred[members], (len(part), 1))
            row = np.arange(len(part))
            for taken in range(fewer):  # Do the first steps of the Fisher-Yates shuffle.
                place = taken + (random.random(len(part)) * (size - taken)).astype(np.intp)
                part += sign * left[row, place]
                left[row, place] = left[:, taken]
    return sums

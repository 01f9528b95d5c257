"""How good scores are, as pure functions of arrays: of pairs, and of videos within their channels.

A pair is a winner and a loser, both numbers of rows of `scores`. The AUC of pairs is the share that is ordered rightly. Over
all pairs of two groups that is the area under the ROC curve; over pairs of videos it is also called accuracy, and where each
pair is asked in both orders it is the same share again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Floats, Rows

Interval = tuple[float, float]

_DRAWS = 1_000
_ENDS = (2.5, 97.5)
_DRAWS_OF_VIDEOS = 300


def pair_wins(scores: Floats, winners: Rows, losers: Rows) -> Float64s:
    """[m] 1 where the winner has the higher score, 0 where it has the lower one, one half for a tie."""
    gap = scores[winners] - scores[losers]
    return np.asarray((gap > 0) + 0.5 * (gap == 0), np.float64)


def pair_auc(scores: Floats, winners: Rows, losers: Rows) -> float:
    """Share of pairs whose winner has the higher score; a tie counts half. NaN when there are no pairs."""
    return float(pair_wins(scores, winners, losers).mean()) if len(winners) else float("nan")


def interval_over_channels(values: Float64s, channel: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Interval:
    """95 % interval of the weighted mean of `values` [m], by drawing whole `channel`s [m] with replacement.

    Pairs of one channel share its videos, so they are drawn together. With few channels the interval is rough. Numbers of
    channels (see `numbered`) are counted; names would have to be sorted for every figure.
    """
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    place, size = _places(channel)
    total, count = np.bincount(place, values * weight, size), np.bincount(place, weight, size)
    drawn = np.random.default_rng(0).integers(0, size, (_DRAWS, size))
    return _ends(total[drawn].sum(axis=1), count[drawn].sum(axis=1))


def interval_over_videos(wins: Float64s, winners: Rows, losers: Rows, ends: Interval = _ENDS) -> Interval:
    """95 % interval of the mean of `wins` [m] within one channel, by drawing its videos with replacement.

    A pair counts as often as both of its videos were drawn. `ends`: other percentiles than those of 95 %.
    """
    from scipy.sparse import csr_array

    rows, place = np.unique(np.concatenate([winners, losers]), return_inverse=True)
    one, other = np.split(place, 2)
    size = len(rows)
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), _DRAWS_OF_VIDEOS).astype(np.float64)

    def summed(values: Float64s) -> Float64s:
        of_each_winner = csr_array((values, (other, one)), shape=(size, size)).T @ drawn.T
        return np.asarray((of_each_winner.T * drawn).sum(axis=1), np.float64)

    return _ends(summed(wins), summed(np.ones(len(wins))), ends)


def interval(values: Float64s, winners: Rows, losers: Rows, channel: npt.ArrayLike) -> Interval:
    """95 % interval of the mean of `values` [m] of pairs: over channels, and over videos where there is but one channel."""
    if _places(channel)[1] > 1:
        return interval_over_channels(values, channel)
    return interval_over_videos(values, winners, losers)


def rank_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Spearman's, -1 to 1; ties share their ranks. What is constant correlates with nothing: 0."""
    from scipy.stats import rankdata

    first, second = rankdata(one), rankdata(other)
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0


def channel_correlations(
    scores: Floats, truth: npt.ArrayLike, channel: npt.ArrayLike, rows: Iterable[int] | Rows, least: int = 10
) -> dict[str, float]:
    """Spearman's correlation of score [n] and truth [n] within each channel, over those of the `rows` with a finite truth.

    Channels with fewer than `least` such videos are left out.
    """
    known = np.asarray(truth, np.float64)
    chosen = np.asarray(rows, np.intp)
    chosen = chosen[np.isfinite(known[chosen])]
    place, names = numbered(np.asarray(channel, object)[chosen])
    chosen = chosen[np.argsort(place, kind="stable")]
    found = {}
    end = 0
    for name, count in zip(names, np.bincount(place), strict=True):
        mine, end = chosen[end : end + count], end + count
        if count >= least:
            found[name] = rank_correlation(scores[mine], known[mine])
    return found


def numbered(names: npt.ArrayLike) -> tuple[Rows, list[str]]:
    """Each name's number [m] in the sorted list of the distinct names, and that list. Hashes the names, and sorts few."""
    import pandas as pd

    codes, distinct = pd.factorize(np.asarray(names, object), sort=True)
    return np.asarray(codes, np.intp), [str(name) for name in distinct]


def distinct(numbers: Rows) -> int:
    """How many different numbers, 0 or more, there are."""
    return int(np.count_nonzero(np.bincount(numbers))) if len(numbers) else 0


def _places(channel: npt.ArrayLike) -> tuple[Rows, int]:
    """The place [m] of each channel among those that are there, in their order, and how many these are."""
    given = np.asarray(channel)
    numbers = given if np.issubdtype(given.dtype, np.integer) else numbered(given)[0]
    there = np.bincount(numbers) > 0
    return (np.cumsum(there) - 1)[numbers], int(np.count_nonzero(there))


def _ends(totals: Float64s, counts: Float64s, ends: Interval = _ENDS) -> Interval:
    drawn = counts > 0
    low, high = np.percentile(totals[drawn] / counts[drawn], ends)
    return float(low), float(high)

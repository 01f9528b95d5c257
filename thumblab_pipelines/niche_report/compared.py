"""Compare the winners of a niche with other videos of their channels, one feature at a time.

A stratum is all videos of one channel that are in the same age band and were published in the same year. A winner is
compared only with other videos of its stratum. The share of a feature is the fraction of these comparisons in which the
winner has more of the feature. The share of a channel is the same fraction among the comparisons of this channel. The
share of the niche is the weighted mean over its channels. With c winners and r other videos, a channel has the weight
cr / (c + r). This weight is proportional to 1 / (variance of the channel's share).

`thumblab_pipelines.statistics.intervals` computes the interval of the share. The interval treats the channels, and the
videos of each channel, as random samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.index.items import WINNER_MULTIPLE, WINNER_VIEWS_PER_HOUR
from thumblab_core.niche_report.niche_figures import Estimate
from thumblab_pipelines.statistics.intervals import SHARE, ChannelMeans
from thumblab_pipelines.statistics.metrics import numbered, pair_wins
from thumblab_pipelines.statistics.stratified_ranks import DRAWS, permutation_p_value, stratum_ranks

if TYPE_CHECKING:
    import pandas as pd

TOP = 0.1
"""Share of a niche's videos that can be winners. They are the videos with the largest outlier multiples."""

LEAST_CARRIERS = 20
"""Minimum number of compared videos that have a flag, and minimum number of compared videos that lack the flag."""

_FURTHEST = 1e-3
"""Minimum distance of a share from 0 and 1. A share nearer to 0 or 1 is moved to this distance before it is converted
to standard deviations."""


def least_multiple(multiples: Float64s) -> float:
    """Return the minimum outlier multiple of a winner.

    The result is the 90th percentile of the multiples, but at least the minimum for a winner of the library.
    """
    return max(float(np.quantile(multiples, 1 - TOP)), WINNER_MULTIPLE)


def winners_of(videos: pd.DataFrame) -> Flags:
    """Return whether each video [n] is a winner of its niche.

    Such a winner is also a winner of the library, and is among the 10 % of the niche's videos with the largest
    outlier multiples.
    """
    multiples, pace = videos.outlier_multiple.to_numpy(float), videos.views_per_hour.to_numpy(float)
    return np.asarray((multiples >= least_multiple(multiples)) & (pace >= WINNER_VIEWS_PER_HOUR), bool)


@dataclass(frozen=True)
class Compared:
    """The videos that can be compared, each with its channel and its stratum as numbers.

    `rows` [k]: the row numbers of these videos in the table of the niche. `winner` [k]: whether each video is a winner.
    Every stratum has at least one winner and one other video.
    """

    rows: Rows
    winner: Flags
    channel: Rows
    stratum: Rows

    @classmethod
    def of(cls, videos: pd.DataFrame, winner: Flags, among: Flags | None = None) -> Compared:
        """Return the videos that can be compared. `among` [n] limits the videos, for example to one period."""
        rows = np.arange(len(videos)) if among is None else np.flatnonzero(among)
        some = videos.iloc[rows]
        year = some.published_at.dt.year if len(some) else some.channel_id
        names = some.channel_id.astype(str) + "\n" + some.age_band.astype(str) + "\n" + year.astype(str)
        channel, stratum = numbered(some.channel_id)[0], numbered(names)[0]
        return cls(rows, winner[rows], channel, stratum).informative()

    def informative(self, known: Flags | None = None) -> Compared:
        """Return only the videos that are `known` [k], for example those whose feature was measured. Then
        leave out each stratum whose remaining videos are all winners, or contain no winner.
        """
        given = np.ones(len(self.rows), bool) if known is None else known
        strata = int(self.stratum.max(initial=-1)) + 1
        winners = np.bincount(self.stratum[given & self.winner], minlength=strata)
        others = np.bincount(self.stratum[given & ~self.winner], minlength=strata)
        kept = given & ((winners > 0) & (others > 0))[self.stratum]
        return Compared(self.rows[kept], self.winner[kept], _dense(self.channel[kept]), _dense(self.stratum[kept]))

    @property
    def channels(self) -> int:
        return int(self.channel.max(initial=-1)) + 1

    @property
    def winners(self) -> int:
        return int(self.winner.sum())

    def pairs(self) -> tuple[Rows, Rows]:
        """Return the positions [m] of the winner and of the other video of each comparison. A position is an index into
        the arrays [k]."""
        order = np.argsort(self.stratum, kind="stable")
        starts = np.flatnonzero(np.diff(self.stratum[order])) + 1
        first: list[Rows] = []
        second: list[Rows] = []
        for members in np.split(order, starts) if len(order) else []:
            won, other = members[self.winner[members]], members[~self.winner[members]]
            first.append(np.repeat(won, len(other)))
            second.append(np.tile(other, len(won)))
        none = np.zeros(0, np.intp)
        return np.concatenate([none, *first]), np.concatenate([none, *second])


@dataclass(frozen=True)
class Difference:
    """The difference between winners and other videos in one feature.

    `share`: the fraction of comparisons in which the winner has more of the feature. `p_value`: the two-sided p value,
    from permutations within strata. `differing`: number of channels whose share is not one half. `agreeing`: number of
    channels whose share is on the same side of one half as the share of the niche. `steady`: whether the share of the
    niche stays on the same side of one half if any single channel is left out. `usual`: the mean of the winners and the
    mean of the other videos. `odds_ratio`: the odds ratio of Mantel and Haenszel for a flag, or None.
    """

    compared: Compared
    share: Estimate
    p_value: float
    agreeing: int
    differing: int
    steady: bool
    usual: tuple[float, float]
    odds_ratio: float | None

    @property
    def holds_within_channels(self) -> bool:
        """Whether the difference does not depend on a single channel, and most channels differ in its direction."""
        return self.steady and 2 * self.agreeing > self.differing

    @property
    def excludes_none(self) -> bool:
        """Whether the interval excludes a share of one half. A share of one half means no difference."""
        return self.share.low > 0.5 or self.share.high < 0.5


def varies(compared: Compared, values: Float64s, flag: bool) -> bool:
    """Return whether a feature's `values` [k] vary within strata.

    If the feature is a flag, also require that enough videos have the flag, and that enough videos lack the flag.
    The result does not depend on which videos of a stratum are the winners.
    """
    if len(values) == 0:
        return False
    if flag and min(int((values == 1).sum()), int((values == 0).sum())) < LEAST_CARRIERS:
        return False
    strata = int(compared.stratum.max()) + 1
    lowest, highest = np.full(strata, np.inf), np.full(strata, -np.inf)
    np.minimum.at(lowest, compared.stratum, values)
    np.maximum.at(highest, compared.stratum, values)
    return bool((highest > lowest).any())


def difference(
    compared: Compared, values: Float64s, flag: bool, logarithmic: bool, seed: int, draws: int = DRAWS
) -> Difference:
    """Return the difference between winners and other videos. All `values` [k] must be known, and must vary within
    strata.

    `seed` and `draws`: the seed and the number of the permutations.
    """
    winner, other = compared.pairs()
    channel = compared.channel[winner]
    means = ChannelMeans.of(pair_wins(values, winner, other), winner, other, channel, SHARE)
    weights = _weights(compared)
    share = float(weights @ means.means)
    low, high = means.interval(weights)
    sides = np.sign(means.means - 0.5)
    without = (share - weights * means.means) / np.maximum(1 - weights, 1e-12)
    shown = np.log(np.maximum(values, 1e-9)) if logarithmic else values
    usual = [float(weights @ (np.bincount(channel, shown[side]) / means.pairs)) for side in (winner, other)]
    side = float(np.sign(share - 0.5))
    return Difference(
        compared,
        Estimate(value=share, low=low, high=high),
        permutation_p_value(
            _scores(compared, values, weights, means.pairs), compared.winner, compared.stratum, seed, draws
        ),
        int((sides == side).sum()),
        int((sides != 0).sum()),
        len(weights) > 1 and bool((np.sign(without - 0.5) == side).all()),
        (math.exp(usual[0]), math.exp(usual[1])) if logarithmic else (usual[0], usual[1]),
        _odds_ratio(compared, values) if flag else None,
    )


def standardized(share: Estimate) -> Estimate:
    """Convert a share to a difference of means in standard deviations (Cohen's d).

    For two normal distributions with equal variances, share = Phi(d / sqrt(2)), in which d is the difference of the
    means. The ends of the interval are converted in the same way, because d grows with the share.
    """
    from scipy.stats import norm

    ends = [math.sqrt(2) * float(norm.ppf(np.clip(x, _FURTHEST, 1 - _FURTHEST))) for x in _ends(share)]
    return Estimate(value=ends[0], low=ends[1], high=ends[2])


def discoveries(p_values: Sequence[float]) -> Float64s:
    """Return the q value of each p value [f], by the method of Benjamini and Yekutieli [1]_.

    If all differences with a q value of at most 5 % are reported, on average at most 5 % of the reported differences
    are false. The method is valid for dependent tests. The tests are dependent, because features of one picture depend
    on each other.

    .. [1] Y. Benjamini and D. Yekutieli, "The control of the false discovery rate in multiple testing under dependency",
       Annals of Statistics, 2001.
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_values, method="by"), np.float64) if len(p_values) else np.zeros(0)


def _ends(share: Estimate) -> tuple[float, float, float]:
    return share.value, share.low, share.high


def _weights(compared: Compared) -> Float64s:
    """Return the weight of each channel. The weights add up to 1."""
    winners = np.bincount(compared.channel, compared.winner)
    others = np.bincount(compared.channel, ~compared.winner)
    weights = winners * others / (winners + others)
    return np.asarray(weights / weights.sum(), np.float64)


def _scores(compared: Compared, values: Float64s, weights: Float64s, pairs: Float64s) -> Float64s:
    """Return a score of each video [k].

    The sum of the winners' scores is a constant plus the share of the niche, which the module's docstring defines. The
    constant depends only on the number of winners in each stratum. So the permutation test can use this sum instead of
    the share of the niche.
    """
    return stratum_ranks(values, compared.stratum) * (weights / pairs)[compared.channel]


def _odds_ratio(compared: Compared, values: Float64s) -> float | None:
    """Return the odds ratio of Mantel and Haenszel [1]_ over the strata, or None if it is infinite.

    .. [1] N. Mantel and W. Haenszel, "Statistical aspects of the analysis of data from retrospective studies of disease",
       Journal of the National Cancer Institute, 1959.
    """

    def count(winner: bool, has: bool) -> Float64s:
        cells = (compared.winner == winner) & ((values == 1) == has)
        return np.asarray(np.bincount(compared.stratum, cells), np.float64)

    size = np.bincount(compared.stratum)
    with_it = float((count(True, True) * count(False, False) / size).sum())
    without_it = float((count(True, False) * count(False, True) / size).sum())
    return with_it / without_it if without_it > 0 else None


def _dense(numbers: npt.NDArray[np.intp]) -> Rows:
    """Replace the numbers by consecutive numbers that start at 0. The order stays the same."""
    return np.asarray(np.unique(numbers, return_inverse=True)[1], np.intp)

"""Compute intervals of means over pairs of videos, from any number of channels.

A mean over pairs, such as an AUC, depends on chance in two ways: which channels were collected, and which videos of
each channel. The interval takes both ways into account with a random-effects model, as in meta-analyses:

    mean of channel c = overall mean + difference of the channel + error of its videos

The differences have the variance tau2, and the errors of channel c have the variance s2[c]. In the mean over all pairs,
the weight of channel c is its share w[c] of the pairs. The variance of the mean over all pairs is sum(w[c]^2 * (tau2 +
s2[c])).

- s2[c] comes from the infinitesimal jackknife over the channel's videos [1]_. It is needed because pairs that share a
  video are not independent. s2[c] is at least the variance that a random order of the videos would give, scaled to the
  spread of the values. Four imagined pairs [2]_ keep this spread above 0 if all real pairs have the same value.
- tau2 is the estimate of Paule and Mandel [3]_, averaged with the estimate from one imagined channel. Without the
  imagined channel, tau2 would often be 0 if there are few channels, and the interval would be too narrow.
- The ends of the interval are t * sqrt(variance) away from the mean. t is a quantile of Student's distribution. The
  degrees of freedom of t come from both parts of the variance [4]_. The part with tau2 has 1 / sum(w[c]^2) - 1 degrees
  of freedom. With equal weights, 1 / sum(w[c]^2) - 1 is the number of channels minus 1. If one channel has most of the
  pairs, there are fewer degrees of freedom, and the interval is wider. The part with s2 has as many degrees of freedom
  as there are videos, minus the number of channels.

With one channel, the interval covers only the choice of the channel's videos, and not the choice of the channel.

A bootstrap over channels is not used, because its intervals are too narrow with few channels. With three channels, the
ends are the means of the worst and of the best channel. These ends cover the true mean in 75 % of samples instead of 95
%. `tests/pipelines/statistics/test_intervals.py` simulates the coverage of the intervals of this module.

.. [1] B. Efron, "Jackknife-after-bootstrap standard errors and influence functions", Journal of the Royal Statistical
   Society B, 1992.
.. [2] A. Agresti and B. Coull, "Approximate is better than 'exact' for interval estimation of binomial proportions", The
   American Statistician, 1998.
.. [3] R. Paule and J. Mandel, "Consensus values and weighting factors", Journal of Research of the National Bureau of
   Standards, 1982.
.. [4] F. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bulletin, 1946.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.statistics.metrics import numbered

Interval = tuple[float, float]
"""The lower and the upper end of an interval."""

SHARE: Interval = (0.0, 1.0)
"""The possible values of a share, such as an AUC."""

DIFFERENCE: Interval = (-1.0, 1.0)
"""The possible values of a difference of two shares."""

_RANDOM_VARIANCE = 0.25
"""The variance of the outcome (0 or 1) of a pair that is decided by chance."""

_IMAGINED_PAIRS = 4
"""Number of imagined pairs that are added to the real pairs (see `_spread`)."""

_TYPICAL_DIFFERENCE = 0.05
"""The assumed distance of a channel's mean from the overall mean. The square of the distance is the estimate of tau2
from one imagined channel (see this module's docstring)."""


@dataclass(frozen=True)
class ChannelMeans:
    """The means of k channels. The mean of a channel is the mean of the values of its pairs.

    Parameters
    ----------
    means
        The mean of each channel [k].
    pairs
        The number of pairs of each channel [k].
    variances
        The variance of each mean [k] that comes from the choice of the channel's videos.
    videos
        The number of videos of all channels.
    within
        The smallest and the largest possible mean.
    """

    means: Float64s
    pairs: Float64s
    variances: Float64s
    videos: int
    within: Interval

    @classmethod
    def of(
        cls, values: Float64s, winners: Rows, losers: Rows, channel: npt.ArrayLike, within: Interval
    ) -> ChannelMeans:
        """Compute the mean of each channel. `values` [m] has one value for each pair. There must be at least one pair.

        Parameters
        ----------
        winners, losers
            The rows of the two videos of each pair [m]. If a pair has two pictures of one video, both rows are equal.
        channel
            The channel of each pair [m], as names or as numbers from `numbered`. Numbers are faster.
        within
            The smallest and the largest possible value, such as `SHARE`.
        """
        place = _consecutive(_numbers(channel))
        pairs = np.bincount(place).astype(np.float64)
        means = np.bincount(place, values) / pairs
        videos = _consecutive(np.concatenate([winners, losers]))
        winner, loser = np.split(videos, 2)
        size = int(videos.max()) + 1
        error = values - means[place]
        # If a pair has two pictures of one video, the pair counts once for this video.
        two = winner != loser
        influence = np.bincount(winner, error, size) + np.bincount(loser, error * two, size)
        degree = np.bincount(winner, minlength=size) + np.bincount(loser, two.astype(np.float64), size)
        channel_of_video = np.zeros(size, np.intp)
        channel_of_video[winner] = place
        channel_of_video[loser] = place
        count = np.bincount(channel_of_video).astype(np.float64)
        jackknife = np.bincount(channel_of_video, influence**2) / pairs**2 * count / np.maximum(count - 1, 1)
        # If the videos are ordered at random, the outcomes of two pairs that share a video have a covariance of 1/36 on
        # average. If every video is paired with every other video, `random` is the variance of Kendall's rank
        # correlation (M. Kendall, Biometrika, 1938).
        shared = np.bincount(channel_of_video, degree * (degree - 1)) / 36
        random = (pairs * _RANDOM_VARIANCE + shared) / pairs**2
        videos_of_a_pair = 1 + float(two.mean())
        spread = _spread(values, size / videos_of_a_pair, (within[0] + within[1]) / 2)
        return cls(means, pairs, np.maximum(jackknife, random * spread / _RANDOM_VARIANCE), size, within)

    def over_pairs(self) -> Float64s:
        """Return weights [k] that give each pair the same weight. The weights add up to 1."""
        return np.asarray(self.pairs / self.pairs.sum(), np.float64)

    def over_channels(self) -> Float64s:
        """Return weights [k] that give each channel the same weight. The weights add up to 1."""
        return np.full(len(self.means), 1 / len(self.means), np.float64)

    def interval(self, weights: Float64s, level: float = 0.95) -> Interval:
        """Return the interval of the weighted mean over channels. The ends of the interval stay within the possible
        values.

        Parameters
        ----------
        weights
            The weight of each channel [k], from `over_pairs` or `over_channels`.
        level
            The probability that the interval covers the true mean.
        """
        from scipy.stats import t

        channels = len(self.means)
        squares = weights**2
        difference = 0.0
        if channels > 1:
            found = between_channels(self.means, self.variances)
            difference = ((channels - 1) * found + _TYPICAL_DIFFERENCE**2) / channels
        between, within = float(squares.sum() * difference), float((squares * self.variances).sum())
        # If all channels have the same weight, `between_freedom` is the number of channels minus 1.
        between_freedom = max(1.0, 1 / float(squares.sum()) - 1)
        within_freedom = max(self.videos - channels, 1)
        # Satterthwaite's formula gives the degrees of freedom. The formula never divides by 0, because all `variances`
        # are above 0.
        freedom = (between + within) ** 2 / (between**2 / between_freedom + within**2 / within_freedom)
        reach = float(t.ppf(0.5 + level / 2, freedom)) * math.sqrt(between + within)
        mean = float(weights @ self.means)
        return max(mean - reach, self.within[0]), min(mean + reach, self.within[1])


def interval(
    values: Float64s, winners: Rows, losers: Rows, channel: npt.ArrayLike, within: Interval, level: float = 0.95
) -> Interval:
    """Return the interval of the mean of `values` [m]. Each value is from a pair, and all pairs have the same weight.

    See `ChannelMeans.of` and `ChannelMeans.interval` for the parameters.
    """
    by_channel = ChannelMeans.of(values, winners, losers, channel, within)
    return by_channel.interval(by_channel.over_pairs(), level)


def interval_of_channels(values: Float64s, within: Interval) -> Interval:
    """Return the 95 % interval of the mean of `values` [k]. Each value is from a channel, and k is at least 2.

    The interval is the usual t interval of a mean, which does not need the errors of the single values.
    """
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return max(mean - reach, within[0]), min(mean + reach, within[1])


def between_channels(means: Float64s, variances: Float64s) -> float:
    """Return the variance between channels by the method of Paule and Mandel, 0 or more.

    `means` [k]: the means of the channels. `variances` [k]: the variances of the errors of the means, all above 0. Take
    the squared distance of each mean from the weighted mean of all channels, and let Q be the weighted sum of these
    distances. The expected value of Q is the number of channels minus 1. The returned variance makes Q equal to this
    expected value.
    """
    from scipy.optimize import brentq

    def excess(between: float) -> float:
        weight = 1 / (between + variances)
        centre = float((weight * means).sum() / weight.sum())
        return float((weight * (means - centre) ** 2).sum()) - (len(means) - 1)

    # The means are between -1 and 1, so two means differ by at most 2. So `excess` is below 0 for a variance of 4.
    return float(brentq(excess, 0.0, 4.0)) if len(means) > 1 and excess(0.0) > 0 else 0.0


def _spread(values: Float64s, independent: float, centre: float) -> float:
    """Return the variance of the values [m] together with the values of the imagined pairs.

    The imagined pairs have random outcomes, so their mean is `centre`. The imagined pairs keep the variance above 0.
    The real values depend on each other, so together they have only the weight of `independent` pairs.
    """
    mean = float(values.mean())
    total = independent + _IMAGINED_PAIRS
    both = (independent * mean + _IMAGINED_PAIRS * centre) / total
    real = independent * (float(values.var()) + (mean - both) ** 2)
    return (real + _IMAGINED_PAIRS * (_RANDOM_VARIANCE + (centre - both) ** 2)) / total


def _numbers(channel: npt.ArrayLike) -> Rows:
    given = np.asarray(channel)
    return given if np.issubdtype(given.dtype, np.integer) else numbered(given)[0]


def _consecutive(numbers: Rows) -> Rows:
    """Replace the numbers [m], which must be 0 or more, by consecutive numbers.

    The smallest number becomes 0, the next larger number becomes 1, and so on.
    """
    return np.asarray((np.cumsum(np.bincount(numbers) > 0) - 1)[numbers], np.intp)

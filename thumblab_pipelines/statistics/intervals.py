"""Compute intervals of means over pairs of videos, from any number of channels.

A mean over pairs, such as an AUC, depends on chance in two ways: which channels were collected, and which videos of
each channel. The interval covers both with a random-effects model, as meta-analyses use it:

    mean of channel c = overall mean + difference of the channel + error of its videos

The differences have the variance tau2. The errors of channel c have the variance s2[c]. In the mean over all pairs, a
channel has its share w[c] of the pairs as its weight. The variance of this mean is sum(w[c]^2 * (tau2 + s2[c])).

- s2[c] comes from the infinitesimal jackknife over the channel's videos [1]_, because pairs that share a video are not
  independent. With few videos this estimate is poor. It is therefore averaged with the variance that the mean would
  have if the model ranked the videos in random order.
- tau2 is the estimate of Paule and Mandel [2]_. It is 0 if the channels differ no more than their errors explain.
- The ends are t * sqrt(variance) away from the mean. t is a quantile of Student's distribution. If tau2 is above 0, its
  degrees of freedom are the number of channels minus 1 [3]_. Otherwise they are the number of videos minus the number
  of channels.

A bootstrap over channels is not used, because it fails for few channels. With three channels, the ends of its interval
are the smallest and the largest of three numbers. Such an interval covers the true mean in 75 % of samples instead of
95 %. `tests/pipelines/statistics/test_intervals.py` simulates the coverage of these intervals with 3, 5, 10 and 30
channels.

.. [1] B. Efron, "Jackknife-after-bootstrap standard errors and influence functions", Journal of the Royal Statistical
   Society B, 1992.
.. [2] R. Paule and J. Mandel, "Consensus values and weighting factors", Journal of Research of the National Bureau of
   Standards, 1982.
.. [3] J. Hartung and G. Knapp, "On tests of the overall treatment effect in meta-analysis with normally distributed
   responses", Statistics in Medicine, 2001.
"""

from __future__ import annotations

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
"""The variance of the outcome of a pair that is decided by chance."""

_PRIOR_VIDEOS = 10
"""The weight of the variance of a random order, in videos.

The jackknife estimate of a channel with this many videos has the same weight.
"""


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
    """

    means: Float64s
    pairs: Float64s
    variances: Float64s
    videos: int

    @classmethod
    def of(cls, values: Float64s, winners: Rows, losers: Rows, channel: npt.ArrayLike) -> ChannelMeans:
        """Return the means by channel. There must be at least one pair.

        `values` [m] has a value for each of the m pairs. `winners` [m] and `losers` [m] are the rows of the two videos
        of each pair. `channel` [m] has the name of each pair's channel, or its number from `numbered`. Numbers are
        faster.
        """
        place = _consecutive(_numbers(channel))
        pairs = np.bincount(place).astype(np.float64)
        means = np.bincount(place, values) / pairs
        videos = _consecutive(np.concatenate([winners, losers]))
        winner, loser = np.split(videos, 2)
        error = values - means[place]
        influence = np.bincount(winner, error, videos.max() + 1) + np.bincount(loser, error, videos.max() + 1)
        channel_of_video = np.zeros(len(influence), np.intp)
        channel_of_video[winner] = place
        channel_of_video[loser] = place
        count = np.bincount(channel_of_video).astype(np.float64)
        jackknife = np.bincount(channel_of_video, influence**2) / pairs**2 * count / np.maximum(count - 1, 1)
        # If n items are in random order, the share of pairs in the right order has this variance (M. Kendall,
        # Biometrika, 1938).
        random = (2 * count + 5) / (18 * count * np.maximum(count - 1, 1))
        # One imagined pair keeps the spread above 0 if all real pairs have the same value.
        spread = (float(((values - values.mean()) ** 2).sum()) + _RANDOM_VARIANCE) / (len(values) + 1)
        prior = random * spread / _RANDOM_VARIANCE
        variances = (count * jackknife + _PRIOR_VIDEOS * prior) / (count + _PRIOR_VIDEOS)
        return cls(means, pairs, variances, len(influence))

    def over_pairs(self) -> Float64s:
        """Return weights [k] under which each pair counts the same. They add up to 1."""
        return np.asarray(self.pairs / self.pairs.sum(), np.float64)

    def over_channels(self) -> Float64s:
        """Return weights [k] under which each channel counts the same. They add up to 1."""
        return np.full(len(self.means), 1 / len(self.means), np.float64)

    def interval(self, weights: Float64s, within: Interval, level: float = 0.95) -> Interval:
        """Return the interval of the weighted mean over channels.

        Parameters
        ----------
        weights
            The weight of each channel [k], from `over_pairs` or `over_channels`.
        within
            The smallest and the largest possible value of the mean. The ends stay within them.
        level
            The probability that the interval covers the true mean.
        """
        from scipy.stats import t

        channels = len(self.means)
        between = between_channels(self.means, self.variances)
        freedom = channels - 1 if between > 0 else max(self.videos - channels, 1)
        error = float(np.sqrt((weights**2 * (between + self.variances)).sum()))
        reach = float(t.ppf(0.5 + level / 2, freedom)) * error
        mean = float(weights @ self.means)
        return max(mean - reach, within[0]), min(mean + reach, within[1])


def interval(
    values: Float64s, winners: Rows, losers: Rows, channel: npt.ArrayLike, within: Interval, level: float = 0.95
) -> Interval:
    """Return the interval of the mean of `values` [m] over pairs, each of which counts the same.

    See `ChannelMeans` for the parameters.
    """
    by_channel = ChannelMeans.of(values, winners, losers, channel)
    return by_channel.interval(by_channel.over_pairs(), within, level)


def interval_of_channels(values: Float64s, within: Interval) -> Interval:
    """Return the 95 % interval of the mean of one value per channel [k], for two channels or more.

    This is the t interval of a mean. Nothing needs to be known about the errors of the values.
    """
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / np.sqrt(len(values))
    mean = float(values.mean())
    return max(mean - reach, within[0]), min(mean + reach, within[1])


def between_channels(means: Float64s, variances: Float64s) -> float:
    """Return the variance between channels by the method of Paule and Mandel, 0 or more.

    `means` [k] are the means of the channels. `variances` [k] are the variances of their errors, all above 0. The
    result is the tau2 for which the weighted squared distances from the weighted mean add up to their expected value.
    This value is the number of channels minus 1.
    """
    from scipy.optimize import brentq

    def excess(between: float) -> float:
        weight = 1 / (between + variances)
        centre = float((weight * means).sum() / weight.sum())
        return float((weight * (means - centre) ** 2).sum()) - (len(means) - 1)

    # The means are between -1 and 1, so that two of them differ by 2 at most. With a variance of 4, the sum is
    # therefore below its expected value.
    return float(brentq(excess, 0.0, 4.0)) if len(means) > 1 and excess(0.0) > 0 else 0.0


def _numbers(channel: npt.ArrayLike) -> Rows:
    given = np.asarray(channel)
    return given if np.issubdtype(given.dtype, np.integer) else numbered(given)[0]


def _consecutive(numbers: Rows) -> Rows:
    """Return the numbers [m] without gaps: the smallest becomes 0, the next larger one 1. All must be 0 or more."""
    return np.asarray((np.cumsum(np.bincount(numbers) > 0) - 1)[numbers], np.intp)

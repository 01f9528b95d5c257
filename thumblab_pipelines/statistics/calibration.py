"""Turn score differences into win probabilities, and measure how well these probabilities are calibrated.

The gap of a pair is the score of its winner minus the score of its loser. The model's win probability for the winner is
sigmoid(slope * gap). The formula sigmoid(slope * gap) is Platt scaling [1]_ without a bias. The order of a pair's
videos has no meaning: if the videos are swapped, a probability p must become 1 - p. A formula with a bias would not
have this property. For the same reason, the slope and the calibration curve count each pair in both orders. The slope
is fitted on pairs on which the model was not trained. Calibration is measured on other held-out pairs.

.. [1] J. Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods",
   Advances in Large Margin Classifiers, 1999.
"""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.ranking.confidence import is_too_close

LEAST_SLOPE = 1e-6
"""The slope of a model that is not better than chance. All win probabilities of such a model are about 0.5."""

_BINS = 10
_DRAWS = 200
"""Number of times that `error_if_calibrated` draws a random winner for every pair."""

_RIDGE = 1e-6
"""A small penalty on the slope. Without this penalty, the slope would be infinite if all gaps are positive."""


class Point(TypedDict):
    """A bin of a calibration curve: its mean win probability, share of wins and number of pairs.

    Each pair counts twice, once in each order of its videos.
    """

    predicted: float
    won: float
    pairs: int


def fit_slope(gaps: npt.ArrayLike) -> float:
    """Return the slope that maximises the likelihood of the gaps [m].

    The log likelihood is the mean of log sigmoid(slope * gap). Maximising the log likelihood is logistic regression
    without an intercept, on each pair in both orders. The slope is at least `LEAST_SLOPE`. With fewer than two gaps,
    the slope is 1.
    """
    from scipy.optimize import brentq

    values = np.asarray(gaps, np.float64)
    if len(values) < 2:
        return 1.0
    scale = float(np.abs(values).mean())
    if scale == 0.0:
        return LEAST_SLOPE
    values = values / scale

    def gradient(slope: float) -> float:
        return float((values * _sigmoid(-slope * values)).mean()) - _RIDGE * slope

    if gradient(0.0) <= 0.0:
        return LEAST_SLOPE
    return max(float(brentq(gradient, 0.0, 1e6)) / scale, LEAST_SLOPE)


def fit_coefficients(gaps: npt.ArrayLike) -> Float64s:
    """Return the coefficients [k] that maximise the likelihood of the gaps [m, k]. See `fit_slope` for one coefficient.

    A pair has k gaps, each the winner's value minus the loser's value. The log likelihood is the mean of
    log sigmoid(gaps @ coefficients).
    """
    from sklearn.linear_model import LogisticRegression

    values = np.asarray(gaps, np.float64)
    scale = np.maximum(np.abs(values).mean(axis=0), np.finfo(np.float64).tiny)
    both, won = np.concatenate([values, -values]) / scale, np.repeat([1, 0], len(values))
    # The small penalty keeps the coefficients finite if all gaps are positive.
    fitted = LogisticRegression(fit_intercept=False, C=1 / (_RIDGE * len(both))).fit(both, won)
    return np.asarray(fitted.coef_[0] / scale, np.float64)


def calibration_curve(gaps: npt.ArrayLike, slope: float, bins: int = _BINS) -> list[Point]:
    """Return the mean win probability and the share of wins of each bin, in the order of the probabilities.

    The limits of the bins are quantiles of the probabilities, so the bins have similar numbers of pairs. Equal
    probabilities are in the same bin, so there may be fewer than `bins` bins. Without gaps, the list is empty.
    """
    values = np.asarray(gaps, np.float64)
    if not len(values):
        return []
    probability, bin_of_pair = _binned(slope * values, bins)
    won = np.repeat([1.0, 0.0], len(values))
    return [
        Point(predicted=float(probability[inside].mean()), won=float(won[inside].mean()), pairs=int(inside.sum()))
        for inside in (bin_of_pair == number for number in range(int(bin_of_pair.max()) + 1))
        if inside.any()
    ]


def expected_calibration_error(gaps: npt.ArrayLike, slope: float, bins: int = _BINS) -> float:
    """Return the expected calibration error (ECE) [1]_, 0 to 1. Return NaN if there are no gaps.

    ECE = sum over bins of (pairs in the bin / all pairs) * abs(mean win probability - share of wins)

    The bins are those of `calibration_curve`, which have similar numbers of pairs. The bins in the paper have equal
    widths instead.

    .. [1] M. Naeini, G. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
       AAAI 2015.
    """
    points = calibration_curve(gaps, slope, bins)
    pairs = sum(point["pairs"] for point in points)
    return sum(abs(p["predicted"] - p["won"]) * p["pairs"] for p in points) / pairs if pairs else float("nan")


class CalibratedError(NamedTuple):
    """The ECE that perfectly calibrated win probabilities would have on a sample of pairs.

    The ECE differs from sample to sample. `mean` is the mean of the ECE, and `low` and `high` are the ends of its 95 %
    interval.
    """

    mean: float
    low: float
    high: float


def error_if_calibrated(
    gaps: npt.ArrayLike, slope: float, winners: Rows, losers: Rows, bins: int = _BINS
) -> CalibratedError:
    """Return the expected calibration error (ECE) that the model would show if all its win probabilities were correct.

    The ECE of a calibrated model is above 0, because the share of wins in a bin differs by chance from the probability
    of a win. So if a measured ECE is below `high` of the result, it does not show that the probabilities are wrong.

    `gaps` [m]: the gaps of the pairs, at least one. `winners` and `losers` [m]: the row numbers of the two videos of
    each pair. The winners are drawn `_DRAWS` times. For each draw, every video gets a random number from the Gumbel
    distribution. The first video of a pair wins if slope * gap + (random number of the first video) - (random number of
    the second video) is above 0. The difference of two Gumbel numbers has the logistic distribution, so the first video
    wins with the claimed probability sigmoid(slope * gap) [1]_. Pairs that share a video are therefore not independent,
    as in real data. If both sides of a pair are the same video, each side gets its own random number.

    .. [1] R. Luce, "Individual Choice Behavior", Wiley, 1959.
    """
    logits = slope * np.asarray(gaps, np.float64)
    probability, bin_of_pair = _binned(logits, bins)
    videos, number = np.unique(np.concatenate([winners, losers]), return_inverse=True)
    first, second = np.split(number, 2)
    alone = np.flatnonzero(first == second)
    second[alone] = len(videos) + np.arange(len(alone))
    random = np.random.default_rng(0)
    errors = np.zeros(_DRAWS)
    for draw in range(_DRAWS):
        noise = random.gumbel(size=len(videos) + len(alone))
        won = logits + noise[first] - noise[second] > 0
        apart = np.bincount(bin_of_pair, probability - np.concatenate([won, ~won]))
        errors[draw] = np.abs(apart).sum() / len(probability)
    return CalibratedError(float(errors.mean()), *(float(end) for end in np.quantile(errors, (0.025, 0.975))))


def mean_log_loss(gaps: npt.ArrayLike, slope: float) -> float:
    """Return the mean of -log(win probability of the winner) over the gaps [m], or NaN if there are no gaps.

    Probabilities of one half give log(2) = 0.693.
    """
    values = np.asarray(gaps, np.float64)
    return float(np.logaddexp(0.0, -slope * values).mean()) if len(values) else float("nan")


def too_close(gaps: npt.ArrayLike, slope: float) -> Flags:
    """Return for each gap [m] whether the pair is too close to call. The threshold is the same as in the service."""
    return is_too_close(_sigmoid(slope * np.abs(np.asarray(gaps, np.float64))))


def too_close_share(gaps: npt.ArrayLike, slope: float) -> float:
    """Return the share of pairs that are too close to call, 0 to 1. Return NaN if there are no gaps."""
    close = too_close(gaps, slope)
    return float(close.mean()) if len(close) else float("nan")


def _binned(logits: Float64s, bins: int) -> tuple[Float64s, Rows]:
    """Return the win probability of each pair in both orders [2 m], and the number of its bin [2 m]."""
    probability = _sigmoid(np.concatenate([logits, -logits]))
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    return probability, np.searchsorted(edges, probability, side="right")


def _sigmoid(logits: Float64s) -> Float64s:
    # tanh is used, because exp would overflow for large numbers.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float64)

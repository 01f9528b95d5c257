"""From score differences to win probabilities: fitted on pairs that were held out, checked on others.

A gap is the score of a pair's winner less that of its loser. The chance that the model gives the winner is
sigmoid(slope * gap): Platt's scaling without its bias, since a pair has no first side. For the same reason everything here
looks at each pair in both orders.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s
from thumblab_core.ranking.confidence import is_too_close

LEAST_SLOPE = 1e-6
"""A model that orders pairs no better than chance must not claim to know."""

_BINS = 10


class Point(TypedDict):
    """Of the pairs, in both orders, with about the same chance: their mean chance, the share that won, how many."""

    predicted: float
    won: float
    pairs: int


def fit_slope(gaps: npt.ArrayLike) -> float:
    """The slope that makes the gaps [m] likeliest, at least 1e-6; 1 for fewer than two gaps."""
    from scipy.optimize import brentq

    found = np.asarray(gaps, np.float64)
    if len(found) < 2:
        return 1.0
    scale = float(np.abs(found).mean())
    if scale == 0.0:
        return LEAST_SLOPE
    found = found / scale

    def gradient(slope: float) -> float:
        # Of the mean log likelihood, less a trifle that keeps gaps which are all positive from an infinite slope.
        return float((found * _sigmoid(-slope * found)).mean()) - 1e-6 * slope

    if gradient(0.0) <= 0.0:
        return LEAST_SLOPE
    return max(float(brentq(gradient, 0.0, 1e6)) / scale, LEAST_SLOPE)


def calibration_curve(gaps: npt.ArrayLike, slope: float, bins: int = _BINS) -> list[Point]:
    """Predicted and observed shares of wins in bins of about equally many pairs, by rising chance; empty without gaps.

    Equal chances fall into one bin, so there may be fewer of them.
    """
    found = np.asarray(gaps, np.float64)
    if not len(found):
        return []
    chance = _sigmoid(slope * np.concatenate([found, -found]))
    won = np.repeat([1.0, 0.0], len(found))
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, chance, side="right")
    return [
        Point(predicted=float(chance[inside].mean()), won=float(won[inside].mean()), pairs=int(inside.sum()))
        for inside in (place == number for number in range(len(edges) + 1))
        if inside.any()
    ]


def expected_calibration_error(gaps: npt.ArrayLike, slope: float, bins: int = _BINS) -> float:
    """How far chance and share of wins are apart on average, 0 to 1; NaN without gaps."""
    points = calibration_curve(gaps, slope, bins)
    pairs = sum(point["pairs"] for point in points)
    return sum(abs(p["predicted"] - p["won"]) * p["pairs"] for p in points) / pairs if pairs else float("nan")


def too_close(gaps: npt.ArrayLike, slope: float) -> npt.NDArray[np.bool_]:
    """[m] of which pairs the model would not say who wins, by the line that the service draws."""
    return is_too_close(_sigmoid(slope * np.abs(np.asarray(gaps, np.float64))))


def too_close_share(gaps: npt.ArrayLike, slope: float) -> float:
    """The share of pairs that are too close to call; NaN without gaps."""
    close = too_close(gaps, slope)
    return float(close.mean()) if len(close) else float("nan")


def _sigmoid(logits: Float64s) -> Float64s:
    # By tanh, which overflows at neither end.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float64)

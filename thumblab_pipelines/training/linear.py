"""The straight line that the network begins with: how much of the pictures it takes, and how far it is shrunk.

Both are chosen on the training part alone: each channel's videos are dealt, in order of time, into five runs; each run is
predicted by the line through the other four; the choice that orders the pairs within the runs best is taken.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats, Rows

_RUNS = 5
_LENGTHS = (0.3, 1.0, 2.0)
_PENALTIES = (10.0, 30.0, 100.0)
_ROWS = 3_000
"""A choice is made on so many videos at most: it needs the inverse of a matrix as large, some forty times."""


@dataclass(frozen=True)
class Choice:
    """`length` of the pictures where titles have 1, and the ridge `penalty`."""

    length: float
    penalty: float


def choose(
    pictures: Floats, rest: Floats, target: Floats, channel: npt.NDArray[np.str_], winners: Rows, losers: Rows
) -> Choice:
    """What orders held-out pairs best.

    `pictures` [n, d_i] and `rest` [n, r] are the inputs, `target` [n], `channel` [n], each channel's rows in order of time;
    `winners` and `losers`: pairs as rows.
    """
    chosen = _thinned(len(target))
    place = np.full(len(target), -1)
    place[chosen] = np.arange(len(chosen))
    winners, losers = place[winners], place[losers]
    run = _runs(channel[chosen])
    inside = (winners >= 0) & (losers >= 0)
    winners, losers = winners[inside], losers[inside]
    together = run[winners] == run[losers]
    winners, losers = winners[together], losers[together]
    y = np.asarray(target, np.float64)[chosen]
    theirs, others = _gram(pictures[chosen]), _gram(rest[chosen])
    best, best_right = Choice(_LENGTHS[0], _PENALTIES[-1]), -1.0
    for length, penalty in product(_LENGTHS, _PENALTIES):
        predicted = _predicted(others + length**2 * theirs, y, run, penalty)
        right = float((predicted[winners] > predicted[losers]).mean()) if len(winners) else 0.0
        if right > best_right + 1e-9:
            best, best_right = Choice(length, penalty), right
    return best


def solve(inputs: Floats, target: Floats, penalty: float) -> npt.NDArray[np.float32]:
    """The ridge regression [d] of centred inputs [n, d]; in whichever of n and d is smaller."""
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=penalty, solver="cholesky").fit(inputs, target)
    return np.asarray(fitted.coef_, np.float32)


def _predicted(gram: Floats, target: Floats, run: Rows, penalty: float) -> Floats:
    predicted = np.zeros(len(target))
    for number in range(_RUNS):
        out = run == number
        known = ~out
        if out.any() and known.any():
            matrix = gram[np.ix_(known, known)] + penalty * np.eye(int(known.sum()))
            predicted[out] = gram[np.ix_(out, known)] @ np.linalg.solve(matrix, target[known])
    return predicted


def _gram(inputs: Floats) -> Floats:
    centred = inputs - inputs.mean(axis=0)
    return np.asarray(centred @ centred.T, np.float64)


def _runs(channel: npt.NDArray[np.str_]) -> Rows:
    """[n] 0..4: where in its channel's time a row lies."""
    _, place = np.unique(channel, return_inverse=True)
    run = np.zeros(len(channel), np.intp)
    for number in range(int(place.max(initial=-1)) + 1):
        rows = np.flatnonzero(place == number)
        run[rows] = np.arange(len(rows)) * _RUNS // max(len(rows), 1)
    return run


def _thinned(count: int) -> Rows:
    if count <= _ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _ROWS, replace=False))

"""Fit the linear part of the ranking model, and choose its two parameters.

The training of the network starts with this linear model. Its parameters are the length of the pictures' vectors and
the ridge penalty. They are chosen by cross-validation on the training part. Each channel's videos are divided into five
runs in order of time. A linear model that is fitted to four runs predicts the fifth. The chosen parameters are those
whose predictions order the most pairs within the runs correctly.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats, Rows

RUNS = 5
_LENGTHS = (0.3, 1.0, 2.0)
_PENALTIES = (10.0, 30.0, 100.0)
_ROWS = 3_000
"""Maximum number of videos for choosing the parameters.

The choice solves 45 linear systems: one for each of nine pairs of parameters and each of five runs. The size of a
system is about four fifths of the number of videos.
"""


@dataclass(frozen=True)
class LineParameters:
    """The parameters of the linear model.

    `length` is the length of the pictures' vectors. The titles' vectors have length 1. `penalty` is the penalty of the
    ridge regression.
    """

    length: float
    penalty: float


def choose_line(
    pictures: Floats, rest: Floats, target: Floats, channel: npt.NDArray[np.str_], winners: Rows, losers: Rows
) -> LineParameters:
    """Return the parameters that order the pairs best in cross-validation.

    `pictures` [n, d_i] are the inputs from pictures, and `rest` [n, r] are all other inputs. `target` [n] and `channel`
    [n] are the target and the channel of each row. The rows of a channel must be in order of time. `winners` and
    `losers` are the rows of the pairs.
    """
    chosen = _subsample(len(target))
    position = np.full(len(target), -1)
    position[chosen] = np.arange(len(chosen))
    winners, losers = position[winners], position[losers]
    run = runs_in_time(channel[chosen])
    inside = (winners >= 0) & (losers >= 0)
    winners, losers = winners[inside], losers[inside]
    same_run = run[winners] == run[losers]
    winners, losers = winners[same_run], losers[same_run]
    y = np.asarray(target, np.float64)[chosen]
    gram_of_pictures, gram_of_rest = _gram(pictures[chosen]), _gram(rest[chosen])
    best, best_share = LineParameters(_LENGTHS[0], _PENALTIES[-1]), -1.0
    for length, penalty in product(_LENGTHS, _PENALTIES):
        predicted = _predict_held_out(gram_of_rest + length**2 * gram_of_pictures, y, run, penalty)
        share = float((predicted[winners] > predicted[losers]).mean()) if len(winners) else 0.0
        if share > best_share + 1e-9:
            best, best_share = LineParameters(length, penalty), share
    return best


def fit_ridge(inputs: Floats, target: Floats, penalty: float) -> npt.NDArray[np.float32]:
    """Return the coefficients [d] of the ridge regression of `target` [n] on the centred inputs [n, d].

    The size of the linear system that is solved is n or d, whichever is smaller.
    """
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=penalty, solver="cholesky").fit(inputs, target)
    return np.asarray(ridge.coef_, np.float32)


def _predict_held_out(gram: Floats, target: Floats, run: Rows, penalty: float) -> Floats:
    """Return predictions [n] of the target [n]. Each run is predicted from the rows of the other runs.

    `gram` [n, n] is the Gram matrix of the inputs.
    """
    predicted = np.zeros(len(target))
    for number in range(RUNS):
        out = run == number
        known = ~out
        if out.any() and known.any():
            matrix = gram[np.ix_(known, known)] + penalty * np.eye(int(known.sum()))
            predicted[out] = gram[np.ix_(out, known)] @ np.linalg.solve(matrix, target[known])
    return predicted


def _gram(inputs: Floats) -> Floats:
    centred = inputs - inputs.mean(axis=0)
    return np.asarray(centred @ centred.T, np.float64)


def runs_in_time(channel: npt.NDArray[np.str_]) -> Rows:
    """Return the number of each row's run [n], 0 to 4. A run is a fifth of the channel's rows.

    The rows of each channel must be in order of time. Run 0 has the first rows.
    """
    _, number_of_channel = np.unique(channel, return_inverse=True)
    run = np.zeros(len(channel), np.intp)
    for number in range(int(number_of_channel.max(initial=-1)) + 1):
        rows = np.flatnonzero(number_of_channel == number)
        run[rows] = np.arange(len(rows)) * RUNS // max(len(rows), 1)
    return run


def _subsample(count: int) -> Rows:
    """Return a random sample of at most `_ROWS` of the row numbers below `count`, in increasing order.

    The sample for a `count` is the same in every call.
    """
    if count <= _ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _ROWS, replace=False))

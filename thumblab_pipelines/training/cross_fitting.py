"""Predict each video by ridge regressions that were fitted to other videos.

Each channel's videos are sorted by time and divided into five folds of equal size. Each fold is
predicted from the other four folds. So no video is predicted by a regression that was fitted to this video, and the
prediction errors are about as large as for new videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.sums import Sums

RUNS = 5


def folds_in_time(channel: npt.NDArray[np.str_]) -> Rows:
    """Divide the rows of each channel into five folds of equal size. Return the fold, 0 to 4, of each row [n].

    The rows of each channel must be in order of time. Fold 0 has the first rows of each channel.
    """
    _, number = np.unique(channel, return_inverse=True)
    size = np.bincount(number)
    order = np.argsort(number, kind="stable")
    place = np.empty(len(channel), np.intp)
    place[order] = np.arange(len(channel)) - np.repeat(np.cumsum(size) - size, size)
    return np.asarray(place * RUNS // size[number], np.intp)


def held_out_predictions(inputs: Floats, target: Floats, fold: Rows, penalties: Sequence[float]) -> Float64s:
    """Return predictions [len(penalties), n] of the target [n] from the inputs [n, d], with a row for each penalty.

    The inputs are centred over all rows, and there is no intercept. `fold` [n]: the fold of each row (see
    `folds_in_time`). If one fold has all rows, no row is left to learn from, and the predictions are 0. The size of the
    solved linear systems is about n or d, whichever is smaller.
    """
    from scipy.linalg import cho_factor, cho_solve

    centred, y = inputs - inputs.mean(axis=0), np.asarray(target, np.float64)
    gram = np.asarray(centred @ centred.T, np.float64) if centred.shape[1] > len(y) else None
    centred = centred.astype(np.float64)
    predicted = np.zeros((len(penalties), len(y)))
    for out, known in _held_out_folds(fold):
        if gram is not None:
            matrix, values, seen = gram[np.ix_(known, known)], y[known], gram[np.ix_(out, known)]
        else:
            matrix, values, seen = centred[known].T @ centred[known], centred[known].T @ y[known], centred[out]
        for row, penalty in enumerate(penalties):
            factor = cho_factor(_with_penalty(matrix, penalty), lower=True, overwrite_a=True, check_finite=False)
            predicted[row, out] = seen @ cho_solve(factor, values, check_finite=False)
    return predicted


def residuals(values: Floats | MixedRows, context: Floats | MixedRows, fold: Rows, penalty: float) -> Float32s:
    """Return `values` [n, k] minus the prediction of each column from the context [n, c], float32 [n, k].

    `fold` [n]: the fold of each row (see `folds_in_time`). Each fold is predicted by ridge regressions with an
    intercept, which are fitted to the other folds. If all rows are in one fold, nothing can be predicted, and the
    result is `values`.
    """
    rows, known_by = MixedRows.of(values), MixedRows.of(context)
    if not _held_out_folds(fold):
        return np.asarray(rows.dense(), np.float32)
    left = np.empty((len(rows), rows.width), np.float32)
    # Means are subtracted before the numbers are rounded to 32 bits. Without the subtraction, large means would make
    # the result less exact.
    mean = rows.moments()[0]
    for place, block in rows.blocks():
        left[place] = block - mean
    if known_by.width > len(rows):
        _subtract_by_products(left, known_by.dense(), fold, penalty)
    else:
        _subtract_by_sums(left, known_by, fold, penalty)
    return left


def _subtract_by_products(left: Float32s, context: Float32s, fold: Rows, penalty: float) -> None:
    """Subtract the predictions of the centred values `left` [n, k] from these values, in place. This function is for a
    context that has more columns than rows. The linear systems have at most n equations.
    """
    from scipy.linalg import cho_factor, cho_solve

    x, y = (context - context.mean(axis=0)).astype(np.float32), left.copy()
    products = x @ x.T
    for out, known in _held_out_folds(fold):
        y_mean = y[known].mean(axis=0)
        among, across = products[np.ix_(known, known)], products[np.ix_(out, known)]
        mean_of_row, mean = among.mean(axis=1), among.mean()
        matrix = among - mean_of_row[:, None] - mean_of_row[None] + mean
        seen = across - across.mean(axis=1)[:, None] - mean_of_row[None] + mean
        factor = cho_factor(_with_penalty(matrix, penalty), lower=True, overwrite_a=True, check_finite=False)
        left[out] -= seen @ cho_solve(factor, y[known] - y_mean, check_finite=False) + y_mean


def _subtract_by_sums(left: Float32s, context: MixedRows, fold: Rows, penalty: float) -> None:
    """Do the same as `_subtract_by_products`, but solve linear systems with one equation for each context column. The
    context is read twice.
    """
    for out, fitted in ridges_without_folds(context, left, fold, penalty):
        for place, block in context.take(out).blocks():
            left[out[place]] -= fitted.predict(block)


@dataclass(frozen=True)
class FittedRidge:
    """A ridge regression with an intercept: its coefficients [d, k], and the means of the rows to which the regression
    was fitted.
    """

    weights: Float32s
    input_means: Float32s
    target_means: Float32s

    def predict(self, inputs: Float32s) -> Float32s:
        """Return the predictions [n, k] for inputs [n, d]."""
        return np.asarray((inputs - self.input_means) @ self.weights + self.target_means, np.float32)


def ridges_without_folds(
    inputs: MixedRows, targets: Floats, fold: Rows, penalty: float
) -> list[tuple[Rows, FittedRidge]]:
    """Return for each fold its rows, and a ridge regression that was fitted to all other rows.

    `inputs` [n, d] are read only once. The targets are [n, k]. `fold` [n]: the fold of each row (see `folds_in_time`).
    If one fold has all rows, the list is empty.
    """
    of_folds = [(out, Sums.of(inputs.take(out), targets[out])) for out, _ in _held_out_folds(fold)]
    if not of_folds:
        return []
    total = reduce(add, (sums for _, sums in of_folds))
    fitted = []
    for out, sums in of_folds:
        others = total - sums
        parts = others.ridge(penalty), *others.means
        fitted.append((out, FittedRidge(*(part.astype(np.float32) for part in parts))))
    return fitted


def _held_out_folds(fold: Rows) -> list[tuple[Rows, Rows]]:
    """Return for each fold its rows, and the rows of all other folds. Leave out a fold that has all rows."""
    folds = [np.flatnonzero(fold == number) for number in np.unique(fold)]
    return [(rows, np.setdiff1d(np.arange(len(fold)), rows)) for rows in folds if len(rows) < len(fold)]


def _with_penalty(matrix: npt.NDArray[np.floating], penalty: float) -> npt.NDArray[np.floating]:
    """Return a copy of the square matrix with the penalty added to its diagonal."""
    copy = matrix.copy()
    copy.flat[:: len(copy) + 1] += penalty
    return copy

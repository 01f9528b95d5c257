"""Fit the linear part of the ranking model, so that its picture weights measure the effect of a picture under one
title.

The videos of popular topics may have pictures of a certain kind. A regression on pictures alone would then credit the
pictures with views that the topic caused. In a joint ridge regression on pictures and titles, the penalty makes the
title weights too small. So the pictures would still be credited with a part of these views. The picture part is
therefore estimated in two steps. This method is known as *partialling out* [1]_ [2]_:

    1. Predict the views, and every column of the picture part, from the context (title, length, age, moment of
       publication). Residuals are the values minus the predictions. The predictions are cross-fitted: each channel's
       videos are sorted by time and divided into five folds, and each fold is predicted from the other four folds.
    2. Fit a ridge regression of the residual views on the residual columns. The regression on residuals gives the
       weights of the picture part.

The picture part consists of the picture's vector, and of features for the agreement of the words in the picture with
the title. The title part is then fitted by a ridge regression to the views minus the prediction of the picture part.

Each of the three regressions (on the context, the picture part and the title part) has its own penalty. The penalty is
chosen by the smallest squared error in cross-validation over the same five folds, inside the training part.

.. [1] P. Robinson, "Root-N-consistent semiparametric regression", Econometrica, 1988.
.. [2] V. Chernozhukov et al., "Double/debiased machine learning for treatment and structural parameters", The
   Econometrics Journal, 2018.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.sums import Sums
from thumblab_pipelines.training.cross_fitting import folds_in_time, held_out_predictions, residuals

CONTEXT_PENALTIES = (3.0, 10.0, 30.0, 100.0)
_PICTURE_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0)
TITLE_PENALTIES = (3.0, 10.0, 30.0, 100.0)
"""The penalties that are tried for each of the three regressions. The inputs have a length of about 1."""
_ROWS = 2_000
"""Maximum number of videos on which the penalties are chosen. The fit itself uses all videos."""


@dataclass(frozen=True)
class LineParameters:
    """The penalties of the three ridge regressions (see the docstring of the module).

    `partialled`: whether the context was partialled out. If false, the picture part was fitted to the views themselves.
    """

    context: float
    picture: float
    title: float
    partialled: bool = True


@dataclass(frozen=True)
class LineInputs:
    """The inputs of n videos. The rows of a channel are in order of time.

    `picture` [n, p]: the picture part. `title` [n, t]: the title part. `context` [n, c]: the rows of
    `context_features`. `channel` [n]: the channel of each row.
    """

    picture: Floats
    title: Floats | MixedRows
    context: Floats | MixedRows
    channel: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Differences:
    """k one-video pairs, which are additional rows for the picture part. In each pair, one video showed both pictures.

    `picture` [k, p]: the inputs of the first picture minus the inputs of the second picture. `gaps` [k]: the column
    `gap` of the pairs. A gap is ln(a / b), where a and b are the expected watch time or views of the first and the
    second picture. `variances` [k]: the variance of the error of each gap.
    """

    picture: Floats
    gaps: Floats
    variances: Floats


@dataclass(frozen=True)
class Line:
    """The weights of the picture part [p] and of the title part [t], and how they were fitted."""

    picture: Float64s
    title: Float64s
    parameters: LineParameters


def fit_line(
    inputs: LineInputs,
    target: Floats,
    differences: Differences | None = None,
    partialled: bool = True,
    title_start: Floats | None = None,
) -> Line:
    """Fit the linear model to n rows.

    `target` [n]: the log views minus the channel's trend. If `partialled` is false, the picture part is fitted to the
    views themselves, for comparison. `title_start` [t]: weights of the title part. If `title_start` is given, the
    penalty draws the title part towards these weights, instead of towards 0.
    """
    y = np.asarray(target, np.float64)
    fold = folds_in_time(inputs.channel)
    context = best_penalty(inputs.context, y, fold, CONTEXT_PENALTIES)
    views, pictures = y, inputs.picture
    if partialled:
        both = MixedRows((y[:, None], inputs.picture))
        left_over = residuals(both, inputs.context, fold, context)
        views, pictures = left_over[:, 0].astype(np.float64), left_over[:, 1:]
    picture = best_penalty(pictures, views, fold, _PICTURE_PENALTIES)
    of_picture = _fit_picture(pictures, views, picture, differences)
    titles = MixedRows.of(inputs.title)
    start = np.zeros(titles.width) if title_start is None else np.asarray(title_start, np.float64)
    left = y - inputs.picture @ of_picture - titles.mapped(lambda block: block @ start)
    title = best_penalty(titles, left, fold, TITLE_PENALTIES)
    of_title = start + fit_ridge(titles, left, title)
    parameters = LineParameters(context, picture, title, partialled)
    return Line(of_picture, np.asarray(of_title, np.float64), parameters)


def fit_ridge(inputs: Floats | MixedRows, target: Floats, penalty: float) -> Float32s:
    """Return the coefficients [d] of the ridge regression of `target` [n] on the centred inputs [n, d].

    The size of the solved linear system is n or d, whichever is smaller.
    """
    from sklearn.linear_model import Ridge

    rows = MixedRows.of(inputs)
    if rows.width > len(rows):
        ridge = Ridge(alpha=penalty, solver="cholesky").fit(rows.dense(), target)
        return np.asarray(ridge.coef_, np.float32)
    return Sums.of(rows, np.asarray(target, np.float64)[:, None]).ridge(penalty)[:, 0].astype(np.float32)


def best_penalty(inputs: Floats | MixedRows, target: Floats, fold: Rows, penalties: Sequence[float]) -> float:
    """Return the penalty with which the inputs [n, d] predict the target [n] best, by cross-validation.

    `fold` [n]: the fold of each row (see `folds_in_time`). Each fold is predicted from the other folds.
    The best penalty has the smallest mean squared error. If all rows are in one fold, nothing can be predicted, and
    the largest penalty is returned.
    """
    rows = _sample_of(len(target))
    if len(np.unique(fold[rows])) < 2:
        return penalties[-1]
    y = np.asarray(target, np.float64)[rows]
    y = y - y.mean()
    errors = ((y - held_out_predictions(inputs[rows], y, fold[rows], penalties)) ** 2).mean(axis=1)
    return penalties[int(np.argmin(errors))]


def _fit_picture(inputs: Floats, target: Float64s, penalty: float, differences: Differences | None) -> Float64s:
    """Return the weights [p] of the picture part. Each difference is an additional row, weighted by its inverse
    variance.

    A constant that is added to both pictures does not change their difference. So only the rows of videos are centred,
    and the regression has no intercept.

    A linear model of the pictures never explains a difference completely. So the error of the model must be added to
    the variance of each difference. To estimate this error, a first model is fitted to the videos alone. The error is
    the mean squared error of the first model on the differences, minus the mean variance of the differences, but at
    least 0.
    """
    videos = Sums.of(inputs, target[:, None])
    weights = videos.ridge(penalty)[:, 0]
    if differences is not None and len(differences.gaps):
        pictures = np.asarray(differences.picture, np.float64)
        left = differences.gaps - pictures @ weights
        misfit = max(float((left**2 - differences.variances).mean()), 0.0)
        noise = max(float(np.var(target)), 1e-9)
        weight = noise / np.maximum(differences.variances + misfit, 0.01 * noise)
        weighted = pictures * weight[:, None]
        # The sums `x` and `y`, which are used for centring, are not changed. So only the rows of videos are centred.
        both = replace(
            videos, xx=videos.xx + weighted.T @ pictures, xy=videos.xy + (weighted.T @ differences.gaps)[:, None]
        )
        weights = both.ridge(penalty)[:, 0]
    return weights


def _sample_of(count: int) -> Rows:
    """Return a random sample of at most `_ROWS` of the row numbers below `count`, in increasing order.

    The sample for the same `count` is the same in every call.
    """
    if count <= _ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _ROWS, replace=False))

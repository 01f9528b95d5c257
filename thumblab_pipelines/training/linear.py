"""Fit the linear part of the ranking model, so that the weights of the pictures say what a picture adds under one title.

The videos of popular topics may have pictures of a certain kind. A regression on pictures alone then credits the
pictures with the views that the topic caused. A joint ridge regression on pictures and titles does so in part, because
the penalty makes its weights of the titles too small. The picture part is therefore estimated in two steps, *partialling
out* [1]_ [2]_:

    1. The context (title, length, age, moment of publication) predicts the views, and every column of the picture part.
       What is left of both are residuals. The predictions are cross-fitted: each channel's videos are divided into five
       runs in order of time, and each run is predicted from the other four.
    2. A ridge regression of the residual views on the residual columns gives the weights of the picture part.

The title part is a ridge regression on what the picture part leaves of the views. The picture part has the picture's
vector, and how the words in the picture agree with the title.

The three penalties are chosen by cross-validation over the same runs, inside the training part.

.. [1] P. Robinson, "Root-N-consistent semiparametric regression", Econometrica, 1988.
.. [2] V. Chernozhukov et al., "Double/debiased machine learning for treatment and structural parameters", The
   Econometrics Journal, 2018.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Floats, Rows

RUNS = 5
CONTEXT_PENALTIES = (3.0, 10.0, 30.0, 100.0)
_PICTURE_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0)
_TITLE_PENALTIES = (3.0, 10.0, 30.0, 100.0)
UNDERSMOOTHING = 3.0
"""The context is predicted with the best penalty divided by this number.

The best prediction of the views still leaves a part of the effect of the title in the residuals. A smaller penalty
leaves less of it, at the price of more noise (W. Newey, F. Hsieh and J. Robins, Econometrica, 2004).
"""
_ROWS = 2_000
"""Maximum number of videos for choosing the penalties. The fit itself uses all videos."""


@dataclass(frozen=True)
class LineParameters:
    """The penalties of the three ridge regressions, see the docstring of the module.

    `partialled`: whether the context was partialled out. If not, the picture part was fitted to the views themselves.
    """

    context: float
    picture: float
    title: float
    partialled: bool = True


@dataclass(frozen=True)
class LineInputs:
    """The inputs of n videos. The rows of a channel are in order of time.

    `picture` [n, p]: the picture part. `title` [n, t]: the title part. `context` [n, c]: see `context_features`.
    `channel` [n]: the channel of each row.
    """

    picture: Floats
    title: Floats
    context: Floats
    channel: npt.NDArray[np.str_]

    def only(self, rows: Rows) -> "LineInputs":
        """Return the inputs of these rows."""
        return LineInputs(self.picture[rows], self.title[rows], self.context[rows], self.channel[rows])


@dataclass(frozen=True)
class Differences:
    """k pairs of pictures that were compared on one video, as further rows for the picture part.

    `picture` [k, p]: the inputs of the first picture minus those of the second. `gaps` [k]: the measured logarithm of
    the ratio of their success. `variances` [k]: the variance of the error of each gap.
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
    pairs: tuple[Rows, Rows],
    differences: Differences | None = None,
    partialled: bool = True,
) -> Line:
    """Fit the linear model to n rows.

    `target` [n]: how far the log views are above the channel's trend. `pairs`: the rows of the winners and of the
    losers, by which the penalties are chosen. `partialled`: False fits the picture part to the views themselves, for
    comparison.
    """
    y = np.asarray(target, np.float64)
    run = runs_in_time(inputs.channel)
    context = best_context_penalty(inputs.context, y, run) / UNDERSMOOTHING
    views, pictures = y, np.asarray(inputs.picture, np.float64)
    if partialled:
        views = residuals(y[:, None], inputs.context, run, context)[:, 0]
        pictures = residuals(pictures, inputs.context, run, context)
    picture = _best_penalty(pictures, views, run, pairs, _PICTURE_PENALTIES)
    of_picture = _fit_picture(pictures, views, picture, differences)
    left = y - np.asarray(inputs.picture, np.float64) @ of_picture
    title = _best_penalty(inputs.title, left, run, pairs, _TITLE_PENALTIES)
    of_title = fit_ridge(inputs.title, left, title)
    parameters = LineParameters(context, picture, title, partialled)
    return Line(of_picture, np.asarray(of_title, np.float64), parameters)


def fit_ridge(inputs: Floats, target: Floats, penalty: float) -> npt.NDArray[np.float32]:
    """Return the coefficients [d] of the ridge regression of `target` [n] on the centred inputs [n, d].

    The size of the linear system that is solved is n or d, whichever is smaller.
    """
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=penalty, solver="cholesky").fit(inputs, target)
    return np.asarray(ridge.coef_, np.float32)


def best_context_penalty(context: Floats, target: Floats, run: Rows) -> float:
    """Return the penalty with which the context predicts the target [n] best in cross-validation over the runs [n]."""
    rows = _sample_of(len(target))
    gram, y, runs = _gram(context[rows]), np.asarray(target, np.float64)[rows], run[rows]
    errors = {p: float(((y - _predict_held_out(gram, y, runs, p)) ** 2).mean()) for p in CONTEXT_PENALTIES}
    return min(errors, key=lambda penalty: errors[penalty])


def residuals(values: Floats, context: Floats, run: Rows, penalty: float) -> Float64s:
    """Return what is left of each column of `values` [n, k] after its prediction from the context [n, c].

    Each run is predicted by ridge regressions that are fitted to the other runs. If all rows are in one run, nothing
    can be predicted, and the result is `values`.
    """
    from sklearn.linear_model import Ridge

    left = np.asarray(values, np.float64).copy()
    for number in range(RUNS):
        out = run == number
        if out.any() and not out.all():
            ridge = Ridge(alpha=penalty, solver="cholesky").fit(context[~out], values[~out])
            left[out] -= ridge.predict(context[out]).reshape(int(out.sum()), -1)
    return left


def runs_in_time(channel: npt.NDArray[np.str_]) -> Rows:
    """Return the number of each row's run [n], 0 to 4. A run is a fifth of the channel's videos."""
    _, number_of_channel = np.unique(channel, return_inverse=True)
    run = np.zeros(len(channel), np.intp)
    for number in range(int(number_of_channel.max(initial=-1)) + 1):
        rows = np.flatnonzero(number_of_channel == number)
        run[rows] = np.arange(len(rows)) * RUNS // max(len(rows), 1)
    return run


def _fit_picture(inputs: Float64s, target: Float64s, penalty: float, differences: Differences | None) -> Float64s:
    """Return the weights [p] of the picture part. Each difference is a row, weighted by its precision.

    A difference has no mean of its own to subtract, so the other rows are centred before, and there is no intercept.
    """
    from sklearn.linear_model import Ridge

    rows, y, weights = inputs - inputs.mean(axis=0), target - target.mean(), np.ones(len(target))
    if differences is not None and len(differences.gaps):
        noise = max(float(np.var(y)), 1e-9)
        rows = np.concatenate([rows, differences.picture])
        y = np.concatenate([y, differences.gaps])
        weights = np.concatenate([weights, noise / np.maximum(differences.variances, 0.01 * noise)])
    ridge = Ridge(alpha=penalty, solver="cholesky", fit_intercept=False).fit(rows, y, sample_weight=weights)
    return np.asarray(ridge.coef_, np.float64)


def _best_penalty(
    inputs: Floats, target: Float64s, run: Rows, pairs: tuple[Rows, Rows], penalties: tuple[float, ...]
) -> float:
    """Return the penalty whose held-out predictions order the most pairs as the target [n] does.

    Only pairs within one run are used. If there is none, the largest penalty is returned.
    """
    sample = _sample_of(len(target))
    position = np.full(len(target), -1)
    position[sample] = np.arange(len(sample))
    first, second = (position[side] for side in pairs)
    runs, y = run[sample], target[sample]
    inside = (first >= 0) & (second >= 0)
    first, second = first[inside], second[inside]
    same_run = runs[first] == runs[second]
    first, second = first[same_run], second[same_run]
    order, gram = np.sign(y[first] - y[second]), _gram(inputs[sample])
    best, best_share = penalties[-1], -1.0
    for penalty in reversed(penalties):
        predicted = _predict_held_out(gram, y, runs, penalty)
        share = float((np.sign(predicted[first] - predicted[second]) == order).mean()) if len(order) else 0.0
        if share > best_share + 1e-9:
            best, best_share = penalty, share
    return best


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


def _sample_of(count: int) -> Rows:
    """Return a random sample of at most `_ROWS` of the row numbers below `count`, in increasing order.

    The sample for a `count` is the same in every call.
    """
    if count <= _ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _ROWS, replace=False))

"""Tests of the linear part of the ranking model.

The linear part predicts the views of a video by the sum of a picture part and a title part. The weights of the picture
part should measure what a picture adds under the same title. These weights are therefore fitted in two steps, which is
called partialling out. First, the views and the inputs of the picture part are predicted from the video's context. Then
the picture part is fitted to the residuals: the true values minus these predictions.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_pipelines.training import linear
from thumblab_pipelines.training.cross_fitting import folds_in_time, held_out_predictions, residuals
from thumblab_pipelines.training.linear import (
    _PICTURE_PENALTIES,
    CONTEXT_PENALTIES,
    TITLE_PENALTIES,
    Differences,
    Line,
    LineInputs,
    fit_line,
    fit_ridge,
)

PICTURE = np.eye(20)[0] * np.sqrt(20)
"""The true weights of the picture part [20], with which the test data is made. Only the first input has an effect."""


@dataclasses.dataclass(frozen=True)
class Planted:
    """Videos of eight channels: the inputs and the targets that `fit_line` needs."""

    inputs: LineInputs
    target: Float64s

    def fit(self, differences: Differences | None = None, partialled: bool = True) -> Line:
        return fit_line(self.inputs, self.target, differences, partialled)

    def change(self, target: Float64s) -> "Planted":
        return dataclasses.replace(self, target=target)


def planted(
    confounding: float = 0.0, by_title: float = 0.6, noise: float = 0.4, seed: int = 0, videos: int = 60
) -> Planted:
    """Draw `videos` videos for each of eight channels.

    A picture and a title have 20 numbers each. `confounding` is the correlation between the title's first number and
    the picture's second number, which has no effect on the views. `by_title` is the effect of the title's first number.
    In these data, the context of a video is its title. `noise` is the standard deviation of the noise in the target.
    """
    random = np.random.default_rng(seed)
    n = 8 * videos
    pictures, titles = (random.standard_normal((n, 20)) for _ in range(2))
    pictures[:, 1] = confounding * titles[:, 0] + np.sqrt(1 - confounding**2) * pictures[:, 1]
    target = pictures[:, 0] + by_title * titles[:, 0] + noise * random.standard_normal(n)
    channel = np.repeat([f"c{number}" for number in range(8)], videos)
    scaled = [(values / np.sqrt(20)).astype(np.float32) for values in (pictures, titles)]
    inputs = LineInputs(scaled[0], scaled[1], scaled[1], channel)
    return Planted(inputs, target)


def ridge(inputs: Float32s, target: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.float64]:
    """Return the coefficients of a ridge regression, computed by the formula (X'X + penalty I)^-1 X'y."""
    x, y = inputs.astype(np.float64), target - target.mean()
    x = x - x.mean(axis=0)
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y), np.float64)


@pytest.mark.parametrize("shape", [(200, 12), (12, 200)])
@pytest.mark.parametrize("penalty", [0.5, 30.0])
def test_the_coefficients_are_those_of_the_closed_form_of_ridge_regression(
    shape: tuple[int, int], penalty: float
) -> None:
    random = np.random.default_rng(0)
    inputs = (random.standard_normal(shape) + 3).astype(np.float32)
    target = inputs @ random.standard_normal(shape[1]) + 5
    coefficients = fit_ridge(inputs, target, penalty)
    assert (coefficients.shape, coefficients.dtype) == ((shape[1],), np.float32)
    np.testing.assert_allclose(coefficients, ridge(inputs, target, penalty), atol=1e-4)


@pytest.mark.parametrize("columns", [12, 200])
def test_held_out_predictions_and_residuals_are_those_of_regressions_on_the_other_runs(columns: int) -> None:
    """Compare the results with ridge regressions that the test computes.

    The videos of each channel, in order of time, are divided into five folds. Each regression is fitted
    to the videos of four folds. With 200 columns, the table has more columns than rows.
    """
    random = np.random.default_rng(1)
    x, y = (random.standard_normal((60, width)).astype(np.float32) + 2 for width in (columns, 3))
    fold = folds_in_time(np.repeat(["a", "b"], 30))
    centred = (x - x.mean(axis=0)).astype(np.float64)
    predicted = held_out_predictions(x, y[:, 0], fold, (1.0, 30.0))
    left = residuals(y, x, fold, 4.0)
    for number in range(5):
        out, known = fold == number, fold != number
        for row, penalty in enumerate((1.0, 30.0)):
            seen = centred[known]
            weights = np.linalg.solve(seen.T @ seen + penalty * np.eye(columns), seen.T @ y[known, 0])
            np.testing.assert_allclose(predicted[row, out], centred[out] @ weights, atol=1e-3)
        for column in range(3):
            weights = ridge(x[known], y[known, column].astype(np.float64), 4.0)
            expected = (x[out] - x[known].mean(axis=0)) @ weights + y[known, column].mean()
            np.testing.assert_allclose(left[out, column], y[out, column] - expected, atol=1e-3)


def test_a_run_is_never_predicted_from_its_own_views() -> None:
    """Change the views of the first five of each channel's 25 videos. Five successive videos form a *fold*.

    The predictions for the changed videos must stay the same. The predictions for the other videos must change.
    """
    rows = planted(videos=25)
    fold = folds_in_time(rows.inputs.channel)
    first = np.arange(len(rows.target)) % 25 < 5
    np.testing.assert_array_equal(fold == 0, first)
    changed = np.where(first, 7 - 3 * rows.target, rows.target)
    context = rows.inputs.context
    before, after = (held_out_predictions(context, target, fold, (3.0,))[0] for target in (rows.target, changed))
    np.testing.assert_array_equal(before[first], after[first])
    assert not np.allclose(before[~first], after[~first])
    predicted = [target - residuals(target[:, None], context, fold, 3.0)[:, 0] for target in (rows.target, changed)]
    np.testing.assert_allclose(predicted[0][first], predicted[1][first], atol=1e-4)
    assert not np.allclose(predicted[0][~first], predicted[1][~first], atol=1e-2)


def test_if_all_videos_are_in_one_run_nothing_is_predicted() -> None:
    values, context = np.arange(6.0).reshape(3, 2), np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(residuals(values, context, np.zeros(3, np.intp), 1.0), values)
    np.testing.assert_array_equal(held_out_predictions(context, values[:, 0], np.zeros(3, np.intp), (1.0,)), 0)


def errors(rows: Planted) -> tuple[float, float]:
    """Return the errors of the fitted weights of the picture part: their distance from the planted weights `PICTURE`.

    The first error belongs to a fit with partialling out, and the second error to a fit without partialling out.
    """
    with_it, without_it = (float(np.linalg.norm(rows.fit(partialled=flag).picture - PICTURE)) for flag in (True, False))
    return with_it, without_it


@pytest.mark.parametrize("seed", range(3))
def test_with_planted_confounding_the_partialled_weights_are_nearer_to_the_planted_ones(seed: int) -> None:
    rows = planted(confounding=0.8, by_title=1.5, seed=seed)
    with_it, without_it = errors(rows)
    assert with_it < 0.5 * without_it
    confounded = [abs(float(rows.fit(partialled=flag).picture[1])) for flag in (True, False)]
    assert confounded[0] < 0.2 * confounded[1], "the second input of the picture has no effect"


def test_partialling_out_loses_little_without_confounding() -> None:
    with_it, without_it = errors(planted(by_title=0.0))
    assert with_it < 1.5 * without_it + 0.2


def test_the_title_part_is_fitted_to_the_residuals_of_the_picture_part() -> None:
    line = planted(confounding=0.6, by_title=0.6).fit()
    assert line.title[0] > 1
    assert np.abs(line.title[1:]).max() < 0.25 * line.title[0], "only the first input of the title has an effect"


def one_difference(gap: float, variance: float) -> Differences:
    """Return one pair of pictures that were compared on one video.

    Only the third inputs of the two pictures differ, by 1. `gap` is the quality of the first picture minus the quality
    of the second picture. `variance` is the variance of the error of `gap`.
    """
    return Differences(np.eye(20)[[2]], np.array([gap]), np.array([variance]))


def test_a_difference_moves_the_weights_by_its_precision() -> None:
    rows = planted()
    plain = rows.fit().picture[2]
    moves = [abs(rows.fit(one_difference(1.0, variance)).picture[2] - plain) for variance in (0.1, 1.0, 10.0, 1e6)]
    assert moves == sorted(moves, reverse=True)
    assert moves[0] > 2 * moves[2]
    assert moves[-1] < 1e-3


def test_differences_that_no_linear_model_explains_weigh_less() -> None:
    """Fit the linear part twice. Both fits use the same videos. Each fit uses its own set of compared pictures.

    The gaps of both sets have the same measured variance. The second set has an additional error with the variance 4,
    which the measured variance does not include.
    """
    rows, random = planted(noise=6.0), np.random.default_rng(5)
    gaps, error = random.standard_normal((200, 20)) / np.sqrt(10), 2 * random.standard_normal(200)
    exact, misfitting = (Differences(gaps, gaps @ PICTURE + added, np.full(200, 0.01)) for added in (0 * error, error))
    plain = rows.fit().picture
    moves = [np.linalg.norm(rows.fit(differences).picture - plain) for differences in (exact, misfitting)]
    assert np.linalg.norm(rows.fit(misfitting).picture - PICTURE) < np.linalg.norm(plain - PICTURE)
    assert moves[1] < moves[0]


def test_the_order_of_the_two_pictures_of_a_difference_does_not_matter() -> None:
    rows, one = planted(), one_difference(1.0, 0.1)
    turned = Differences(-one.picture, -one.gaps, one.variances)
    np.testing.assert_allclose(rows.fit(one).picture, rows.fit(turned).picture, atol=1e-9)


def test_many_differences_teach_an_effect_that_the_videos_are_too_noisy_to_show() -> None:
    rows, random = planted(noise=6.0), np.random.default_rng(5)
    gaps = random.standard_normal((200, 20)) / np.sqrt(10)
    differences = Differences(gaps, gaps @ PICTURE + 0.1 * random.standard_normal(200), np.full(200, 0.01))
    before, after = (np.linalg.norm(rows.fit(pairs).picture - PICTURE) for pairs in (None, differences))
    assert after < 0.5 * before
    nothing = Differences(gaps[:0], np.zeros(0), np.zeros(0))
    np.testing.assert_array_equal(rows.fit(nothing).picture, rows.fit().picture)


def test_clear_data_gets_lower_penalties_than_noisy_data() -> None:
    clear = [planted(noise=0.05, seed=seed).fit().parameters for seed in range(4)]
    noisy = [planted(noise=8.0, seed=seed).fit().parameters for seed in range(4)]
    assert {(line.picture, line.title) for line in clear} == {(min(_PICTURE_PENALTIES), min(TITLE_PENALTIES))}
    assert np.mean([line.picture for line in noisy]) > 3 * min(_PICTURE_PENALTIES)
    assert np.mean([line.context for line in noisy]) > np.mean([line.context for line in clear])


def test_each_penalty_is_the_one_with_the_smallest_held_out_error() -> None:
    rows = planted(noise=2.0)
    fold, y = folds_in_time(rows.inputs.channel), rows.target - rows.target.mean()
    predicted = held_out_predictions(rows.inputs.context, y, fold, CONTEXT_PENALTIES)
    errors = ((y - predicted) ** 2).mean(axis=1)
    assert len(set(errors.round(6))) == len(CONTEXT_PENALTIES)
    assert rows.fit().parameters.context == CONTEXT_PENALTIES[int(np.argmin(errors))]


def test_if_there_is_one_run_the_largest_penalties_are_chosen() -> None:
    rows, one = planted(), np.arange(1)
    of_one = LineInputs(*(getattr(rows.inputs, part.name)[one] for part in dataclasses.fields(LineInputs)))
    chosen = fit_line(of_one, rows.target[one]).parameters
    assert (chosen.picture, chosen.title) == (max(_PICTURE_PENALTIES), max(TITLE_PENALTIES))


def test_with_many_videos_the_choice_uses_a_fixed_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the number of videos that are used to choose the penalties. The fit must still use all videos."""
    rows, sizes = planted(), []
    whole = rows.fit()

    def record(inputs: Float32s, target: Float64s, fold: Rows, penalties: Sequence[float]) -> Float64s:
        sizes.append(len(target))
        return held_out_predictions(inputs, target, fold, penalties)

    monkeypatch.setattr(linear, "held_out_predictions", record)
    monkeypatch.setattr(linear, "_ROWS", 240)
    line = rows.fit()
    assert sizes == [240] * 3, "one choice for the context, one for the picture part and one for the title part"
    assert rows.fit().parameters == line.parameters
    outside = np.setdiff1d(np.arange(len(rows.target)), linear._sample_of(len(rows.target)))
    assert len(outside) == len(rows.target) - 240
    changed = rows.target.copy()
    changed[outside] += np.random.default_rng(2).standard_normal(len(outside))
    assert not np.allclose(rows.change(changed).fit().picture, line.picture, atol=1e-3)
    assert np.corrcoef(line.picture, whole.picture)[0, 1] > 0.99

"""Tests of the linear model. It is a ridge regression, and the training of the network starts from its coefficients."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.arrays import Float32s
from thumblab_pipelines.training import linear
from thumblab_pipelines.training.linear import _LENGTHS, _PENALTIES, choose_line, fit_ridge


def planted(by_picture: float, by_rest: float, seed: int = 0, videos: int = 60, noise: float = 0.4) -> tuple[Any, ...]:
    """Draw the videos of eight channels, and return the arguments of `choose_line`.

    These are the vectors of the pictures [n, 30], the other inputs [n, 30], the targets and channels of the videos [n],
    and the winners and losers of all pairs. `by_picture` and `by_rest` are the weights of a picture and of the other
    inputs in the target.
    """
    random = np.random.default_rng(seed)
    n = 8 * videos
    pictures, rest = ((random.standard_normal((n, 30)) / np.sqrt(30)).astype(np.float32) for _ in range(2))
    target = np.sqrt(30) * (by_picture * pictures[:, 0] + by_rest * rest[:, 0]) + noise * random.standard_normal(n)
    channel = np.repeat([f"c{number}" for number in range(8)], videos)
    first, second = np.triu_indices(videos, 1)
    left = np.concatenate([first + videos * number for number in range(8)])
    right = np.concatenate([second + videos * number for number in range(8)])
    ahead = target[left] > target[right]
    return pictures, rest, target, channel, np.where(ahead, left, right), np.where(ahead, right, left)


def ridge(inputs: Float32s, target: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.float64]:
    """Return the coefficients of a ridge regression, computed by its closed form."""
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


@pytest.mark.parametrize("seed", range(3))
def test_pictures_get_the_greatest_length_if_they_decide(seed: int) -> None:
    assert choose_line(*planted(1.0, 0.0, seed)).length == max(_LENGTHS)


@pytest.mark.parametrize("seed", range(3))
def test_pictures_get_the_least_length_if_the_other_inputs_decide(seed: int) -> None:
    assert choose_line(*planted(0.0, 1.0, seed)).length == min(_LENGTHS)


def test_clear_data_gets_a_lower_penalty_than_noisy_data() -> None:
    clear = [choose_line(*planted(1.0, 0.3, seed, noise=0.05)).penalty for seed in range(4)]
    noisy = [choose_line(*planted(0.5, 0.5, seed, noise=6.0)).penalty for seed in range(4)]
    assert clear == [min(_PENALTIES)] * 4
    assert np.mean(noisy) > 2 * min(_PENALTIES)


def test_without_pairs_the_least_length_is_chosen() -> None:
    pictures, rest, target, channel, winners, losers = planted(1.0, 1.0)
    assert choose_line(pictures, rest, target, channel, winners[:0], losers[:0]).length == min(_LENGTHS)
    of_one_row = choose_line(pictures[:1], rest[:1], target[:1], channel[:1], winners[:0], losers[:0])
    assert of_one_row.length == min(_LENGTHS)


def predictions(monkeypatch: pytest.MonkeyPatch, rows: tuple[Any, ...]) -> list[npt.NDArray[np.float64]]:
    """Return the predictions [n] that `choose_line` makes, for each combination of a length and a penalty.

    The length is that of the pictures' vectors. The penalty is that of the ridge regression.
    """
    predicted = []
    real = linear._predict_held_out

    def record(*arguments: Any) -> Any:
        predicted.append(real(*arguments))
        return predicted[-1]

    with monkeypatch.context() as patch:
        patch.setattr(linear, "_predict_held_out", record)
        choose_line(*rows)
    return predicted


def test_a_run_is_never_predicted_from_its_own_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the views of the first run of each channel. A run is a fifth of a channel's videos, in order of time.

    The predictions for the first runs must stay the same. The predictions for the other runs must change.
    """
    pictures, rest, target, channel, winners, losers = planted(1.0, 1.0, videos=25)
    first = np.arange(len(target)) % 25 < 5
    before = predictions(monkeypatch, (pictures, rest, target, channel, winners, losers))
    changed = np.where(first, 7 - 3 * target, target)
    after = predictions(monkeypatch, (pictures, rest, changed, channel, winners, losers))
    assert len(before) == len(_LENGTHS) * len(_PENALTIES)
    for predicted_before, predicted_after in zip(before, after, strict=True):
        np.testing.assert_array_equal(predicted_before[first], predicted_after[first])
        assert not np.allclose(predicted_before[~first], predicted_after[~first])


def test_pairs_across_two_runs_do_not_influence_the_choice() -> None:
    """Swap winner and loser in pairs whose videos are of two runs. The choice must stay the same.

    A run is a fifth of a channel's videos, in order of time. Videos of different runs are predicted by different
    models, so their predictions cannot be compared. Then swap winner and loser in the pairs within a run, which must
    change the choice.
    """
    pictures, rest, target, channel, winners, losers = planted(0.0, 1.0)
    run = np.arange(len(target)) % 60 // 12
    across = run[winners] != run[losers]
    sides = np.where(across, losers, winners), np.where(across, winners, losers)
    rows = pictures, rest, target, channel
    assert choose_line(*rows, *sides) == choose_line(*rows, winners, losers)
    inside = ~across
    reversed_inside = np.where(inside, losers, winners), np.where(inside, winners, losers)
    assert choose_line(*rows, *reversed_inside) != choose_line(*rows, winners, losers)


def test_with_many_videos_the_choice_uses_a_fixed_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(1.0, 0.3)
    monkeypatch.setattr(linear, "_ROWS", 240)
    assert {len(predicted) for predicted in predictions(monkeypatch, rows)} == {240}
    assert choose_line(*rows) == choose_line(*rows)
    assert choose_line(*rows).length == max(_LENGTHS)

"""Promises of what the history of one channel adds to the model."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.ranking import adapters as module
from thumblab_core.ranking.adapters import FILE, LEAST_VIDEOS, MOST_VIDEOS, Adapter, Adapters, fit_adapter

WIDTH = 12


def videos(count: int, seed: int = 0) -> Float32s:
    """Inputs in the model's own measure: of length near 1."""
    return (np.random.default_rng(seed).standard_normal((count, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32)


def taste(inputs: Float32s) -> npt.NDArray[np.float64]:
    """What this channel's viewers come for: one direction, and no other channel's."""
    return np.asarray(2.0 * inputs[:, 3], np.float64)


def fitted(count: int = 60, kept: float = 0.0, seed: int = 0) -> Adapter:
    """Of a channel with that taste, whose views are half luck; the model says nothing of use."""
    inputs, random = videos(count, seed), np.random.default_rng(seed + 100)
    above = taste(inputs) + 0.3 * random.standard_normal(count)
    found = fit_adapter(inputs, random.standard_normal(count).astype(np.float32), above, kept)
    assert found is not None
    return found


def agreement(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def test_a_taste_that_the_model_does_not_know_is_found_in_the_channels_own_videos() -> None:
    later = videos(300, seed=9)
    nothing = np.zeros(300, np.float32)
    assert agreement(fitted().adjust(later, nothing), taste(later)) > 0.85


def test_the_more_videos_the_surer() -> None:
    later = videos(300, seed=9)
    nothing = np.zeros(300, np.float32)
    few, some, many = (agreement(fitted(count).adjust(later, nothing), taste(later)) for count in (8, 40, 400))
    assert few < some < many
    spread = [float(fitted(count).adjust(later, nothing).std()) for count in (8, 40, 400)]
    assert spread == sorted(spread), "of a short history little is made"


def test_what_the_model_knows_already_is_not_learnt_again() -> None:
    inputs = videos(60)
    scores = taste(inputs).astype(np.float32)
    known = fit_adapter(inputs, scores, taste(inputs), 1.0)
    assert known is not None
    np.testing.assert_allclose(known.adjust(inputs, scores), scores, atol=1e-3)


@pytest.mark.parametrize("count", range(LEAST_VIDEOS))
def test_of_fewer_than_five_videos_no_history_is_made(count: int) -> None:
    inputs = videos(count)
    assert fit_adapter(inputs, np.zeros(count, np.float32), taste(inputs), 0.5) is None


def test_of_five_videos_one_is_made() -> None:
    inputs = videos(LEAST_VIDEOS)
    found = fit_adapter(inputs, np.zeros(LEAST_VIDEOS, np.float32), taste(inputs), 0.5)
    assert found is not None
    assert found.videos == LEAST_VIDEOS == 5


def test_a_video_like_none_of_the_history_gets_the_models_score_and_what_that_is_worth() -> None:
    scores = np.array([-2.0, 0.5, 3.0], np.float32)
    strange = videos(3, seed=4) + 6.0
    np.testing.assert_allclose(fitted(kept=0.4).adjust(strange, scores), 0.4 * scores, atol=1e-4)
    near = videos(3)  # the first of the history
    assert np.abs(fitted(kept=0.4).adjust(near, scores) - 0.4 * scores).max() > 0.1


def test_how_much_of_the_models_score_is_kept_is_kept_of_every_score() -> None:
    later = videos(50, seed=9)
    one, other = np.zeros(50, np.float32), np.ones(50, np.float32)
    found = fitted(kept=0.25)
    np.testing.assert_allclose(found.adjust(later, other) - found.adjust(later, one), 0.25, atol=1e-5)


def test_that_all_videos_of_a_channel_do_better_teaches_nothing_of_their_pictures() -> None:
    """Only what sets them apart counts: views of a hundred thousand and of a thousand give the same adapter."""
    inputs, scores = videos(60), np.random.default_rng(3).standard_normal(60).astype(np.float32)
    one, other = (fit_adapter(inputs, scores, taste(inputs) + shift, 0.5) for shift in (0.0, 4.0))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)


def test_of_a_long_history_the_newest_are_kept() -> None:
    inputs = videos(MOST_VIDEOS + 50)
    above, scores = taste(inputs), np.zeros(len(inputs), np.float32)
    turned = above.copy()
    turned[:50] *= -5
    whole, newest = fit_adapter(inputs, scores, turned, 0.5), fit_adapter(inputs[50:], scores[50:], above[50:], 0.5)
    assert whole is not None
    assert newest is not None
    assert whole.videos == MOST_VIDEOS
    np.testing.assert_array_equal(whole.inputs, newest.inputs)
    np.testing.assert_array_equal(whole.weights, newest.weights)


def test_it_is_the_kernel_ridge_regression_that_it_says() -> None:
    from sklearn.kernel_ridge import KernelRidge

    inputs, later = videos(40), videos(30, seed=9)
    above, scores = taste(inputs), np.random.default_rng(3).standard_normal(40)
    found = fit_adapter(inputs, scores, above, 0.5)
    assert found is not None
    left = above - 0.5 * scores
    gamma = 1 / (2 * module._LENGTH**2)
    reference = KernelRidge(alpha=module._NOISE, kernel="rbf", gamma=gamma).fit(inputs, left - left.mean())
    np.testing.assert_allclose(found.adjust(later, np.zeros(30)), reference.predict(later), atol=2e-3)


def test_a_score_is_placed_among_what_the_channels_other_videos_say_of_each_of_its_own() -> None:
    inputs, random = videos(30), np.random.default_rng(3)
    above, scores = taste(inputs) + 0.3 * random.standard_normal(30), random.standard_normal(30).astype(np.float32)
    found = fit_adapter(inputs, scores, above, 0.5)
    assert found is not None
    assert found.quantiles is not None
    others = []
    for row in range(30):
        rest = np.delete(np.arange(30), row)
        left = (above - 0.5 * scores)[rest] - (above - 0.5 * scores).mean()
        kernel = module._kernel(found.inputs[rest], found.inputs[rest]) + module._NOISE * np.eye(29)
        own = module._kernel(found.inputs[row : row + 1], found.inputs[rest]) @ np.linalg.solve(kernel, left)
        others.append(0.5 * scores[row] + own[0])
    np.testing.assert_allclose(found.quantiles, np.percentile(others, np.arange(101)), atol=1e-4)
    assert found.percentile(float(np.median(others))) == pytest.approx(50, abs=0.5)


def test_later_videos_of_a_channel_take_all_places_and_not_those_of_the_middle() -> None:
    found, later = fitted(300, kept=0.3), videos(300, seed=9)
    scores = np.random.default_rng(5).standard_normal(300).astype(np.float32)
    places = [found.percentile(score) for score in found.adjust(later, scores).tolist()]
    np.testing.assert_allclose(np.percentile(places, [5, 50, 95]), [5, 50, 95], atol=8)


def test_below_twenty_videos_nothing_is_placed() -> None:
    assert fitted(19).quantiles is None
    assert fitted(19).percentile(0.0) is None
    assert fitted(20).percentile(0.0) is not None


def saved(folder: Path) -> tuple[Adapters, Adapters]:
    kept = Adapters({"UC-one": fitted(kept=0.4), "UC-two": fitted(20, kept=0.7, seed=5), "odd/name": fitted(9)})
    kept.save(folder)
    return kept, Adapters.load(folder)


def test_what_is_read_back_adjusts_as_what_was_saved(tmp_path: Path) -> None:
    before, after = saved(tmp_path)
    later, scores = videos(50, seed=9), np.linspace(-1, 1, 50).astype(np.float32)
    assert after.channels == before.channels == {"UC-one", "UC-two", "odd/name"}
    for channel in before.channels:
        one, other = (adapters.of(channel, WIDTH) for adapters in (before, after))
        assert one is not None
        assert other is not None
        assert other.score_slope == pytest.approx(one.score_slope)
        assert one.percentile(0.1) == other.percentile(0.1)
        np.testing.assert_allclose(one.adjust(later, scores), other.adjust(later, scores), atol=1e-6)


def test_a_channel_is_read_when_it_is_asked_for_and_no_other(tmp_path: Path) -> None:
    _, adapters = saved(tmp_path)
    values = load_file(tmp_path / FILE)
    del values["UC-two/weights"]
    values["UC-one/kept"] = np.array([0.125], np.float32)
    save_file(values, tmp_path / FILE)  # behind its back: nothing of a channel was held in memory
    found = adapters.of("UC-one", WIDTH)
    assert found is not None
    assert found.score_slope == 0.125


def test_a_channel_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert all(adapters.of("UC-stranger", WIDTH) is None for adapters in (*saved(tmp_path), Adapters()))


def broken(problem: str) -> Adapter:
    good = fitted(20)
    weights = good.weights.copy()
    weights[3] = {"nan": np.nan, "infinite": np.inf}.get(problem, 0.0)
    history = {"narrow": good.inputs[:, :-1], "short": good.inputs[:-1]}.get(problem, good.inputs)
    quantiles = good.quantiles if problem != "falling" or good.quantiles is None else good.quantiles[::-1].copy()
    return Adapter(history, weights, good.score_slope, quantiles)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("problem", ["narrow", "short", "nan", "infinite", "falling"])
def test_a_history_that_is_not_of_this_model_is_an_error(tmp_path: Path, problem: str, stored: bool) -> None:
    adapters = Adapters({"UC-bad": broken(problem), "UC-good": fitted(20)})
    if stored:
        adapters.save(tmp_path)
        adapters = Adapters.load(tmp_path)
    with pytest.raises(LabError, match="the adapter of channel UC-bad does not fit this model"):
        adapters.of("UC-bad", WIDTH)
    assert adapters.of("UC-good", WIDTH) is not None


@pytest.mark.parametrize("data", [None, b"", b"no safetensors at all"])
def test_a_file_that_cannot_be_read_is_an_error_of_the_lab(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / FILE).write_bytes(data)
    with pytest.raises(LabError, match=f"{FILE} cannot be read"):
        Adapters.load(tmp_path)

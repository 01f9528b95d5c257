"""Test channel adapters.

An adapter is fitted to the videos of one channel. An adapter changes the scores that the model gives to videos of this
channel.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.ranking import adapters as module
from thumblab_core.ranking.adapters import FILE, LEAST_VIDEOS, MOST_VIDEOS, Adapter, Adapters, fit_adapter
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo
from thumblab_core.ranking.kernel import Kernel
from thumblab_core.ranking.packed_rows import PackedRows

WIDTH = 12


def videos(count: int, seed: int = 0) -> Float32s:
    """Return the standardised inputs of `count` videos [count, WIDTH]. The norm of each row is near 1."""
    return (np.random.default_rng(seed).standard_normal((count, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32)


def taste(inputs: Float32s) -> npt.NDArray[np.float64]:
    """Return the effect of the channel's taste on the log views of each video: twice the input with the index 3."""
    return np.asarray(2.0 * inputs[:, 3], np.float64)


def fitted(count: int = 60, score_slope: float = 0.0, seed: int = 0) -> Adapter:
    """Fit an adapter to `count` videos of a channel. The log views of the videos are `taste` plus noise.

    The model's scores of these videos are random.
    """
    inputs, random = videos(count, seed), np.random.default_rng(seed + 100)
    above = taste(inputs) + 0.3 * random.standard_normal(count)
    adapter = fit_adapter(inputs, random.standard_normal(count).astype(np.float32), above, score_slope)
    assert adapter is not None
    return adapter


def agreement(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def test_a_taste_that_the_model_does_not_know_is_learnt_from_the_channels_videos() -> None:
    later = videos(300, seed=9)
    nothing = np.zeros(300, np.float32)
    assert agreement(fitted().adjust(later, nothing), taste(later)) > 0.85


def test_more_videos_give_a_more_accurate_and_stronger_adapter() -> None:
    later = videos(300, seed=9)
    nothing = np.zeros(300, np.float32)
    few, some, many = (agreement(fitted(count).adjust(later, nothing), taste(later)) for count in (8, 40, 400))
    assert few < some < many
    spread = [float(fitted(count).adjust(later, nothing).std()) for count in (8, 40, 400)]
    assert spread == sorted(spread), "an adapter of few videos changes scores little"


def test_a_taste_that_the_model_knows_is_not_learnt_again() -> None:
    inputs = videos(60)
    scores = taste(inputs).astype(np.float32)
    known = fit_adapter(inputs, scores, taste(inputs), 1.0)
    assert known is not None
    np.testing.assert_allclose(known.adjust(inputs, scores), scores, atol=1e-3)


@pytest.mark.parametrize("count", range(LEAST_VIDEOS))
def test_fewer_than_five_videos_make_no_adapter(count: int) -> None:
    inputs = videos(count)
    assert fit_adapter(inputs, np.zeros(count, np.float32), taste(inputs), 0.5) is None


def test_five_videos_make_an_adapter() -> None:
    inputs = videos(LEAST_VIDEOS)
    adapter = fit_adapter(inputs, np.zeros(LEAST_VIDEOS, np.float32), taste(inputs), 0.5)
    assert adapter is not None
    assert adapter.videos == LEAST_VIDEOS == 5


def test_a_video_unlike_all_of_the_channel_gets_the_models_score_times_the_slope() -> None:
    scores = np.array([-2.0, 0.5, 3.0], np.float32)
    strange = videos(3, seed=4) + 6.0
    np.testing.assert_allclose(fitted(score_slope=0.4).adjust(strange, scores), 0.4 * scores, atol=1e-4)
    # The adapter was fitted to the result of `videos(60)`, which begins with these three videos.
    near = videos(3)
    assert np.abs(fitted(score_slope=0.4).adjust(near, scores) - 0.4 * scores).max() > 0.1


def test_the_slope_applies_to_every_score() -> None:
    later = videos(50, seed=9)
    low, high = np.zeros(50, np.float32), np.ones(50, np.float32)
    adapter = fitted(score_slope=0.25)
    np.testing.assert_allclose(adapter.adjust(later, high) - adapter.adjust(later, low), 0.25, atol=1e-5)


def test_a_constant_shift_of_all_views_does_not_change_the_adapter() -> None:
    """Add the same number to the log views of all videos of a channel. The weights of the adapter must not change."""
    inputs, scores = videos(60), np.random.default_rng(3).standard_normal(60).astype(np.float32)
    plain, shifted = (fit_adapter(inputs, scores, taste(inputs) + shift, 0.5) for shift in (0.0, 4.0))
    assert plain is not None
    assert shifted is not None
    np.testing.assert_allclose(plain.weights, shifted.weights, atol=1e-5)


def test_only_the_newest_thousand_videos_are_used() -> None:
    inputs = videos(MOST_VIDEOS + 50)
    above, scores = taste(inputs), np.zeros(len(inputs), np.float32)
    turned = above.copy()
    turned[:50] *= -5
    whole, newest = fit_adapter(inputs, scores, turned, 0.5), fit_adapter(inputs[50:], scores[50:], above[50:], 0.5)
    assert whole is not None
    assert newest is not None
    assert whole.videos == MOST_VIDEOS
    np.testing.assert_array_equal(whole.history.unpacked(), newest.history.unpacked())
    np.testing.assert_array_equal(whole.weights, newest.weights)


def test_an_adapter_equals_kernel_ridge_regression_of_scikit_learn() -> None:
    from sklearn.kernel_ridge import KernelRidge

    inputs, later = videos(40), videos(30, seed=9)
    above, scores = taste(inputs), np.random.default_rng(3).standard_normal(40)
    adapter = fit_adapter(inputs, scores, above, 0.5)
    assert adapter is not None
    residuals = above - 0.5 * scores
    reference = KernelRidge(alpha=module._NOISE, kernel="rbf", gamma=0.5).fit(inputs, residuals - residuals.mean())
    np.testing.assert_allclose(adapter.adjust(later, np.zeros(30)), reference.predict(later), atol=2e-3)


def test_quantiles_are_those_of_the_leave_one_out_predictions() -> None:
    inputs, random = videos(30), np.random.default_rng(3)
    above, scores = taste(inputs) + 0.3 * random.standard_normal(30), random.standard_normal(30).astype(np.float32)
    adapter = fit_adapter(inputs, scores, above, 0.5)
    assert adapter is not None
    assert adapter.quantiles is not None
    kernel, left_out = Kernel.without_linear_parts(WIDTH), []
    for row in range(30):
        rest = np.delete(np.arange(30), row)
        residuals = (above - 0.5 * scores)[rest] - (above - 0.5 * scores).mean()
        inputs = adapter.history.unpacked()
        matrix = kernel(inputs[rest], inputs[rest]) + module._NOISE * np.eye(29)
        prediction = kernel(inputs[row : row + 1], inputs[rest]) @ np.linalg.solve(matrix, residuals)
        left_out.append(0.5 * scores[row] + prediction[0])
    np.testing.assert_allclose(adapter.quantiles, np.percentile(left_out, np.arange(101)), atol=1e-4)
    assert adapter.percentile(float(np.median(left_out))) == pytest.approx(50, abs=0.5)


def test_percentiles_of_later_videos_spread_over_the_whole_range() -> None:
    adapter, later = fitted(300, score_slope=0.3), videos(300, seed=9)
    scores = np.random.default_rng(5).standard_normal(300).astype(np.float32)
    ranks = [adapter.percentile(score) for score in adapter.adjust(later, scores).tolist()]
    np.testing.assert_allclose(np.percentile(ranks, [5, 50, 95]), [5, 50, 95], atol=8)


def test_an_adapter_of_fewer_than_twenty_videos_has_no_percentiles() -> None:
    assert fitted(19).quantiles is None
    assert fitted(19).percentile(0.0) is None
    assert fitted(20).percentile(0.0) is not None


def saved(folder: Path) -> tuple[Adapters, Adapters]:
    """Return adapters that are in memory, and the same adapters after they were read from a file."""
    in_memory = Adapters(
        {"UC-one": fitted(score_slope=0.4), "UC-two": fitted(20, score_slope=0.7, seed=5), "odd/name": fitted(9)}
    )
    in_memory.save(folder)
    return in_memory, Adapters.load(folder)


def test_saved_adapters_adjust_scores_as_before(tmp_path: Path) -> None:
    before, after = saved(tmp_path)
    later, scores = videos(50, seed=9), np.linspace(-1, 1, 50).astype(np.float32)
    assert after.channels == before.channels == {"UC-one", "UC-two", "odd/name"}
    for channel in before.channels:
        kept, read = (adapters.of(channel, WIDTH) for adapters in (before, after))
        assert kept is not None
        assert read is not None
        assert read.score_slope == pytest.approx(kept.score_slope)
        assert kept.percentile(0.1) == read.percentile(0.1)
        np.testing.assert_allclose(kept.adjust(later, scores), read.adjust(later, scores), atol=1e-6)


def test_an_adapter_is_read_from_the_file_on_request_only(tmp_path: Path) -> None:
    _, adapters = saved(tmp_path)
    values = load_file(tmp_path / FILE)
    del values["UC-two/weights"]
    values["UC-one/kept"] = np.array([0.125], np.float32)
    # `Adapters.load` must not read an adapter before the method `of` asks for it. The test therefore replaces the file
    # after `load` has returned. `of` must return the slope in the new file, 0.125.
    save_file(values, tmp_path / FILE)
    adapter = adapters.of("UC-one", WIDTH)
    assert adapter is not None
    assert adapter.score_slope == 0.125


def test_an_unknown_channel_has_no_adapter(tmp_path: Path) -> None:
    assert all(adapters.of("UC-stranger", WIDTH) is None for adapters in (*saved(tmp_path), Adapters()))


def broken(problem: str) -> Adapter:
    """Return an adapter with the given problem: a wrong shape, invalid weights or falling quantiles."""
    good = fitted(20)
    weights = good.weights.copy()
    weights[3] = {"nan": np.nan, "infinite": np.inf}.get(problem, 0.0)
    rows = good.history.unpacked()
    history = PackedRows.of({"narrow": rows[:, :-1], "short": rows[:-1]}.get(problem, rows))
    quantiles = good.quantiles if problem != "falling" or good.quantiles is None else good.quantiles[::-1].copy()
    return Adapter(history, weights, good.score_slope, quantiles)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("problem", ["narrow", "short", "nan", "infinite", "falling"])
def test_an_adapter_that_does_not_fit_the_model_is_an_error(tmp_path: Path, problem: str, stored: bool) -> None:
    adapters = Adapters({"UC-bad": broken(problem), "UC-good": fitted(20)})
    if stored:
        adapters.save(tmp_path)
        adapters = Adapters.load(tmp_path)
    with pytest.raises(LabError, match="the adapter of channel UC-bad does not fit this model"):
        adapters.of("UC-bad", WIDTH)
    assert adapters.of("UC-good", WIDTH) is not None


@pytest.mark.parametrize("data", [None, b"", b"no safetensors at all"])
def test_an_unreadable_file_is_a_lab_error(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / FILE).write_bytes(data)
    with pytest.raises(LabError, match=f"{FILE} cannot be read"):
        Adapters.load(tmp_path)


@pytest.mark.parametrize(
    ("videos", "served", "fault"),
    [
        (LEAST_VIDEOS, "one", None),
        (LEAST_VIDEOS, None, "no model is served"),
        (LEAST_VIDEOS, "two", "it was made for another model than the served model"),
        (LEAST_VIDEOS - 1, "one", "it has 4 of the 5 videos that a channel adapter needs"),
    ],
)
def test_an_adapter_is_used_with_its_own_model_if_it_has_enough_videos(
    videos: int, served: str | None, fault: str | None
) -> None:
    assert ChannelAdapterInfo("UC-a", "A", "one", videos, None).fault(served) == fault

"""Test the kernel of channel adapters, and adapters that also learn from one-video pairs.

The kernel measures how similar two videos are. The kernel is the sum of a Gaussian and of linear parts. The Gaussian is
computed from the distance of the two videos' inputs. A linear part is a product of some of their inputs. A one-video
pair has two pictures that one video showed. The `gap` of a pair is the quality of the first picture minus the quality
of the second picture.
"""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import FILE, Adapter, Adapters, ComparedPictures, fit_adapter
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, IMAGE, LENGTH_BLOCK, WORDS_BLOCK, InputLayout
from thumblab_core.ranking.kernel import Kernel

LAYOUT = InputLayout(12, 6)
KERNEL = Kernel.of(LAYOUT)
WIDTH = LAYOUT.total


def pictures(count: int, seed: int = 0) -> Float32s:
    """Return inputs for `count` pictures, [count, WIDTH].

    The first twelve columns are the vector of the picture. This vector is random and has a norm near 1. All other
    columns are 0.
    """
    inputs = np.zeros((count, WIDTH), np.float32)
    inputs[:, :12] = np.random.default_rng(seed).standard_normal((count, 12)) / np.sqrt(12)
    return inputs


def random_inputs(count: int, seed: int = 0) -> Float32s:
    """Return random inputs [count, WIDTH]. In each row, each block is a vector with a norm near 1."""
    random, inputs = np.random.default_rng(seed), np.zeros((count, WIDTH), np.float32)
    for block, size in LAYOUT.sizes.items():
        inputs[:, LAYOUT.columns(block)] = random.standard_normal((count, size)) / np.sqrt(size)
    return inputs


def taste(inputs: Float32s) -> npt.NDArray[np.float64]:
    """Return the effect of the channel's taste on the log views of each video: twice the input with the index 3."""
    return np.asarray(2.0 * inputs[:, 3], np.float64)


def compared(count: int, variance: float = 0.02, seed: int = 50) -> ComparedPictures:
    """Return `count` pairs of pictures, each with a gap.

    The gap is `taste` of the first picture minus `taste` of the second picture, plus normal noise of variance
    `variance`.
    """
    first, second = pictures(count, seed), pictures(count, seed + 1)
    noise = np.sqrt(variance) * np.random.default_rng(seed + 2).standard_normal(count)
    return ComparedPictures(
        first, second, np.zeros(count), taste(first) - taste(second) + noise, np.full(count, variance)
    )


def fitted(pairs: ComparedPictures | None = None, videos: int = 30, slope: float = 0.4) -> Adapter:
    """Fit an adapter to `videos` videos of a channel, and to the one-video pairs `pairs`.

    The log views of the videos are `taste` plus noise. The model's scores of the videos are random.
    """
    inputs, random = pictures(videos), np.random.default_rng(100)
    above = taste(inputs) + 0.5 * random.standard_normal(videos)
    scores = random.standard_normal(videos).astype(np.float32)
    adapter = fit_adapter(inputs, scores, above, slope, KERNEL, pairs)
    assert adapter is not None
    return adapter


def predicted(adapter: Adapter, seed: int = 9) -> npt.NDArray[np.float64]:
    return np.asarray(adapter.adjust(pictures(300, seed), np.zeros(300, np.float32)), np.float64)


def test_the_kernel_is_symmetric_and_positive_semi_definite() -> None:
    inputs = random_inputs(80)
    matrix = KERNEL(inputs, inputs)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    assert np.linalg.eigvalsh(matrix).min() > -1e-5


@pytest.mark.parametrize("version", [1, 2])
def test_for_inputs_of_an_old_version_the_kernel_is_the_gaussian_of_all_columns(version: int) -> None:
    layout = InputLayout(12, 6, version)
    inputs = random_inputs(20)[:, : layout.total].astype(np.float64)
    expected = np.exp(-((inputs[:, None] - inputs[None]) ** 2).sum(axis=2) / 2)
    for kernel in (Kernel.of(layout), Kernel.without_linear_parts(layout.total)):
        # The kernel is computed from products in float32. The rounding of these products differs from processor to
        # processor.
        np.testing.assert_allclose(kernel(inputs, inputs), expected, atol=1e-4)


def test_two_lengths_are_compared_by_the_linear_part_alone() -> None:
    one, other = pictures(1), pictures(1)
    columns = LAYOUT.columns(LENGTH_BLOCK)
    one[:, columns], other[:, columns] = 1.0, -1.0
    plain = pictures(1)
    assert KERNEL(one, other)[0, 0] < KERNEL(plain, plain)[0, 0] < KERNEL(one, one)[0, 0]
    np.testing.assert_allclose(KERNEL(one, plain), KERNEL(plain, plain), atol=1e-6)


def test_agreement_does_not_enter_the_kernel() -> None:
    """Change the agreement, which compares the words of picture and title. The kernel must stay the same.

    The videos of a single channel are too few to learn whether a picture should repeat words of its title. Only the
    model learns this effect, from the videos of all channels.
    """
    one, other = random_inputs(10), random_inputs(10)
    other[:, LAYOUT.columns(AGREEMENT_BLOCK)] = 7.0
    np.testing.assert_array_equal(KERNEL(one, one), KERNEL(other, other))


@pytest.mark.parametrize("block", [IMAGE, WORDS_BLOCK])
def test_a_linear_part_adds_the_product_of_its_block(block: str) -> None:
    inputs, columns = random_inputs(10), LAYOUT.columns(block)
    only = dataclasses.replace(KERNEL, linear=np.where(np.isin(np.arange(WIDTH), np.r_[columns]), KERNEL.linear, 0))
    without = dataclasses.replace(KERNEL, linear=np.zeros(WIDTH, np.float32))
    variance = KERNEL.linear[columns][0]
    assert variance > 0
    added = variance * inputs[:, columns] @ inputs[:, columns].T
    np.testing.assert_allclose(only(inputs, inputs) - without(inputs, inputs), added, atol=1e-5)


def test_compared_pictures_teach_a_taste_and_more_of_them_teach_more() -> None:
    truth = taste(pictures(300, 9))
    accuracy = [np.corrcoef(predicted(fitted(pairs)), truth)[0, 1] for pairs in (None, compared(10), compared(60))]
    assert accuracy[0] < accuracy[1] < accuracy[2]
    assert accuracy[2] > accuracy[0] + 0.05


def test_a_gap_counts_by_its_variance() -> None:
    """Fit an adapter to videos and one pair. The gap of the pair contradicts the views of the videos.

    The larger the variance of the gap is, the less this pair must change the scores.
    """
    plain, moved = predicted(fitted()), []
    for variance in (0.01, 0.1, 1.0, 100.0, 1e6):
        pair = compared(1)
        wrong = dataclasses.replace(pair, gaps=-5 * np.sign(pair.gaps), variances=np.array([variance]))
        moved.append(float(np.abs(predicted(fitted(wrong)) - plain).max()))
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 1e-4
    assert moved[0] > 0.1


def test_a_gap_without_error_weighs_at_most_as_much_as_a_very_precise_one() -> None:
    pair = compared(5)
    exact = dataclasses.replace(pair, variances=np.zeros(5))
    assert np.isfinite(predicted(fitted(exact))).all()
    precise = dataclasses.replace(pair, variances=np.full(5, 1e-6))
    np.testing.assert_allclose(predicted(fitted(exact)), predicted(fitted(precise)), atol=1e-6)


def test_swapping_the_two_pictures_and_the_sign_of_the_gap_changes_nothing() -> None:
    pairs = dataclasses.replace(compared(20), score_gaps=np.random.default_rng(4).standard_normal(20))
    swapped = ComparedPictures(pairs.second, pairs.first, -pairs.score_gaps, -pairs.gaps, pairs.variances)
    one, other = fitted(pairs), fitted(swapped)
    np.testing.assert_allclose(predicted(one), predicted(other), atol=1e-5)
    assert one.quantiles is not None and other.quantiles is not None
    np.testing.assert_allclose(one.quantiles, other.quantiles, atol=1e-5)


def test_a_gap_that_the_model_already_predicts_teaches_nothing() -> None:
    """Fit an adapter to pairs whose gap is the difference of the model's scores times the slope, 0.4.

    The model predicts these gaps exactly, so the adapter learns nothing from the pairs. The videos have the score 0 and
    views at their channel's trend, so the adapter learns nothing from the videos either. All weights of the adapter
    must be zero.
    """
    pairs = compared(20)
    known = dataclasses.replace(pairs, score_gaps=pairs.gaps / 0.4)
    inputs = pictures(30)
    nothing = fit_adapter(inputs, np.zeros(30), np.zeros(30), 0.4, KERNEL, known)
    assert nothing is not None
    np.testing.assert_allclose(nothing.weights, 0, atol=1e-6)


def test_pairs_do_not_count_as_videos() -> None:
    adapter = fitted(compared(20), videos=30)
    assert (adapter.videos, adapter.compared, adapter.history.shape[0]) == (30, 20, 70)
    assert fitted(compared(20), videos=19).quantiles is None, "percentiles need twenty videos"
    inputs = pictures(4)
    assert fit_adapter(inputs, np.zeros(4), taste(inputs), 0.4, KERNEL, compared(20)) is None


def test_an_empty_list_of_pairs_equals_no_list() -> None:
    np.testing.assert_array_equal(fitted(compared(0)).weights, fitted(None).weights)


def test_saved_adapters_with_kernel_and_pairs_score_as_before(tmp_path: Path) -> None:
    before = Adapters({"UC-pairs": fitted(compared(20)), "UC-videos": fitted()})
    before.save(tmp_path)
    after = Adapters.load(tmp_path)
    assert after.channels == {"UC-pairs", "UC-videos"}
    for channel in after.channels:
        one, other = before.of(channel, WIDTH), after.of(channel, WIDTH)
        assert one is not None and other is not None
        assert (one.videos, one.compared) == (other.videos, other.compared)
        np.testing.assert_array_equal(predicted(one), predicted(other))


def test_an_adapters_file_of_an_older_program_is_loaded_and_scores_with_the_gaussian(tmp_path: Path) -> None:
    """Load a file of adapters as an older program wrote it.

    A file of an older program has inputs, weights and a slope for each channel. The file has neither a kernel nor the
    number of compared pairs. An older file may have quantiles, but the file in this test has none.
    """
    inputs = pictures(30)
    old = fit_adapter(inputs, np.zeros(30), taste(inputs), 0.4)
    assert old is not None and old.kernel is None
    tensors = {
        "history": old.history.unpacked().astype(np.float16),
        "weights": old.weights,
        "kept": np.array([0.4], np.float32),
    }
    save_file({f"UC-old/{name}": np.ascontiguousarray(values) for name, values in tensors.items()}, tmp_path / FILE)
    loaded = Adapters.load(tmp_path).of("UC-old", WIDTH)
    assert loaded is not None
    assert (loaded.kernel, loaded.compared, loaded.videos, loaded.quantiles) == (None, 0, 30, None)
    np.testing.assert_allclose(predicted(loaded), predicted(old), atol=1e-6)


@pytest.mark.parametrize("tensor", ["#kernel/linear", "#kernel/gaussian"])
def test_a_kernel_of_another_width_is_an_error(tmp_path: Path, tensor: str) -> None:
    Adapters({"UC-one": fitted()}).save(tmp_path)
    values = load_file(tmp_path / FILE)
    values[tensor] = values[tensor][:-1].copy()
    save_file(values, tmp_path / FILE)
    with pytest.raises(LabError, match="the adapter of channel UC-one does not fit this model"):
        Adapters.load(tmp_path).of("UC-one", WIDTH)


def test_more_pairs_than_pictures_are_an_error(tmp_path: Path) -> None:
    Adapters({"UC-one": fitted(compared(2))}).save(tmp_path)
    values = load_file(tmp_path / FILE)
    values["UC-one/compared"] = np.array([99], np.float32)
    save_file(values, tmp_path / FILE)
    with pytest.raises(LabError, match="the adapter of channel UC-one does not fit this model"):
        Adapters.load(tmp_path).of("UC-one", WIDTH)

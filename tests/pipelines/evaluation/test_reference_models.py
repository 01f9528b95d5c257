"""Tests of the reference models.

The target is the age-corrected log views. The tests check that the reference models find relations between their inputs
and the target, and that they do not use the targets of held-out videos.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION
from thumblab_pipelines.evaluation.reference_models import image_components, pooled, references, relative_target
from thumblab_pipelines.statistics.metrics import pair_auc

Plant = Callable[..., Dataset]
NAMES = {"age", "length", "title", "image", "linear", "partial_pooling"}


def auc(data: Dataset, scores: npt.NDArray[np.floating]) -> float:
    chosen = data.pairs[data.pairs.part == TEST]
    return pair_auc(scores, chosen.winner.to_numpy(np.intp), chosen.loser.to_numpy(np.intp))


def known(data: Dataset) -> npt.NDArray[np.intp]:
    return np.union1d(data.rows(TRAIN), data.rows(VALIDATION))


@pytest.mark.parametrize(("name", "column"), [("length", "duration_s"), ("age", "age_hours")])
def test_sorting_by_length_or_age_finds_a_relation_in_either_direction(plant: Plant, name: str, column: str) -> None:
    values = plant(channels=6, videos=60).videos[column].to_numpy(float)
    for sign in (-1, 1):
        noise = 0.1 * np.random.default_rng(0).standard_normal(360)
        data = plant(channels=6, videos=60, target=sign * values / values.std() + noise)
        assert auc(data, references(data, data.rows(TRAIN))[name]) > 0.9


def test_videos_of_unknown_length_are_sorted_between_the_others(plant: Plant) -> None:
    data = plant(channels=6, videos=60)
    lengths = data.videos.duration_s.to_numpy(float).copy()
    lengths[::2] = np.nan
    scores = references(replace(data, videos=data.videos.assign(duration_s=lengths)), data.rows(TRAIN))["length"]
    assert np.isfinite(scores).all()
    assert len(np.unique(scores[::2])) == 1


def test_each_ridge_learns_what_its_own_inputs_contain(plant: Plant) -> None:
    # The 40 channels have 2,400 videos. With fewer videos, the penalty of the ridge regressions would be too strong.
    data = plant(channels=40, videos=60)
    noise = 0.3 * np.random.default_rng(0).standard_normal(2_400)
    titled = plant(channels=40, videos=60, target=3 * data.titles[:, 0] + noise)
    pictured = plant(channels=40, videos=60, target=3 * data.images[:, 0] + noise)
    of_title, of_image = references(titled, known(titled)), references(pictured, known(pictured))
    assert auc(titled, of_title["title"]) > 0.8 > 0.6 > auc(titled, of_title["image"])
    assert auc(pictured, of_image["image"]) > 0.7 > 0.6 > auc(pictured, of_image["title"])
    assert auc(titled, of_title["linear"]) > 0.8
    assert auc(pictured, of_image["linear"]) > 0.7


def taste(data: Dataset) -> npt.NDArray[np.floating]:
    """Return targets [n] for the videos. Half of the channels like what the other half of the channels dislike.

    Titles that get many views on a channel with an odd number get few views on a channel with an even number.
    """
    number = data.videos.channel_id.str.removeprefix("c").astype(int).to_numpy()
    return np.where(number % 2, 1.0, -1.0) * 4 * data.titles[:, 0]


def test_partial_pooling_learns_the_taste_of_a_channel_from_its_earlier_videos(plant: Plant) -> None:
    target = taste(plant(channels=8, videos=100)) + 0.3 * np.random.default_rng(0).standard_normal(800)
    data = plant(channels=8, videos=100, target=target)
    scores = references(data, known(data))
    assert set(scores) == NAMES
    assert auc(data, scores["linear"]) < 0.6
    assert auc(data, scores["partial_pooling"]) > 0.75

    folds = data.videos.fold.to_numpy(int)
    elsewhere, known_rows = np.flatnonzero(folds != 0), known(data)
    in_fold = folds == 0
    adapted = references(data, elsewhere, known_rows[in_fold[known_rows]])
    pairs = data.pairs[(data.pairs.part == TEST) & in_fold[data.pairs.winner]]
    sides = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
    assert pair_auc(adapted["linear"], *sides) < 0.6, (
        "the linear model was fitted to the taste of other channels, so its AUC must be low"
    )
    assert pair_auc(adapted["partial_pooling"], *sides) > 0.75


def test_the_regression_of_a_channel_learns_only_the_residuals_of_the_linear_model() -> None:
    random = np.random.default_rng(0)
    features, channel = random.standard_normal((120, 5)), np.repeat(["a", "b"], 60)
    explained, known = 7 * features[:, 0], np.arange(0, 120, 2)
    np.testing.assert_allclose(pooled(features, explained, channel, explained, known), explained)
    shifted = explained + np.where(channel == "a", 3.0, 0.0)
    np.testing.assert_allclose(pooled(features, explained, channel, shifted, known), shifted)


def test_a_channel_with_few_known_videos_has_no_regression_of_its_own(plant: Plant) -> None:
    # Of the 36 videos of a channel, 29 are training or validation videos. For its own regression, a channel needs 30
    # training or validation videos.
    data = plant(channels=4, videos=36)
    scores = references(data, known(data))
    np.testing.assert_array_equal(scores["partial_pooling"], scores["linear"])


def test_held_out_rows_do_not_change_the_scores(plant: Plant) -> None:
    data = plant(channels=6, videos=60)
    changed = data.videos.copy()
    changed.loc[changed.part == TEST, "target"] *= -9
    images = data.images.copy()
    images[data.rows(TEST)] *= -5
    other = replace(data, videos=changed)
    for name, scores in references(data, known(data)).items():
        np.testing.assert_allclose(references(other, known(data))[name], scores, atol=1e-9, err_msg=name)
    rows = known(data)
    np.testing.assert_allclose(
        image_components(replace(data, images=images), rows)[rows], image_components(data, rows)[rows], atol=1e-5
    )


def test_the_relative_target_removes_the_size_and_the_growth_of_a_channel(plant: Plant) -> None:
    n = np.tile(np.arange(60), 6)
    level = np.repeat([0.0, 3.0, 6.0, 9.0, 12.0, 15.0], 60)
    data = plant(channels=6, videos=60, target=level + n / 10)
    relative = relative_target(data.videos, np.arange(360)).reshape(6, 60)
    np.testing.assert_allclose(relative, relative[:1].repeat(6, axis=0), atol=1e-9)
    assert np.abs(relative[:, 25:35]).max() < 0.5, "the trend must be removed: the target itself grows by 6"


def test_the_scores_are_reproducible(plant: Plant) -> None:
    data = plant(channels=6, videos=40)
    first, second = (references(data, known(data)) for _ in range(2))
    for name in NAMES:
        np.testing.assert_array_equal(first[name], second[name])

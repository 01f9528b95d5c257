"""Promises of the reference models: they are no straw men, and they know nothing that the model may not know."""

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
def test_where_views_follow_length_or_age_that_order_finds_it_in_either_direction(
    plant: Plant, name: str, column: str
) -> None:
    values = plant(channels=6, videos=60).videos[column].to_numpy(float)
    for sign in (-1, 1):
        noise = 0.1 * np.random.default_rng(0).standard_normal(360)
        data = plant(channels=6, videos=60, target=sign * values / values.std() + noise)
        assert auc(data, references(data, data.rows(TRAIN))[name]) > 0.9


def test_each_ridge_finds_what_is_in_its_own_inputs(plant: Plant) -> None:
    data = plant(channels=40, videos=60)  # the penalty is for thousands of videos
    noise = 0.3 * np.random.default_rng(0).standard_normal(2_400)
    titled = plant(channels=40, videos=60, target=3 * data.titles[:, 0] + noise)
    pictured = plant(channels=40, videos=60, target=3 * data.images[:, 0] + noise)
    of_title, of_image = references(titled, known(titled)), references(pictured, known(pictured))
    assert auc(titled, of_title["title"]) > 0.8 > 0.6 > auc(titled, of_title["image"])
    assert auc(pictured, of_image["image"]) > 0.7 > 0.6 > auc(pictured, of_image["title"])
    assert auc(titled, of_title["linear"]) > 0.8
    assert auc(pictured, of_image["linear"]) > 0.7


def taste(data: Dataset) -> npt.NDArray[np.floating]:
    """Every other channel's viewers dislike what the others' like."""
    number = data.videos.channel_id.str.removeprefix("c").astype(int).to_numpy()
    return np.where(number % 2, 1.0, -1.0) * 4 * data.titles[:, 0]


def test_partial_pooling_learns_the_taste_of_a_channel_from_its_own_past(plant: Plant) -> None:
    target = taste(plant(channels=8, videos=100)) + 0.3 * np.random.default_rng(0).standard_normal(800)
    data = plant(channels=8, videos=100, target=target)
    found = references(data, known(data))
    assert set(found) == NAMES
    assert auc(data, found["linear"]) < 0.6
    assert auc(data, found["partial_pooling"]) > 0.75

    folds = data.videos.fold.to_numpy(int)
    elsewhere, own = np.flatnonzero(folds != 0), known(data)
    there = folds == 0
    adapted = references(data, elsewhere, own[there[own]])
    pairs = data.pairs[(data.pairs.part == TEST) & there[data.pairs.winner]]
    sides = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
    assert pair_auc(adapted["linear"], *sides) < 0.6, "of other channels' taste"
    assert pair_auc(adapted["partial_pooling"], *sides) > 0.75


def test_the_part_of_a_channel_learns_what_the_other_part_leaves_and_no_more() -> None:
    random = np.random.default_rng(0)
    features, channel = random.standard_normal((120, 5)), np.repeat(["a", "b"], 60)
    explained, known = 7 * features[:, 0], np.arange(0, 120, 2)
    np.testing.assert_allclose(pooled(features, explained, channel, explained, known), explained)
    shifted = explained + np.where(channel == "a", 3.0, 0.0)
    np.testing.assert_allclose(pooled(features, explained, channel, shifted, known), shifted)


def test_a_channel_with_a_short_history_has_no_part_of_its_own(plant: Plant) -> None:
    data = plant(channels=4, videos=36)  # 29 of them known
    found = references(data, known(data))
    np.testing.assert_array_equal(found["partial_pooling"], found["linear"])


def test_nothing_is_learnt_from_a_row_that_is_not_known(plant: Plant) -> None:
    data = plant(channels=6, videos=60)
    turned = data.videos.copy()
    turned.loc[turned.part == TEST, "target"] *= -9
    images = data.images.copy()
    images[data.rows(TEST)] *= -5
    other = replace(data, videos=turned)
    for name, scores in references(data, known(data)).items():
        np.testing.assert_allclose(references(other, known(data))[name], scores, atol=1e-9, err_msg=name)
    seen = known(data)
    np.testing.assert_allclose(
        image_components(replace(data, images=images), seen)[seen], image_components(data, seen)[seen], atol=1e-5
    )


def test_what_is_to_be_learnt_is_free_of_the_channels_size_and_of_its_growth(plant: Plant) -> None:
    n = np.tile(np.arange(60), 6)
    level = np.repeat([0.0, 3.0, 6.0, 9.0, 12.0, 15.0], 60)
    data = plant(channels=6, videos=60, target=level + n / 10)
    relative = relative_target(data.videos, np.arange(360)).reshape(6, 60)
    np.testing.assert_allclose(relative, relative[:1].repeat(6, axis=0), atol=1e-9)
    assert np.abs(relative[:, 25:35]).max() < 0.5, "of the growth by six that there was"


def test_the_same_data_gives_the_same_scores(plant: Plant) -> None:
    data = plant(channels=6, videos=40)
    first, second = (references(data, known(data)) for _ in range(2))
    for name in NAMES:
        np.testing.assert_array_equal(first[name], second[name])

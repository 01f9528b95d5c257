"""Tests of the win probabilities of two pictures that have the same title.

The difference of two scores, times a slope, is the log odds of a win. One slope is for whole videos, which differ in
picture and title. Another slope is for pictures under one title.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from thumblab_core.ranking.trained_ranker import PACKAGES, VIDEOS, Calibration
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.splits import TEST, VALIDATION
from thumblab_pipelines.statistics.calibration import expected_calibration_error
from thumblab_pipelines.training import one_title_slopes
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.context import Context
from thumblab_pipelines.training.train import TrainedRanking, train


@pytest.fixture(scope="module")
def data(plant: Callable[..., Dataset]) -> Dataset:
    """Videos of ten channels. The views depend more on the title than on the picture."""
    planted = plant(channels=10, videos=100, seed=2)
    by_title = 2.0 * np.sqrt(8) * planted.titles[:, 0]
    videos = planted.videos.assign(target=planted.videos.target + by_title)
    return dataclasses.replace(planted, videos=videos, pairs=pair_up(videos, 30.0))


@pytest.fixture(scope="module")
def trained(data: Dataset) -> TrainedRanking:
    return train(data, TrainConfig(epochs=6))


@pytest.mark.slow
def test_win_probabilities_of_unseen_channels_are_calibrated_for_pictures_under_one_title(
    data: Dataset, trained: TrainedRanking
) -> None:
    pictures, context = trained.held.pictures["new"], Context.of(data)
    pairs = data.pairs.iloc[pictures.pairs]
    residual = context.residual[pairs.winner.to_numpy(int)] - context.residual[pairs.loser.to_numpy(int)]
    gaps = (np.sign(residual) * pictures.gaps.mean(axis=1))[(pairs.part == TEST).to_numpy(bool)]
    assert expected_calibration_error(gaps, trained.ranker.calibration.slope_of(adapted=False)) < 0.06


def test_a_slope_of_one_title_is_never_steeper_than_that_of_whole_videos(trained: TrainedRanking) -> None:
    calibration = trained.ranker.calibration
    assert calibration.one_title is not None
    assert 0 < calibration.slope_of(adapted=False) <= calibration.slope
    assert 0 < calibration.slope_of(adapted=True) <= calibration.slope_adapted
    assert calibration.one_title_from == (VIDEOS, VIDEOS)


def test_with_too_few_pairs_the_slope_of_whole_videos_is_used(
    plant: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_title_slopes, "LEAST_PAIRS_FOR_SLOPE", 10**9)
    calibration = train(plant(channels=6, videos=40), TrainConfig(epochs=1)).ranker.calibration
    assert calibration.one_title == (calibration.slope, calibration.slope_adapted)
    assert calibration.one_title_from == (PACKAGES, PACKAGES)


def test_without_validation_pairs_adapted_scores_get_the_slope_of_unadapted_scores(
    plant: Callable[..., Dataset],
) -> None:
    data = plant(channels=12, videos=9)  # Of nine videos, only one is in the validation part.
    assert not (data.pairs.part == VALIDATION).any()
    calibration = train(data, TrainConfig(epochs=1)).ranker.calibration
    assert calibration.slope_adapted == calibration.slope != 1.0


def test_a_release_of_an_older_version_is_used_with_the_slopes_of_whole_videos() -> None:
    calibration = Calibration(2.0, {}, 3.0)
    assert (calibration.slope_of(adapted=False), calibration.slope_of(adapted=True)) == (2.0, 3.0)


def test_the_context_of_some_videos_ignores_all_others(data: Dataset) -> None:
    rows = np.flatnonzero(data.videos.part != TEST)
    before = Context.of(data, rows)
    target = data.videos.target.to_numpy(float).copy()
    target[data.videos.part == TEST] += 10.0
    after = Context.of(dataclasses.replace(data, videos=data.videos.assign(target=target)), rows)
    np.testing.assert_array_equal(before.residual, after.residual)
    assert np.isnan(before.residual[data.videos.part == TEST]).all()

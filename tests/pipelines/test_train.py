"""Promises of training: what is planted is found, and what is not there is not."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from thumblab_core.errors import LabError
from thumblab_core.releases import ReleaseStore
from thumblab_pipelines.steps.dataset import Dataset
from thumblab_pipelines.steps.evaluate import pair_auc
from thumblab_pipelines.steps.pairs import TEST, TRAIN, VALIDATION
from thumblab_pipelines.steps.train import TrainConfig, _masked_mse, _slope, fit, fit_without_channels, train_ranker

Plant = Callable[..., Dataset]
QUICK = TrainConfig(epochs=12, patience=12, learning_rate=2e-3)


def future_auc(data: Dataset, scores: np.ndarray) -> float:
    chosen = data.pairs[data.pairs.part == TEST]
    return pair_auc(scores, chosen.winner.to_numpy(np.intp), chosen.loser.to_numpy(np.intp))


@pytest.fixture(scope="module")
def data(plant: Plant) -> Dataset:
    return plant(channels=8, videos=100)


def test_a_planted_signal_is_found_nearly_as_well_as_can_be(data: Dataset) -> None:
    trained, history = train_ranker(data, QUICK, lambda _: None)
    truth = data.images @ np.eye(16)[0]
    ceiling = future_auc(data, truth)
    found = future_auc(data, trained.model.predict(data.images, data.titles).score)
    assert ceiling > 0.8
    assert found > ceiling - 0.06
    assert history[-1].pair_loss < history[0].pair_loss


def test_where_nothing_is_planted_nothing_is_found(plant: Plant) -> None:
    noise = plant(channels=8, videos=100, signal=0.0, seed=3)
    trained, _ = train_ranker(noise, QUICK, lambda _: None)
    assert abs(future_auc(noise, trained.model.predict(noise.images, noise.titles).score) - 0.5) < 0.08


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data: Dataset) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        config = dataclasses.replace(QUICK, epochs=2, seed=seed)
        return fit(data, data.rows(TRAIN), data.rows(VALIDATION), config)[0].state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["trunk.1.weight"], other["trunk.1.weight"])


def test_sub_scores_that_are_unknown_are_not_learnt_from(data: Dataset) -> None:
    unknown = np.full_like(data.sub_scores, np.nan)
    config = dataclasses.replace(QUICK, epochs=2)
    model, history = fit(dataclasses.replace(data, sub_scores=unknown), data.rows(TRAIN), data.rows(VALIDATION), config)
    assert [epoch.auxiliary_loss for epoch in history] == [0.0, 0.0]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())
    partly = data.sub_scores.copy()
    partly[:, 5] = np.nan
    _, history = fit(dataclasses.replace(data, sub_scores=partly), data.rows(TRAIN), data.rows(VALIDATION), config)
    assert 0 < history[-1].auxiliary_loss < 1


def test_the_error_is_over_what_is_known() -> None:
    target = torch.tensor([[1.0, float("nan")], [0.0, 0.5]])
    assert float(_masked_mse(torch.zeros(2, 2), target)) == pytest.approx((1 + 0 + 0.25) / 3)
    assert float(_masked_mse(torch.ones(2, 2), torch.full((2, 2), float("nan")))) == 0


def test_nothing_of_the_test_part_is_used_in_training(data: Dataset, plant: Plant) -> None:
    """Turning every label of the test part around changes not one weight."""
    config = dataclasses.replace(QUICK, epochs=2)
    pairs = data.pairs.copy()
    test = pairs.part == TEST
    pairs.loc[test, ["winner", "loser"]] = pairs.loc[test, ["loser", "winner"]].to_numpy()
    videos = data.videos.copy()
    videos.loc[videos.part == TEST, "target"] *= -5
    turned = dataclasses.replace(data, pairs=pairs, videos=videos)
    one, other = (train_ranker(d, config, lambda _: None)[0] for d in (data, turned))
    assert all(torch.equal(value, other.model.state_dict()[name]) for name, value in one.model.state_dict().items())
    assert one.calibration.slope == other.calibration.slope


def test_channels_that_are_left_out_change_nothing(data: Dataset) -> None:
    config = dataclasses.replace(QUICK, epochs=2)
    known = np.flatnonzero(data.videos.fold.to_numpy(int) != 0)
    videos = data.videos.copy()
    videos.loc[videos.fold == 0, "target"] *= -1
    pairs = data.pairs.copy()
    there = videos.fold.to_numpy(int)[pairs.winner.to_numpy(int)] == 0
    pairs.loc[there, ["winner", "loser"]] = pairs.loc[there, ["loser", "winner"]].to_numpy()
    turned = dataclasses.replace(data, videos=videos, pairs=pairs)
    one, other = (fit_without_channels(d, config, lambda _: None)(known) for d in (data, turned))
    np.testing.assert_array_equal(one, other)


def test_the_epoch_that_orders_validation_best_is_kept(data: Dataset) -> None:
    model, history = fit(data, data.rows(TRAIN), data.rows(VALIDATION), dataclasses.replace(QUICK, epochs=5))
    inside = np.isin(np.arange(len(data.videos)), data.rows(VALIDATION))
    winner, loser = data.pairs.winner.to_numpy(np.intp), data.pairs.loser.to_numpy(np.intp)
    chosen = inside[winner] & inside[loser]
    auc = pair_auc(model.predict(data.images, data.titles).score, winner[chosen], loser[chosen])
    assert auc == pytest.approx(max(epoch.validation_auc or 0 for epoch in history))


def test_the_slope_recovers_how_sure_the_scores_may_be() -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal(4_000).astype(np.float32)
    first, second = np.arange(2_000), np.arange(2_000, 4_000)
    wins = random.random(2_000) < 1 / (1 + np.exp(-1.7 * (scores[first] - scores[second])))
    winners, losers = np.where(wins, first, second), np.where(wins, second, first)
    assert _slope(scores, winners, losers) == pytest.approx(1.7, abs=0.15)
    assert _slope(scores, losers, winners) == 1e-6, "a model that is wrong more often than right claims nothing"
    assert _slope(scores, winners[:1], losers[:1]) == 1.0


def test_the_quantiles_are_those_of_each_niche(data: Dataset) -> None:
    trained, _ = train_ranker(data, dataclasses.replace(QUICK, epochs=1), lambda _: None)
    scores = trained.model.predict(data.images, data.titles).score
    assert set(trained.calibration.quantiles) == {"tech", "news"}
    for niche, quantiles in trained.calibration.quantiles.items():
        own = scores[data.videos.niche.to_numpy(object) == niche]
        assert (len(quantiles), quantiles[0], quantiles[100]) == (101, own.min(), own.max())
        assert quantiles[50] == pytest.approx(np.median(own), abs=1e-6)


def test_without_a_clear_pair_it_is_an_error_of_the_lab(data: Dataset) -> None:
    with pytest.raises(LabError, match="no training pair"):
        fit(dataclasses.replace(data, pairs=data.pairs[:0]), data.rows(TRAIN), data.rows(VALIDATION), QUICK)


def test_a_trained_model_can_be_published_and_read_back(data: Dataset, tmp_path: Path) -> None:
    from thumblab_core.ranker import TrainedRanker

    trained, _ = train_ranker(data, dataclasses.replace(QUICK, epochs=1), lambda _: None)
    release = ReleaseStore(tmp_path).publish("model", "all", trained.save, {})
    loaded = TrainedRanker.load(release)
    assert loaded.training == trained.training
    assert loaded.training["pairs_release"] == data.release.release_id


def test_the_planted_ceiling_is_what_theory_says(plant: Plant) -> None:
    """Of the fixture itself: differences of signal and of target are jointly Gaussian, nearly."""
    data = plant(channels=8, videos=100)
    quality = np.std(data.images @ np.eye(16)[0] * 4)
    rho = quality / np.hypot(quality, 0.5)
    assert future_auc(data, data.images @ np.eye(16)[0]) == pytest.approx(0.5 + np.arcsin(rho) / np.pi, abs=0.05)

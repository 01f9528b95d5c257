"""Tests that training finds a signal in the data, finds no signal in noise, and does not use held-out views."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.errors import LabError
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION
from thumblab_pipelines.statistics.calibration import expected_calibration_error, too_close_share
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.corpus import dataset_inputs
from thumblab_pipelines.training.train import TrainedRanking, train

Plant = Callable[..., Dataset]
QUICK = TrainConfig(epochs=8)
BRIEF = TrainConfig(epochs=2)
FILES = ("model.safetensors", "adapters.safetensors", "calibration.json", "config.json")


def gaps(data: Dataset, scores: Any, part: str = TEST, channel: str | None = None) -> npt.NDArray[np.float64]:
    """Return the winner's score minus the loser's score for each pair of `part`. If `channel` is given, use only the
    pairs of this channel.
    """
    pairs = data.pairs[data.pairs.part == part]
    if channel is not None:
        pairs = pairs[pairs.channel_id == channel]
    scores = np.asarray(scores, np.float64)
    return np.asarray(scores[pairs.winner.to_numpy(np.intp)] - scores[pairs.loser.to_numpy(np.intp)], np.float64)


def auc(data: Dataset, scores: Any, channel: str | None = None) -> float:
    return float((gaps(data, scores, TEST, channel) > 0).mean())


def reversed_in(data: Dataset, rows: npt.NDArray[np.bool_]) -> Dataset:
    """Return a copy of `data` in which the targets of `rows` are multiplied by -5.

    In each pair with a video of `rows`, the winner and the loser are swapped.
    """
    videos, pairs = data.videos.copy(), data.pairs.copy()
    videos.loc[rows, "target"] *= -5
    affected = rows[pairs.winner.to_numpy(int)] | rows[pairs.loser.to_numpy(int)]
    pairs.loc[affected, ["winner", "loser"]] = pairs.loc[affected, ["loser", "winner"]].to_numpy()
    return dataclasses.replace(data, videos=videos, pairs=pairs)


def files(trained: TrainedRanking, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    trained.ranker.save(folder)
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def data(plant: Plant) -> Dataset:
    return plant(channels=8, videos=100)


@pytest.fixture(scope="module")
def trained(data: Dataset) -> TrainedRanking:
    return train(data, QUICK)


@pytest.fixture(scope="module")
def without_signal(plant: Plant) -> tuple[Dataset, TrainedRanking]:
    noise = plant(channels=8, videos=100, signal=0.0, seed=3)
    return noise, train(noise, BRIEF)


@pytest.fixture(scope="module")
def little(plant: Plant) -> Dataset:
    return plant(channels=6, videos=40)


@pytest.fixture(scope="module")
def brief(little: Dataset) -> TrainedRanking:
    return train(little, BRIEF)


def test_a_planted_signal_is_found_almost_up_to_the_best_possible_auc(data: Dataset, trained: TrainedRanking) -> None:
    ceiling = auc(data, data.images[:, 0])
    assert ceiling > 0.8
    for scores in (trained.held.future, trained.held.future_unadapted, trained.held.new, trained.held.adapted):
        assert ceiling + 0.02 > auc(data, scores) > ceiling - 0.06
    assert trained.history[-1].absolute_loss < trained.history[0].absolute_loss, "the network must learn engagement"


@pytest.mark.slow
def test_without_a_signal_the_auc_is_one_half(without_signal: tuple[Dataset, TrainedRanking]) -> None:
    noise, held = without_signal[0], without_signal[1].held
    for scores in (held.future, held.future_unadapted, held.new, held.adapted):
        assert abs(auc(noise, scores) - 0.5) < 0.08


def test_the_scores_are_log_views(data: Dataset, trained: TrainedRanking) -> None:
    """Check that a difference of 1 between two scores predicts a difference of 1 between the log views."""
    later = data.rows(TEST)
    channel = data.videos.channel_id.to_numpy(str)[later]
    for scores in (trained.held.future, trained.held.adapted):
        predicted, true = (np.asarray(values, float)[later] for values in (scores, data.videos.target))
        for name in np.unique(channel):
            predicted[channel == name] -= predicted[channel == name].mean()
            true[channel == name] -= true[channel == name].mean()
        assert float((predicted * true).sum() / (predicted**2).sum()) == pytest.approx(1, abs=0.2)


def test_held_out_scores_are_those_of_the_released_model(data: Dataset, trained: TrainedRanking) -> None:
    inputs = dataset_inputs(data).dense()
    unadapted = trained.ranker.predict_inputs(inputs).score
    np.testing.assert_allclose(unadapted, trained.held.future_unadapted, atol=1e-5)
    for channel, rows in data.videos.groupby("channel_id").indices.items():
        adapter = trained.ranker.adapter(str(channel))
        assert adapter is not None
        own = trained.ranker.predict_inputs(inputs[rows], adapter).score
        np.testing.assert_allclose(own, trained.held.future[rows], atol=1e-4)


def test_the_same_seed_gives_the_same_files_and_another_seed_gives_others(
    little: Dataset, brief: TrainedRanking, tmp_path: Path
) -> None:
    first, second = files(brief, tmp_path / "first"), files(train(little, BRIEF), tmp_path / "second")
    other = files(train(little, dataclasses.replace(BRIEF, seed=2)), tmp_path / "other")
    assert first == second
    assert first["model.safetensors"] != other["model.safetensors"]


def test_training_does_not_use_the_test_part(little: Dataset, brief: TrainedRanking, tmp_path: Path) -> None:
    """Reverse the targets and the winners of the test part. The weights, the adapters and the calibration must stay the
    same.
    """
    other = train(reversed_in(little, (little.videos.part == TEST).to_numpy(bool)), BRIEF)
    assert files(brief, tmp_path / "one") == files(other, tmp_path / "other")
    for field in ("future", "future_unadapted", "new", "adapted"):
        np.testing.assert_array_equal(getattr(brief.held, field), getattr(other.held, field))
    assert (brief.held.slope, brief.held.slope_adapted) == (other.held.slope, other.held.slope_adapted)


@pytest.mark.parametrize("fold", [0, pytest.param(2, marks=pytest.mark.heavy)])
def test_labels_of_unseen_channels_do_not_influence_their_scores(
    little: Dataset, brief: TrainedRanking, fold: int
) -> None:
    left_out = little.videos.fold.to_numpy(int) == fold
    other = train(reversed_in(little, left_out), BRIEF)
    np.testing.assert_array_equal(brief.held.new[left_out], other.held.new[left_out])
    assert not np.allclose(brief.held.new[~left_out], other.held.new[~left_out], atol=1e-3)


@pytest.mark.slow
def test_videos_for_adapters_only_do_not_influence_the_model(little: Dataset, tmp_path: Path) -> None:
    unlearnt = (np.arange(len(little.videos)) % 3 == 0) & (little.videos.part == TRAIN).to_numpy(bool)
    some = dataclasses.replace(little, videos=little.videos.assign(learnt=~unlearnt))
    plain, other = (
        files(train(d, BRIEF), tmp_path / str(n)) for n, d in enumerate((some, reversed_in(some, unlearnt)))
    )
    assert plain["model.safetensors"] == other["model.safetensors"]
    assert plain["adapters.safetensors"] != other["adapters.safetensors"]


@pytest.mark.slow
def test_unknown_sub_scores_are_not_learnt(little: Dataset) -> None:
    unknown = np.full_like(little.sub_scores, np.nan)
    result = train(dataclasses.replace(little, sub_scores=unknown), BRIEF)
    assert [epoch.auxiliary_loss for epoch in result.history] == [0.0, 0.0]
    values = result.ranker.model.weights.values()
    assert all(np.isfinite(value).all() for value in values)
    partly = little.sub_scores.copy()
    partly[:, 5] = np.nan
    result = train(dataclasses.replace(little, sub_scores=partly), BRIEF)
    assert 0 < result.history[-1].auxiliary_loss < 1


def with_tastes(
    plant: Plant, taste: Callable[[int], npt.NDArray[np.float64]], seed: int = 0, videos: int = 80
) -> Dataset:
    """Return data of nine channels, numbered from 0. `taste` returns the taste of a channel as a vector.

    The target of a video is 4 times the dot product of its picture's vector and the taste of its channel, plus noise.
    """
    sizes = {"channels": 9, "videos": videos, "seed": seed}
    images = plant(**sizes).images
    tastes = np.repeat(np.stack([taste(number) for number in range(9)]), videos, axis=0)
    noise = 0.5 * np.random.default_rng(seed + 50).standard_normal(len(images))
    return plant(**sizes, target=4 * (images * tastes).sum(axis=1) + noise)


@pytest.mark.slow
def test_an_adapter_finds_the_taste_of_one_channel_known_or_unseen(plant: Plant) -> None:
    def taste(number: int) -> npt.NDArray[np.float64]:
        return np.eye(16)[0] + (2.0 if number == 4 else 0.0) * np.eye(16)[1]

    odd = with_tastes(plant, taste)
    held = train(odd, QUICK).held
    assert auc(odd, held.future, "c4") > auc(odd, held.future_unadapted, "c4") + 0.05
    assert auc(odd, held.adapted, "c4") > auc(odd, held.new, "c4") + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.heavy)])
def test_the_kept_share_is_near_one_if_channels_agree_and_small_if_they_do_not(plant: Plant, seed: int) -> None:
    random = np.random.default_rng(seed)
    agreed = train(with_tastes(plant, lambda _: np.eye(16)[0], seed), BRIEF).ranker.training["kept"]
    apart = train(with_tastes(plant, lambda _: random.standard_normal(16) / 2, seed), BRIEF).ranker.training["kept"]
    assert agreed > 0.85
    assert apart < 0.4


def test_each_adapter_keeps_the_measured_share(data: Dataset, trained: TrainedRanking) -> None:
    kept = trained.ranker.training["kept"]
    assert trained.ranker.training["channels_adapted"] == 8
    for channel in data.videos.channel_id.unique():
        adapter = trained.ranker.adapter(channel)
        assert adapter is not None
        assert adapter.score_slope == kept
        known = (data.videos.channel_id == channel) & (data.videos.part != TEST)
        assert adapter.videos == int(known.sum())


@pytest.mark.slow
@pytest.mark.parametrize("spread", [pytest.param(0.5, marks=pytest.mark.heavy), 1.5])
def test_win_probabilities_and_the_too_close_share_hold_on_held_out_pairs(plant: Plant, spread: float) -> None:
    """Measure the calibration on four catalogues together, because the 128 test videos of one catalogue are too few."""
    logits: list[list[npt.NDArray[np.float64]]] = [[], []]
    promised: list[list[float]] = [[], []]
    for seed in range(4):
        catalogue = plant(channels=8, videos=80, noise=spread, seed=seed)
        result = train(catalogue, BRIEF)
        calibration = result.ranker.calibration
        assert (result.held.slope, result.held.slope_adapted) == (calibration.slope, calibration.slope_adapted)
        answers = ((result.held.new, calibration.slope), (result.held.future, calibration.slope_adapted))
        for number, (scores, slope) in enumerate(answers):
            logits[number].append(slope * gaps(catalogue, scores))
            promised[number].append(float(calibration.too_close[number] or 0.0))
    for of_catalogues, shares in zip(logits, promised, strict=True):
        together = np.concatenate(of_catalogues)
        assert expected_calibration_error(together, 1.0) <= 0.05
        assert too_close_share(together, 1.0) == pytest.approx(np.mean(shares), abs=0.04)
        assert 0.05 < np.mean(shares) < 0.95


def test_quantiles_are_those_of_the_scores_of_each_niche(data: Dataset, trained: TrainedRanking) -> None:
    calibration = trained.ranker.calibration
    assert set(calibration.quantiles) == {"tech", "news"}
    for niche, quantiles in calibration.quantiles.items():
        own = trained.held.future_unadapted[data.videos.niche.to_numpy(object) == niche]
        assert (len(quantiles), quantiles[0], quantiles[100]) == (101, own.min(), own.max())
        assert quantiles[50] == pytest.approx(np.median(own), abs=1e-6)


def test_a_niche_with_too_few_videos_has_no_quantiles(little: Dataset) -> None:
    videos = little.videos.copy()
    videos["niche"] = ["beauty"] * 19 + ["tech"] * 20 + ["news"] * (len(videos) - 39)
    calibration = train(dataclasses.replace(little, videos=videos), BRIEF).ranker.calibration
    assert set(calibration.quantiles) == {"tech", "news"}


def test_the_absolute_head_is_measured_on_validation_videos(
    data: Dataset, trained: TrainedRanking, without_signal: tuple[Dataset, TrainedRanking]
) -> None:
    informed = trained.ranker.engagement_accuracy
    assert informed is not None
    assert informed.videos == len(data.rows(VALIDATION))
    assert informed.low > 0.3
    expected = trained.ranker.predict_inputs(dataset_inputs(data)[data.rows(VALIDATION)]).engagement
    assert informed.spread == pytest.approx(np.ptp(np.percentile(expected, [5, 95])), abs=1e-5)
    assert trained.ranker.why_no_engagement is None
    uninformed = without_signal[1].ranker
    assert uninformed.engagement_accuracy is not None and uninformed.engagement_accuracy.low < 0
    assert uninformed.why_no_engagement is not None


def test_a_model_recognises_pictures_like_its_training_pictures(data: Dataset, trained: TrainedRanking) -> None:
    familiar = trained.ranker.familiar
    assert familiar is not None
    assert len(familiar.pictures) == len(data.learnt(TRAIN))
    later = familiar.nearest(data.images[data.rows(TEST)])
    assert (later >= familiar.threshold).mean() > 0.97
    assert 0 < familiar.threshold < 1


def test_training_without_a_clear_pair_is_an_error(little: Dataset) -> None:
    with pytest.raises(LabError, match="no training pair"):
        train(dataclasses.replace(little, pairs=little.pairs[:0]), BRIEF)


def test_one_channel_is_enough_to_train_without_figures_of_unseen_channels(plant: Plant) -> None:
    alone = plant(channels=1, videos=150)
    result = train(alone, BRIEF)
    assert result.ranker.training["kept"] == 1.0
    assert not np.isfinite(result.held.new).any()
    assert result.held.slope == result.held.slope_adapted
    assert result.ranker.calibration.too_close[0] is None
    assert auc(alone, result.held.future) > 0.6


def test_the_listener_hears_of_every_training_and_epoch(little: Dataset) -> None:
    heard: list[tuple[str, int]] = []
    train(little, BRIEF, lambda what, epoch: heard.append((what, epoch.epoch)))
    names = list(dict.fromkeys(what for what, _ in heard))
    assert len(names) == 4
    assert heard == [(name, epoch) for name in names for epoch in (0, 1)]


def test_a_trained_model_can_be_published_and_read_back(little: Dataset, brief: TrainedRanking, tmp_path: Path) -> None:
    release = ReleaseStore(tmp_path).publish("model", "all", brief.ranker.save, {})
    loaded = TrainedRanker.load(release)
    assert loaded.training == brief.ranker.training
    assert loaded.training["pairs_release"] == little.release.release_id
    assert loaded.calibration == brief.ranker.calibration
    inputs = dataset_inputs(little).dense()
    for channel in (None, "c0"):
        before, after = (r.predict_inputs(inputs, channel and r.adapter(channel)) for r in (brief.ranker, loaded))
        np.testing.assert_allclose(before.score, after.score, atol=1e-6)


def test_the_best_possible_auc_of_the_planted_data_agrees_with_theory(data: Dataset) -> None:
    """Compare the best possible AUC on the test data with Sheppard's formula, which is exact for Gaussian values."""
    quality = np.std(data.images[:, 0] * 4)
    rho = quality / np.hypot(quality, 0.5)
    test = data.pairs[data.pairs.part == TEST]
    best_auc = pair_auc(data.images[:, 0], test.winner.to_numpy(np.intp), test.loser.to_numpy(np.intp))
    assert best_auc == pytest.approx(0.5 + np.arcsin(rho) / np.pi, abs=0.05)


@pytest.mark.slow
def test_the_absolute_head_learns_click_through_rates_if_there_are_enough(plant: Plant) -> None:
    random = np.random.default_rng(0)
    rates = 0.04 + 0.02 * random.random(320)
    measured = plant(channels=4, videos=80, click_through_rate=rates)
    # The absolute head predicts click-through rates. With these settings, its predictions come near to the true rates
    # within a few epochs.
    trained = train(measured, dataclasses.replace(QUICK, pairs_per_step=32, learning_rate=1e-2)).ranker
    assert trained.absolute == "click_through_rate"
    predicted = trained.predict(measured.images, measured.titles, measured.videos.title.tolist()).engagement
    assert abs(predicted.mean() - rates.mean()) < 0.02, "rates must not be smoothed towards one half"
    few = plant(channels=4, videos=80, click_through_rate=np.where(np.arange(320) < 100, rates, np.nan))
    assert train(few, dataclasses.replace(QUICK, epochs=1)).ranker.absolute == "engagement"

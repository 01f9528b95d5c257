"""Tests of `fit`, which trains the network.

The tests cover which pairs a training step uses, what each setting changes, and which epoch's weights the trained
network has.
"""

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fit_child import QUICK, Tiny, fresh, planted
from torch import nn

from thumblab_core.errors import LabError
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.batches import Batches
from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.fitting import fit, learning_rate
from thumblab_pipelines.training.losses import Targets, batch_losses, mixup_batch, pair_batch, pair_loss

ARRAYS = planted()
CONFIG = TrainConfig(**QUICK)  # type: ignore[arg-type]
ROWS = len(ARRAYS.inputs)


def trained(**changes: Any) -> tuple[Tiny, list[Epoch]]:
    return fit(ARRAYS, dataclasses.replace(CONFIG, **changes), fresh(ARRAYS))


def equal_weights(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def auc_of(model: Tiny) -> float:
    with torch.inference_mode():
        scores = model.eval()(torch.from_numpy(ARRAYS.inputs))[0].numpy()
    return pair_auc(scores, ARRAYS.held_winners, ARRAYS.held_losers)


def test_a_planted_relation_is_found_almost_up_to_the_best_possible_auc() -> None:
    ceiling = pair_auc(ARRAYS.inputs[:, 0], ARRAYS.held_winners, ARRAYS.held_losers)
    model, history = trained(epochs=15)
    assert auc_of(model) > ceiling - 0.12
    assert history[-1].pair_loss < 0.5 * history[0].pair_loss
    assert history[-1].absolute_loss < history[0].absolute_loss


def test_without_a_relation_the_validation_auc_is_one_half() -> None:
    noise = planted(channels=20, signal=0.0)
    _, history = fit(noise, CONFIG, fresh(noise))
    assert abs(np.mean([epoch.validation_auc or 0 for epoch in history]) - 0.5) < 0.08


@pytest.mark.parametrize("pairs_per_step", [1, 100, 5_000])
@pytest.mark.parametrize("block", [1, 32, 5_000])
def test_each_epoch_visits_every_pair_once_in_another_order(block: int, pairs_per_step: int) -> None:
    config = dataclasses.replace(CONFIG, pairs_per_block=block, pairs_per_step=pairs_per_step)
    batches = Batches.of(ARRAYS.winners, ARRAYS.losers, config)
    first, second = batches.epoch(0), batches.epoch(1)
    pairs = np.arange(len(ARRAYS.winners))
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), pairs)
        assert np.ptp([len(step) for step in epoch]) <= 1
    if block < len(pairs):
        assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(batches.epoch(0)))


def test_a_step_of_blocks_has_few_videos_of_several_channels_in_any_order_of_rows() -> None:
    """Count the videos that are used in one training step.

    A block consists of pairs that share videos. A step of blocks uses fewer videos than a step of single pairs. These
    videos are of several channels. The rows of all videos are shuffled, so neighbouring rows are usually of different
    channels.
    """
    big = planted(channels=40, videos=50)
    shuffled = np.random.default_rng(0).permutation(len(big.inputs))
    winners, losers = shuffled[big.winners], shuffled[big.losers]
    channel = np.empty(len(shuffled), int)
    channel[shuffled] = np.arange(len(shuffled)) // 50

    def videos_of_steps(block: int) -> list[np.ndarray]:
        config = dataclasses.replace(CONFIG, pairs_per_step=512, pairs_per_block=block)
        steps = Batches.of(winners, losers, config).epoch(3)
        return [np.unique(np.concatenate([winners[step], losers[step]])) for step in steps]

    blocks, single = videos_of_steps(128), videos_of_steps(1)
    assert np.mean([len(rows) for rows in blocks]) < 0.35 * np.mean([len(rows) for rows in single])
    assert min(len(np.unique(channel[rows])) for rows in blocks) >= 3


def test_an_epoch_can_be_limited_to_a_number_of_pairs_per_video() -> None:
    config = dataclasses.replace(CONFIG, pairs_per_video=2)
    batches = Batches.of(ARRAYS.winners, ARRAYS.losers, config)
    videos = len(np.union1d(ARRAYS.winners, ARRAYS.losers))
    chosen = np.concatenate(batches.epoch(0))
    assert len(chosen) == len(np.unique(chosen)) == 2 * videos
    assert not np.array_equal(np.sort(chosen), np.sort(np.concatenate(batches.epoch(1))))


def reference(outputs: Any, pairs: np.ndarray, config: TrainConfig) -> list[float]:
    """Return the three losses, computed by their definition.

    The first loss is for the order of the two videos of a pair, and is a mean over pairs. The second loss is for the
    predicted engagement, and the third for the predicted sub-scores. The second and third losses are means over videos.
    """
    score, absolute, auxiliary = (value.detach().double().numpy() for value in outputs)
    winners, losers = ARRAYS.winners[pairs], ARRAYS.losers[pairs]
    rows = np.unique(np.concatenate([winners, losers]))
    pair = np.maximum(0, config.margin - (score[winners] - score[losers]))
    smoothed = 0.85 * ARRAYS.engagement[rows] + 0.075
    squares = (auxiliary[rows] - ARRAYS.sub_scores[rows]) ** 2
    return [pair.mean(), np.nanmean((absolute[rows] - smoothed) ** 2), np.nanmean(squares)]


def targets(arrays: TrainingArrays = ARRAYS, smoothing: float = 0.15) -> Targets:
    pairs = arrays.pairs(0.0)
    return Targets.of(arrays.inputs, arrays.engagement, arrays.sub_scores, pairs, smoothing, torch.device("cpu"))


def test_the_losses_are_means_over_known_values() -> None:
    model = fresh(ARRAYS).eval()
    pairs = np.arange(0, 400, 3)
    batch = pair_batch(targets(), pairs, pairs[:0])
    sums, counts = batch_losses(model(batch.inputs), batch, CONFIG)
    expected = reference(model(torch.from_numpy(ARRAYS.inputs)), pairs, CONFIG)
    np.testing.assert_allclose((sums / counts).detach(), expected, rtol=1e-5)
    assert len(batch.inputs) == len(np.unique(np.concatenate([ARRAYS.winners[pairs], ARRAYS.losers[pairs]])))


def test_the_sums_of_two_processes_add_up_to_those_of_one() -> None:
    """Divide the pairs between two processes. A video may be in pairs of both processes, but it must be counted once."""
    model, pairs, nothing = fresh(ARRAYS).eval(), np.arange(300), np.arange(0)

    def sums(own: np.ndarray, elsewhere: np.ndarray) -> torch.Tensor:
        batch = pair_batch(targets(), own, elsewhere)
        return torch.stack(batch_losses(model(batch.inputs), batch, CONFIG)).detach()

    of_two = sums(pairs[:110], nothing) + sums(pairs[110:], pairs[:110])
    torch.testing.assert_close(of_two, sums(pairs, nothing))


def test_pairs_count_by_their_weight_and_weight_zero_not_at_all() -> None:
    pairs = np.arange(200)
    weights = np.zeros(len(ARRAYS.winners), np.float32)
    weights[:150], weights[100:150] = 1, 3
    model = fresh(ARRAYS).eval()
    weighted = dataclasses.replace(ARRAYS, weights=weights)
    assert len(weighted.pairs(0.0)[0]) == 150
    batch = pair_batch(targets(weighted), pairs[:150], pairs[:0])
    sums, counts = batch_losses(model(batch.inputs), batch, CONFIG)
    repeated = np.concatenate([pairs[:150], pairs[100:150], pairs[100:150]])
    expected = reference(model(torch.from_numpy(ARRAYS.inputs)), repeated, CONFIG)[0]
    assert (sums[0] / counts[0]).item() == pytest.approx(expected, rel=1e-5)


def test_the_pair_losses_equal_those_of_pytorch() -> None:
    gap, ones = torch.linspace(-3, 3, 13), torch.ones(13)
    margin = nn.functional.margin_ranking_loss(gap, 0 * gap, ones, margin=0.1, reduction="none")
    torch.testing.assert_close(pair_loss(gap, CONFIG), margin)
    ranknet = dataclasses.replace(CONFIG, pair_loss="ranknet", label_smoothing=0.0)
    entropy = nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(pair_loss(gap, ranknet), entropy(gap, ones, reduction="none"))
    smoothed = dataclasses.replace(ranknet, label_smoothing=0.15)
    torch.testing.assert_close(pair_loss(gap, smoothed), entropy(gap, 0.925 * ones, reduction="none"))
    with pytest.raises(ValueError, match="use 'margin' or 'ranknet'"):
        pair_loss(gap, dataclasses.replace(CONFIG, pair_loss="hinge"))  # type: ignore[arg-type]


def test_mixup_mixes_both_sides_of_a_pair_in_the_same_share() -> None:
    """Check that a mixed pair keeps the distance between its winner and its loser.

    Mixup replaces a pair by a weighted mean of two pairs. The winners and the losers must get the same weights. In this
    test, the input of a video is its row number, and each loser is 150 rows after its winner. The distance in a mixed
    pair must therefore also be 150.
    """
    known = np.arange(ROWS, dtype=np.float32)
    winners, losers = np.arange(150), np.arange(150, 300)
    arrays = TrainingArrays(np.stack([known, known], axis=1), winners, losers, known / ROWS, ARRAYS.sub_scores)
    batch = mixup_batch(targets(arrays, 0.0), np.arange(150), 0.3, np.random.default_rng(0))
    ahead, behind = batch.inputs[batch.ahead, 0], batch.inputs[batch.behind, 0]
    torch.testing.assert_close(behind - ahead, torch.full((150,), 150.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(batch.values[:, 0], batch.inputs[:, 0] / ROWS)
    assert not torch.equal(ahead, ahead.round()), "some pairs must be mixed"


@pytest.mark.parametrize(
    "changes",
    [
        {"pair_loss": "ranknet"},
        {"label_smoothing": 0.0},
        {"mixup_alpha": 0.3},
        {"swa_start": 3},
        {"clip_norm": 0.001},
        {"warm_up": 0.5},
        {"weight_decay": 0.5},
        {"seed": 8},
        {"absolute_weight": 0.0},
        {"auxiliary_weight": 0.0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_setting_changes_the_weights_and_the_loss_still_falls(changes: dict[str, Any]) -> None:
    model, history = trained(**changes)
    assert not equal_weights(model, PLAIN)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())
    if "clip_norm" not in changes:
        assert history[-1].pair_loss < history[0].pair_loss


PLAIN, PLAIN_HISTORY = trained()


def test_the_same_seed_gives_equal_weights_and_keeps_the_callers_random_state() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = fresh(ARRAYS)
    torch.manual_seed(5)
    repeated, history = fit(ARRAYS, CONFIG, model)
    assert torch.equal(torch.get_rng_state(), before)
    assert equal_weights(repeated, PLAIN)
    assert history == PLAIN_HISTORY


def test_the_weights_of_the_last_epoch_are_kept() -> None:
    model, history = trained(epochs=12, learning_rate=5e-2)
    aucs = [epoch.validation_auc or 0.0 for epoch in history]
    assert aucs[-1] < max(aucs)
    assert auc_of(model) == pytest.approx(aucs[-1])
    assert not model.training


def test_training_stops_early_after_patience_epochs_without_a_higher_validation_auc() -> None:
    _, history = trained(epochs=60, patience=3, learning_rate=5e-2)
    aucs = [epoch.validation_auc or 0.0 for epoch in history]
    assert len(aucs) < 60
    assert len(aucs) - 1 - int(np.argmax(aucs)) == 3


def test_without_validation_pairs_the_last_epoch_is_kept() -> None:
    none = np.empty(0, np.intp)
    model, history = fit(
        dataclasses.replace(ARRAYS, held_winners=none, held_losers=none),
        dataclasses.replace(CONFIG, patience=2),
        fresh(ARRAYS),
    )
    assert [epoch.validation_auc for epoch in history] == [None] * CONFIG.epochs
    assert not equal_weights(model, fresh(ARRAYS))


# The AUC rises for six epochs and then falls. In a training of 4 epochs, the last epoch is better than the average of
# all epochs. In a training of 10 epochs, the average without the first epoch is better than the last epoch.
@pytest.mark.parametrize(("epochs", "start", "averaged"), [(10, 1, True), (4, 0, False)])
def test_averaged_weights_are_kept_if_their_validation_auc_is_not_lower(
    epochs: int, start: int, averaged: bool
) -> None:
    config = dataclasses.replace(CONFIG, epochs=epochs, swa_start=start)
    model, weights = fresh(ARRAYS), list[torch.Tensor]()
    model, history = fit(
        ARRAYS, config, model, on_epoch=lambda e: weights.append(model.trunk[1].weight.detach().clone())
    )
    last = history[-1].validation_auc or 0.0
    assert (auc_of(model) > last) == averaged
    expected = torch.stack(weights[start:]).mean(dim=0) if averaged else weights[-1]
    torch.testing.assert_close(model.trunk[1].weight, expected)


def test_averaging_starts_at_swa_start_and_has_its_own_batch_statistics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = np.empty(0, np.intp)
    without_validation = dataclasses.replace(ARRAYS, held_winners=none, held_losers=none)
    config = dataclasses.replace(CONFIG, epochs=5, swa_start=3)
    model, weights = fresh(ARRAYS), list[torch.Tensor]()
    averaged, _ = fit(
        without_validation, config, model, on_epoch=lambda e: weights.append(model.trunk[1].weight.detach().clone())
    )
    torch.testing.assert_close(averaged.trunk[1].weight, (weights[3] + weights[4]) / 2)
    norm = averaged.absolute[2]
    assert int(norm.num_batches_tracked) == 1, "the statistics must be those of one pass over the training rows"


def test_the_learning_rate_warms_up_decays_along_a_cosine_and_is_constant_while_averaging() -> None:
    config = TrainConfig(epochs=100, learning_rate=1.0, warm_up=0.1)
    rates = [learning_rate(config, epoch, 10) for epoch in np.arange(0, 100, 0.1)]
    assert int(np.argmax(rates)) in (99, 100)
    assert rates[0] == pytest.approx(0.01)
    assert rates[550] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 1e-3
    assert learning_rate(dataclasses.replace(config, warm_up=0.0), 0.0, 10) == 1
    averaging = dataclasses.replace(config, swa_start=60)
    assert learning_rate(averaging, 90.0, 10) == learning_rate(averaging, 60.0, 10) == learning_rate(config, 60.0, 10)


def test_pairs_below_the_least_margin_are_left_out_and_no_pairs_left_is_an_error() -> None:
    margins = np.linspace(0, 1, len(ARRAYS.winners), dtype=np.float32)
    some = dataclasses.replace(ARRAYS, margins=margins)
    assert len(some.pairs(0.5)[0]) == len(margins) // 2
    with pytest.raises(LabError, match="no training pair is clear enough"):
        fit(some, dataclasses.replace(CONFIG, least_margin=2.0), fresh(ARRAYS))


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    broken = dataclasses.replace(ARRAYS, inputs=ARRAYS.inputs * np.float32(np.inf))
    with pytest.raises(LabError, match="not finite"):
        fit(broken, CONFIG, fresh(ARRAYS))


def test_threads_and_signal_handlers_are_restored(tmp_path: Path) -> None:
    def handler(number: int, frame: object) -> None: ...

    threads, before = torch.get_num_threads(), signal.signal(signal.SIGTERM, handler)
    handlers: list[Callable[..., Any] | int | None] = []
    try:
        config = dataclasses.replace(CONFIG, epochs=1)
        fit(ARRAYS, config, fresh(ARRAYS), on_epoch=lambda _: handlers.append(signal.getsignal(signal.SIGTERM)))
        fit(
            ARRAYS, config, fresh(ARRAYS), folders=TrainingFolders(tmp_path / "c"),
            on_epoch=lambda _: handlers.append(signal.getsignal(signal.SIGTERM)),
        )  # fmt: skip
        assert handlers[0] is handler, "without a folder for the state, SIGTERM must not be handled"
        assert handlers[1] is not handler
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert torch.get_num_threads() == threads

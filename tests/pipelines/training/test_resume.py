"""Tests of checkpoints.

A training may be killed at any moment and started again. The restarted training ends with the same weights as a
training that was not stopped.
"""

import dataclasses
import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fit_child
import numpy as np
import pytest
import torch
from fit_child import QUICK, Tiny, fresh, planted
from safetensors import safe_open

from thumblab_pipelines.training import checkpoints
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.checkpoints import Checkpoint, State
from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders, TrainingStoppedError
from thumblab_pipelines.training.fitting import fit

ARRAYS = planted()
CHANGES = {"epochs": 12, "swa_start": 8, "mixup_alpha": 0.3, "pair_loss": "ranknet"}
CONFIG = TrainConfig(**QUICK | CHANGES)  # type: ignore[arg-type]

Trained = tuple[Tiny, list[Epoch]]


def run(
    folder: Path | None = None,
    config: TrainConfig = CONFIG,
    every: int = 2,
    arrays: TrainingArrays = ARRAYS,
    logs: Path | None = None,
    **options: Any,
) -> Trained:
    folders = TrainingFolders(folder, logs)
    return fit(arrays, config, fresh(arrays), folders=folders, checkpoint_every=every, **options)


@pytest.fixture(scope="module")
def whole() -> Trained:
    """A complete training that was not stopped."""
    return run()


def assert_same(resumed: Trained, whole: Trained) -> None:
    weights, expected = resumed[0].state_dict(), whole[0].state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert resumed[1] == whole[1]


def child(folder: Path, changes: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, fit_child.__file__, str(folder), json.dumps(changes), str(folder / "state")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epoch(process: subprocess.Popen[str], epoch: int) -> None:
    assert process.stdout is not None
    lines: Iterator[str] = iter(process.stdout)
    for line in lines:
        if line.strip() == f"epoch {epoch}":
            return
    raise AssertionError(f"the training process ended before epoch {epoch}: {process.communicate()[1]}")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.heavy)])
def test_a_training_killed_at_a_random_epoch_resumes_to_equal_weights(how: signal.Signals, tmp_path: Path) -> None:
    changes = CHANGES | {"epochs": 60, "swa_start": 50}
    at = random.SystemRandom().randrange(3, 40)
    with child(tmp_path, changes) as process:
        wait_for_epoch(process, at)
        process.send_signal(how)
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 1), stderr
    assert (how == signal.SIGKILL) != ("start it again to resume from" in stderr)
    config = dataclasses.replace(CONFIG, epochs=60, swa_start=50)
    epochs: list[int] = []
    resumed = run(tmp_path / "state", config, on_epoch=lambda epoch: epochs.append(epoch.epoch))
    assert at - 2 <= epochs[0] <= 59, f"killed after epoch {at}, it resumed with epoch {epochs[0]}"
    assert epochs[0] > 0
    assert_same(resumed, run(config=config))
    left = [path.suffix for path in (tmp_path / "state").glob("*")]
    assert set(left) <= ({".aside"} if how == signal.SIGKILL else set()), (
        "only the file that was being written at the kill may be left"
    )


def stopped_at(epoch: int, folder: Path, **options: Any) -> None:
    """Train until the end of `epoch`, and then send SIGTERM to this process.

    The training then finishes the first step of the next epoch, writes its state and stops.
    """

    def stop(finished: Epoch) -> None:
        if finished.epoch == epoch:
            # The signal goes to this thread. If the signal went to the whole process, a thread of a library could get
            # the signal.
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(
        TrainingStoppedError, match=r"stopped in epoch \d+ of \d+; start it again to resume from .*training\.safe"
    ):
        run(folder, on_epoch=stop, **options)


@pytest.mark.parametrize("epoch", [0, 7, 10, *(pytest.param(epoch, marks=pytest.mark.heavy) for epoch in (1, 6, 8))])
def test_a_sigterm_within_an_epoch_loses_no_step(epoch: int, tmp_path: Path, whole: Trained) -> None:
    stopped_at(epoch, tmp_path / "state")
    with safe_open(tmp_path / "state" / "training.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    assert (facts["epoch"], facts["step"]) == (epoch + 1, 1)
    epochs: list[int] = []
    assert_same(run(tmp_path / "state", on_epoch=lambda epoch: epochs.append(epoch.epoch)), whole)
    assert epochs == list(range(epoch + 1, 12))


def test_the_averaged_weights_are_resumed(tmp_path: Path) -> None:
    """Train without validation pairs. A training without validation pairs always keeps the averaged weights."""
    none = np.empty(0, np.intp)
    without_validation = dataclasses.replace(ARRAYS, held_winners=none, held_losers=none)
    stopped_at(9, tmp_path / "state", arrays=without_validation)
    assert_same(run(tmp_path / "state", arrays=without_validation), run(arrays=without_validation))


def test_a_training_can_be_stopped_many_times(tmp_path: Path, whole: Trained) -> None:
    for epoch in (1, 2, 5, 9):
        stopped_at(epoch, tmp_path / "state")
    assert_same(run(tmp_path / "state"), whole)


@pytest.mark.slow
def test_early_stopping_is_resumed(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=80, swa_start=0, patience=4, learning_rate=3e-2)
    whole = run(config=config)
    assert 6 < len(whole[1]) < 80
    stopped_at(len(whole[1]) - 3, tmp_path / "state", config=config)
    assert_same(run(tmp_path / "state", config), whole)


def test_a_kill_while_the_state_is_written_leaves_the_previous_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Trained
) -> None:
    class KilledError(BaseException):
        pass

    written = 0

    def sync(path: Path) -> None:
        nonlocal written
        written += path.suffix == ".aside"
        if written == 3:  # The third state is only half written, and its file does not have its final name yet.
            path.write_bytes(path.read_bytes()[:1_000])
            raise KilledError

    monkeypatch.setattr(checkpoints, "sync", sync)
    with pytest.raises(KilledError):
        run(tmp_path / "state")
    monkeypatch.undo()
    epochs: list[int] = []
    assert_same(run(tmp_path / "state", on_epoch=lambda epoch: epochs.append(epoch.epoch)), whole)
    assert epochs[0] == 4


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["pairs", "inputs", "config", "model"])
def test_the_state_of_another_training_is_ignored(
    changed: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped_at(3, tmp_path / "state")
    arrays, config = ARRAYS, CONFIG
    if changed == "pairs":
        arrays = dataclasses.replace(ARRAYS, winners=ARRAYS.losers, losers=ARRAYS.winners)
    if changed == "inputs":
        arrays = dataclasses.replace(ARRAYS, inputs=-ARRAYS.inputs)
    if changed == "config":
        config = dataclasses.replace(CONFIG, seed=9)

    def model() -> Tiny:
        new = fresh(arrays)
        if changed == "model":
            new.pairwise = torch.nn.Sequential(torch.nn.Linear(24, 1))  # type: ignore[assignment]
        return new

    with caplog.at_level(logging.WARNING):
        trained = fit(arrays, config, model(), folders=TrainingFolders(tmp_path / "state"))
    assert (
        "belongs to a training with other pairs, settings or processes; this training starts from the beginning"
        in caplog.text
    )
    assert_same(trained, fit(arrays, config, model()))


def test_a_damaged_state_is_logged_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, whole: Trained
) -> None:
    stopped_at(3, tmp_path / "state")
    path = tmp_path / "state" / "training.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        assert_same(run(tmp_path / "state"), whole)
    assert "cannot be read" in caplog.text


def test_a_state_is_one_file_and_other_files_in_its_folder_are_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state", "abc")
    assert checkpoint.load() is None
    checkpoint.save(State({"a/b": torch.arange(3)}, {"epoch": 4, "loss": 0.1 + 0.2}))
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["training.safetensors"]
    loaded = checkpoint.load()
    assert loaded is not None
    assert torch.equal(loaded.part("a")["b"], torch.arange(3))
    assert loaded.facts == {"epoch": 4, "loss": 0.1 + 0.2}
    (tmp_path / "state" / "other.txt").write_text("keep")
    checkpoint.remove()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["other.txt"]


def test_two_trainings_in_one_folder_do_not_touch_each_others_unfinished_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Checkpoint(tmp_path, "first"), Checkpoint(tmp_path, "second")
    inside = False

    def sync(path: Path) -> None:
        nonlocal inside
        # The first training is still writing its state. At the same time, the second training saves a state, loads it
        # and ends.
        if not inside and path.suffix == ".aside":
            inside = True
            second.save(State({"a": torch.zeros(2)}, {}))
            assert second.load() is not None
            second.remove()

    monkeypatch.setattr(checkpoints, "sync", sync)
    first.save(State({"a": torch.ones(2)}, {}))
    loaded = first.load()
    assert loaded is not None
    assert loaded.tensors["a"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints, "sync", full)
    with pytest.raises(OSError, match="no space left"):
        Checkpoint(tmp_path, "first").save(State({"a": torch.ones(2)}, {}))
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_a_training_deletes_old_temporary_files(tmp_path: Path) -> None:
    left = tmp_path / "state" / "training.0123456789ab.aside"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    Checkpoint(left.parent, "first").remove()
    assert not left.parent.exists()


@pytest.mark.slow
def test_tensorboard_shows_each_epoch_once_after_a_kill(tmp_path: Path) -> None:
    """Kill a training after epoch 7, and resume it. The last saved state is from epoch 5.

    The resumed training therefore logs epochs 6 and 7 again.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class KilledError(BaseException):
        pass

    def kill(epoch: Epoch) -> None:
        if epoch.epoch == 7:
            raise KilledError

    with pytest.raises(KilledError):
        run(tmp_path / "state", every=3, logs=tmp_path / "logs", on_epoch=kill)
    _, history = run(tmp_path / "state", every=3, logs=tmp_path / "logs")
    shown = EventAccumulator(str(tmp_path / "logs"))
    shown.Reload()
    names = ["learning_rate", "loss/absolute", "loss/auxiliary", "loss/pair", "validation/auc"]
    assert sorted(shown.Tags()["scalars"]) == names
    for name in names:
        assert [event.step for event in shown.Scalars(name)] == list(range(12))
    assert [event.value for event in shown.Scalars("loss/pair")] == pytest.approx(
        [epoch.pair_loss for epoch in history]
    )

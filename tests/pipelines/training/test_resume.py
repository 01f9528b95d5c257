"""Promises of a training that is stopped: killed anywhere, it goes on to the weights it would have had. No pickles."""

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
from thumblab_pipelines.training.checkpoints import Checkpoint, State, TrainingStoppedError
from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.fitting import fit

PROBLEM = planted()
CHANGES = {"epochs": 12, "swa_start": 8, "mixup_alpha": 0.3, "pair_loss": "ranknet"}
CONFIG = TrainConfig(**QUICK | CHANGES)  # type: ignore[arg-type]

Trained = tuple[Tiny, list[Epoch]]


def run(
    folder: Path | None = None,
    config: TrainConfig = CONFIG,
    every: int = 2,
    problem: TrainingArrays = PROBLEM,
    logs: Path | None = None,
    **options: Any,
) -> Trained:
    folders = TrainingFolders(folder, logs)
    return fit(problem, config, fresh(problem), folders=folders, checkpoint_every=every, **options)


@pytest.fixture(scope="module")
def whole() -> Trained:
    """The training that nobody stopped."""
    return run()


def assert_same(found: Trained, whole: Trained) -> None:
    mine, theirs = found[0].state_dict(), whole[0].state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert found[1] == whole[1]


def child(folder: Path, changes: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, fit_child.__file__, str(folder), json.dumps(changes), str(folder / "state")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(process: subprocess.Popen[str], epoch: int) -> None:
    assert process.stdout is not None
    lines: Iterator[str] = iter(process.stdout)
    for line in lines:
        if line.strip() == f"epoch {epoch}":
            return
    raise AssertionError(f"the child ended before epoch {epoch}: {process.communicate()[1]}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_killed_at_a_random_epoch_resumes_to_equal_weights(how: signal.Signals, tmp_path: Path) -> None:
    changes = CHANGES | {"epochs": 60, "swa_start": 50}
    at = random.SystemRandom().randrange(3, 40)
    with child(tmp_path, changes) as process:
        until(process, at)
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 1), said
    assert (how == signal.SIGKILL) != ("start it again to resume from" in said)
    config = dataclasses.replace(CONFIG, epochs=60, swa_start=50)
    heard: list[int] = []
    found = run(tmp_path / "state", config, on_epoch=lambda epoch: heard.append(epoch.epoch))
    assert at - 2 <= heard[0] <= 59, f"killed after epoch {at}, it went on with {heard[0]}"
    assert heard[0] > 0
    assert_same(found, run(config=config))
    left = [path.suffix for path in (tmp_path / "state").glob("*")]
    assert set(left) <= ({".aside"} if how == signal.SIGKILL else set()), "only what it was writing when it was killed"


def stopped_at(epoch: int, folder: Path, **options: Any) -> None:
    """SIGTERM after an epoch: the first step of the next one is finished, then the state is written."""

    def stop(heard: Epoch) -> None:
        if heard.epoch == epoch:
            signal.raise_signal(signal.SIGTERM)  # to this thread, and not to one of a library's

    with pytest.raises(
        TrainingStoppedError, match=r"stopped in epoch \d+ of \d+; start it again to resume from .*training\.safe"
    ):
        run(folder, on_epoch=stop, **options)


@pytest.mark.parametrize("epoch", [0, 1, 6, 7, 8, 10])
def test_a_sigterm_within_an_epoch_loses_no_step(epoch: int, tmp_path: Path, whole: Trained) -> None:
    stopped_at(epoch, tmp_path / "state")
    with safe_open(tmp_path / "state" / "training.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    assert (facts["epoch"], facts["step"]) == (epoch + 1, 1)
    heard: list[int] = []
    assert_same(run(tmp_path / "state", on_epoch=lambda e: heard.append(e.epoch)), whole)
    assert heard == list(range(epoch + 1, 12))


def test_the_averaged_weights_are_resumed(tmp_path: Path) -> None:
    """Without validation pairs the average is what is kept."""
    none = np.empty(0, np.intp)
    blind = dataclasses.replace(PROBLEM, held_winners=none, held_losers=none)
    stopped_at(9, tmp_path / "state", problem=blind)
    assert_same(run(tmp_path / "state", problem=blind), run(problem=blind))


def test_a_training_can_be_stopped_many_times(tmp_path: Path, whole: Trained) -> None:
    for epoch in (1, 2, 5, 9):
        stopped_at(epoch, tmp_path / "state")
    assert_same(run(tmp_path / "state"), whole)


def test_early_stopping_is_resumed(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=80, swa_start=0, patience=4, learning_rate=3e-2)
    beside = run(config=config)
    assert 6 < len(beside[1]) < 80
    stopped_at(len(beside[1]) - 3, tmp_path / "state", config=config)
    assert_same(run(tmp_path / "state", config), beside)


def test_a_kill_while_the_state_is_written_leaves_the_previous_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Trained
) -> None:
    class KilledError(BaseException):
        pass

    written = 0

    def sync(path: Path) -> None:
        nonlocal written
        written += path.suffix == ".aside"
        if written == 3:  # the third state is aside, half of it lost, and not yet renamed
            path.write_bytes(path.read_bytes()[:1_000])
            raise KilledError

    monkeypatch.setattr(checkpoints, "sync", sync)
    with pytest.raises(KilledError):
        run(tmp_path / "state")
    monkeypatch.undo()
    heard: list[int] = []
    assert_same(run(tmp_path / "state", on_epoch=lambda e: heard.append(e.epoch)), whole)
    assert heard[0] == 4


@pytest.mark.parametrize("other", ["pairs", "inputs", "config", "model"])
def test_the_state_of_another_training_is_ignored(other: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped_at(3, tmp_path / "state")
    problem, config = PROBLEM, CONFIG
    if other == "pairs":
        problem = dataclasses.replace(PROBLEM, winners=PROBLEM.losers, losers=PROBLEM.winners)
    if other == "inputs":
        problem = dataclasses.replace(PROBLEM, inputs=-PROBLEM.inputs)
    if other == "config":
        config = dataclasses.replace(CONFIG, seed=9)

    def model() -> Tiny:
        built = fresh(problem)
        if other == "model":
            built.pairwise = torch.nn.Sequential(torch.nn.Linear(24, 1))  # type: ignore[assignment]
        return built

    with caplog.at_level(logging.WARNING):
        found = fit(problem, config, model(), folders=TrainingFolders(tmp_path / "state"))
    assert "belongs to another training (other pairs, settings or number of processes): starting anew" in caplog.text
    assert_same(found, fit(problem, config, model()))


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
    (tmp_path / "state" / "mine.txt").write_text("keep")
    checkpoint.remove()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["mine.txt"]


def test_two_trainings_in_one_folder_do_not_touch_each_others_unfinished_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = Checkpoint(tmp_path, "mine"), Checkpoint(tmp_path, "other")
    inside = False

    def sync(path: Path) -> None:
        nonlocal inside
        if not inside and path.suffix == ".aside":  # mine is written aside: the other saves, loads and ends meanwhile
            inside = True
            other.save(State({"a": torch.zeros(2)}, {}))
            assert other.load() is not None
            other.remove()

    monkeypatch.setattr(checkpoints, "sync", sync)
    mine.save(State({"a": torch.ones(2)}, {}))
    loaded = mine.load()
    assert loaded is not None
    assert loaded.tensors["a"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints, "sync", full)
    with pytest.raises(OSError, match="no space left"):
        Checkpoint(tmp_path, "mine").save(State({"a": torch.ones(2)}, {}))
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_a_training_deletes_old_temporary_files(tmp_path: Path) -> None:
    left = tmp_path / "state" / "training.0123456789ab.aside"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    Checkpoint(left.parent, "mine").remove()
    assert not left.parent.exists()


def test_tensorboard_shows_each_epoch_once_after_a_kill(tmp_path: Path) -> None:
    """Killed after epoch 7 with the state of epoch 5: what was logged of 6 and 7 is logged again, and shown once."""
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

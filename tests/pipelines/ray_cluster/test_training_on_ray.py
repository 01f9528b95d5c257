"""Tests of training and evaluation on a cluster of two nodes, compared with the same work in one process."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from fit_child import QUICK, fresh, planted

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.evaluation.evaluate import evaluate
from thumblab_pipelines.people.matching.verification import JudgedPairs, verify
from thumblab_pipelines.ray_cluster.cluster import Cluster, cluster_of
from thumblab_pipelines.training.config import Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.fitting import fit
from thumblab_pipelines.training.processes.on_cluster import fit_on_cluster
from thumblab_pipelines.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG = TrainConfig(**QUICK)


@pytest.fixture
def cluster(address: str, tmp_path: Path) -> Cluster:
    found = cluster_of(Settings(data_dir=tmp_path, ray_address=address))
    assert found is not None
    return found


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    weights, others = first.state_dict(), second.state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def curve(history: list[Epoch]) -> list[list[float | None]]:
    return [[e.pair_loss, e.absolute_loss, e.auxiliary_loss, e.validation_auc] for e in history]


def test_one_worker_trains_the_weights_of_this_process_bit_for_bit_and_tells_its_epochs(cluster: Cluster) -> None:
    arrays, heard = planted(), list[Epoch]()
    model, history = fit_on_cluster(cluster, arrays, CONFIG, fresh(arrays), on_epoch=heard.append)
    expected, expected_history = fit(arrays, CONFIG, fresh(arrays))
    assert same(model, expected)
    assert not model.training
    assert history == expected_history == heard
    assert list((cluster.shared / "ray-train").iterdir()) == []


def test_two_workers_have_the_losses_of_one_process(cluster: Cluster) -> None:
    """Compare the losses of a training by two workers with the losses of a training by one process.

    Dropout is off, because it would drop features at random, and differently in each process.
    """
    arrays, config = planted(), replace(CONFIG, epochs=8, swa_start=6)
    two = replace(cluster, training_workers=2)
    model, history = fit_on_cluster(two, arrays, config, fresh(arrays, 0.0))
    expected, expected_history = fit(arrays, config, fresh(arrays, 0.0))
    assert len(history) == 8
    for losses, expected_losses in zip(curve(history), curve(expected_history), strict=True):
        assert losses == pytest.approx(expected_losses, rel=1e-3, abs=2e-4)
    differences = [
        float((value - expected.state_dict()[name]).abs().max())
        for name, value in model.state_dict().items()
        # No loss depends on this bias, because the pair loss uses only differences of scores.
        if name != "pairwise.bias"
    ]
    print(f"largest difference of a weight: {max(differences):.1e}")
    assert max(differences) < 0.01


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_training_worker_costs_the_epochs_since_the_checkpoint_and_the_weights_are_the_same(
    cluster: Cluster, tmp_path: Path, workers: int
) -> None:
    arrays, config, heard = planted(), replace(CONFIG, epochs=30), list[int]()
    trainers = replace(cluster, training_workers=workers)
    whole, whole_history = fit_on_cluster(trainers, arrays, config, fresh(arrays))

    def kill_once(epoch: Epoch) -> None:
        if epoch.epoch == 12 and 12 not in heard:
            os.kill(training_process(), signal.SIGKILL)
        heard.append(epoch.epoch)

    model, history = fit_on_cluster(
        trainers, arrays, config, fresh(arrays), on_epoch=kill_once, folders=TrainingFolders(tmp_path / "state")
    )
    print(f"epochs: {heard}")
    assert same(model, whole)
    assert history == whole_history
    again = len(heard) - 30
    assert 0 < again <= 20, "the training must resume from epoch 10, or from a later checkpoint"
    assert min(heard[13:]) >= 10
    assert not (tmp_path / "state").exists()


def training_process() -> int:
    """Return the process id of a worker of Ray Train on this machine."""
    for process in psutil.process_iter(["name", "cmdline"]):
        if any("RayTrainWorker" in part for part in process.info["cmdline"] or []):
            return int(process.pid)
    raise LookupError("no worker of Ray Train runs")


def test_an_error_of_the_lab_ends_the_training_at_once(cluster: Cluster) -> None:
    arrays = planted()
    impossible = replace(arrays, margins=np.zeros(len(arrays.winners), np.float32))
    with pytest.raises(LabError, match=r"^no training pair is clear enough to learn from"):
        fit_on_cluster(cluster, impossible, CONFIG, fresh(arrays))
    with pytest.raises(LabError, match="has room for 2 workers, but THUMBLAB_RAY_TRAINING_WORKERS is 3"):
        fit_on_cluster(replace(cluster, training_workers=3), arrays, CONFIG, fresh(arrays))


def test_a_ranking_model_and_its_figures_are_the_same_bit_for_bit(
    cluster: Cluster, plant: Callable[..., Any], tmp_path: Path
) -> None:
    data, config = plant(), TrainConfig(epochs=2)
    told: list[tuple[str, int]] = []
    alone = train(data, config)
    on_ray = train(data, config, lambda what, epoch: told.append((what, epoch.epoch)), cluster=cluster)
    assert on_ray.history == alone.history
    for name, trained in (("alone", alone), ("on-ray", on_ray)):
        (tmp_path / name).mkdir()
        trained.ranker.save(tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "on-ray").iterdir()}
    assert files
    for name in ("future", "new", "adapted"):
        assert getattr(on_ray.held, name).tobytes() == getattr(alone.held, name).tobytes(), name
    assert len({what for what, _ in told}) == 4, "the model and three folds must tell their epochs"
    assert evaluate(data, on_ray.held, cluster) == evaluate(data, alone.held)


def test_the_bootstrap_of_verification_is_the_same_bit_for_bit(cluster: Cluster) -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 12, (2, 400))
    same_person = first == second
    before, after = (random.normal(same_person * shift, 1.0) for shift in (1.0, 1.5))
    pairs = JudgedPairs(first, second, same_person, before, after, np.ones(400))
    assert verify(pairs, 3, cluster) == verify(pairs, 3)

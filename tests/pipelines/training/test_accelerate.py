"""Tests of training in several processes. The processes must train the same model as one process, and must stop
together.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fit_child
import pytest
import torch
from fit_child import fresh, planted
from safetensors.torch import load_file

from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.processes import distributed
from thumblab_pipelines.training.processes.distributed import ProcessGroup

LAUNCH = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


def command(folder: Path, changes: dict[str, Any], *processes: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    return [sys.executable, *processes, fit_child.__file__, str(folder), json.dumps(changes), str(folder / "state")]


def start(folder: Path, changes: dict[str, Any], *processes: str) -> None:
    subprocess.run(command(folder, changes, *processes), check=True, capture_output=True, timeout=200)


def curve(folder: Path, rank: int = 0) -> list[list[float]]:
    history = json.loads((folder / f"history-{rank}.json").read_text())
    return [[e["pair_loss"], e["absolute_loss"], e["auxiliary_loss"], e["validation_auc"]] for e in history]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    """Compare the losses of a training in two processes with the losses of a training in one process.

    Dropout is off, because it would drop features at random, and differently in each process. The trainings use
    averaged weights, batch norms and a checkpoint.
    """
    changes = {"dropout": 0.0, "epochs": 8, "swa_start": 6}
    (tmp_path / "one").mkdir()
    fit_child.main(str(tmp_path / "one"), json.dumps(changes), str(tmp_path / "one" / "state"))
    start(tmp_path / "two", changes, *LAUNCH)
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert len(one) == len(two) == 8
    for losses_of_one, losses_of_two in zip(one, two, strict=True):
        assert losses_of_two == pytest.approx(losses_of_one, rel=1e-3, abs=2e-4)
    assert two == curve(tmp_path / "two", rank=1)
    single, first, second = (
        load_file(tmp_path / f"{name}.safetensors") for name in ("one/weights-0", "two/weights-0", "two/weights-1")
    )
    assert all(torch.equal(first[name], second[name]) for name in first), (
        "both processes must end with the same weights"
    )
    for name, value in single.items():
        # The bias is added to every score. The pair loss uses only differences of scores, so no loss depends on the
        # bias. Only rounding errors change the bias.
        if name != "pairwise.bias":
            torch.testing.assert_close(first[name], value, rtol=0.01, atol=0.01)
    assert not (tmp_path / "two" / "state").exists()


@pytest.mark.heavy
def test_two_processes_stop_together_on_sigterm_and_resume_to_the_same_weights(tmp_path: Path) -> None:
    changes = {"epochs": 150}
    start(tmp_path / "whole", changes, *LAUNCH)
    with subprocess.Popen(
        command(tmp_path / "stopped", changes, *LAUNCH), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as launcher:
        assert launcher.stdout is not None
        for line in launcher.stdout:
            if line.startswith("epoch 10"):
                launcher.send_signal(signal.SIGTERM)
                break
        output = launcher.communicate(timeout=60)[0]
    assert "start it again to resume from" in output, output
    assert (tmp_path / "stopped" / "state").exists()
    start(tmp_path / "stopped", changes, *LAUNCH)
    assert curve(tmp_path / "stopped") == curve(tmp_path / "whole")
    resumed, whole = (load_file(tmp_path / name / "weights-0.safetensors") for name in ("stopped", "whole"))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_single_process_does_not_import_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, "accelerate", None)  # From this line on, importing accelerate raises an error.
    runpy.run_path(distributed.__file__)
    fit_child.fit(planted(), TrainConfig(epochs=1), fresh(planted()))
    with monkeypatch.context() as launched, pytest.raises(ImportError, match="accelerate"):
        launched.setenv("ACCELERATE_MIXED_PRECISION", "no")
        ProcessGroup()
    group = ProcessGroup()
    model = fresh(planted())
    optimiser = torch.optim.AdamW(model.parameters())
    assert (group.size, group.main) == (1, True)
    assert group.prepare(model, optimiser) == (model, optimiser)

"""Promises of `thumblab train`, on a small planted lab: it trains once, tells what came of it, and serves nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from thumblab_cli.main import cli
from thumblab_cli.printing import tables
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings

Shell = Callable[..., Result]
LAUNCH = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(lab_with_pairs: Callable[..., tuple[Any, dict[str, str]]]) -> dict[str, str]:
    """The environment of a lab that has pairs and no model."""
    _, environment = lab_with_pairs(channels=4, videos=40)
    return environment | {
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }


@pytest.fixture
def shell(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    def run(*arguments: str, **other: str) -> Result:
        for name, value in (place | other).items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        return CliRunner().invoke(cli, ["train", *arguments])

    return run


@pytest.fixture
def store(place: dict[str, str]) -> ReleaseStore:
    return ReleaseStore(Path(place["THUMBLAB_DATA_DIR"]) / "releases")


def test_a_training_is_published_told_and_serves_nothing(shell: Shell, store: ReleaseStore, tmp_path: Path) -> None:
    done = shell("--epochs", "2", "--seed", "3", "--pair-loss", "ranknet", "--logs", str(tmp_path / "logs"), "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    release = store.get(MODEL, ALL, said["release"])
    training = json.loads((release.path / "config.json").read_text())["training"]
    chosen = {name: training["config"][name] for name in ("epochs", "seed", "pair_loss")}
    assert chosen == {"epochs": 2, "seed": 3, "pair_loss": "ranknet"}
    assert (said["reused"], said["epochs"], said["mlflow"]) == (False, 2, None)
    assert said["checks"]["alive"]["passed"]
    assert {e["split"] for e in said["evaluations"]} == {"future", "new_channels", "adapted"}
    assert store.serving.current(MODEL, ALL) is None
    assert "Not logged: MLflow does not answer at http://127.0.0.1:9" in done.stderr
    assert "without training again" in done.stderr
    assert list((tmp_path / "logs").rglob("events.*"))

    again = shell("--epochs", "2", "--seed", "3", "--pair-loss", "ranknet", "--no-mlflow")
    assert (again.exit_code, again.stderr) == (0, "")
    assert f"Nothing has changed since {release.release_id} was trained; nothing was trained." in again.stdout
    assert "nothing serves it yet: materialize served_model" in again.stdout
    assert "Held-out AUC" in again.stdout
    assert len(store.all(MODEL, ALL)) == 1
    store.serving.promote(release)
    assert (
        "it is what is served" in shell("--epochs", "2", "--seed", "3", "--pair-loss", "ranknet", "--no-mlflow").stdout
    )


def test_what_goes_wrong_in_mlflow_after_the_training_is_one_sentence_and_no_failure(
    shell: Shell, store: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    from thumblab_pipelines.models.tracking import Tracker

    class Broken:
        def log(self, *of: object) -> None:
            raise MlflowException("the disk\nis full")

    monkeypatch.setattr(Tracker, "connect", lambda uri: Broken())
    done = shell("--epochs", "1", "--seed", "5", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["mlflow"] is None
    assert store.get(MODEL, ALL, said["release"])
    assert done.stderr.splitlines()[-1] == (
        f"{said['release']} is published and not logged (MlflowException: the disk is full); mend MLflow. "
        "The same command then logs what is there, without training again."
    )


def test_told_to_stop_it_says_so_in_one_sentence_and_goes_on_from_there(
    shell: Shell, store: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    stop_at = 2

    @contextmanager
    def bars(console: Any) -> Iterator[Any]:
        def listen(what: str, done: int, total: int) -> None:
            if what == "training":
                heard.append(done)
                if done == stop_at:
                    signal.raise_signal(signal.SIGTERM)

        yield listen

    monkeypatch.setattr(tables, "progress_bars", bars)
    before = len(store.all(MODEL, ALL))
    stopped = shell("--epochs", "4", "--patience", "0", "--no-mlflow")
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert stopped.stderr.startswith("thumblab: training was told to stop in epoch 3 of 4; start it again")
    assert stopped.stderr.count("\n") == 1
    assert len(store.all(MODEL, ALL)) == before
    stop_at = 0
    assert shell("--epochs", "4", "--patience", "0", "--no-mlflow").exit_code == 0
    assert heard == [1, 2, 3, 4]
    assert len(store.all(MODEL, ALL)) == before + 1


def test_without_pairs_it_says_what_makes_them(shell: Shell, migrated_database: Any, tmp_path: Path) -> None:
    done = shell(THUMBLAB_DATA_DIR=str(tmp_path), THUMBLAB_DATABASE_URL=migrated_database())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "thumblab: there are no training pairs; materialize training_pairs first\n"
    tuned = CliRunner().invoke(cli, ["fine-tune", "--blocks", "all"])
    assert (tuned.exit_code, tuned.stderr) == (1, done.stderr)


@pytest.mark.parametrize("arguments", [("--epochs", "0"), ("--pair-loss", "hinge"), ("--learning-rate", "-1")])
def test_what_makes_no_sense_is_refused_before_anything_starts(shell: Shell, arguments: tuple[str, str]) -> None:
    assert shell(*arguments).exit_code == 2


def test_only_open_clip_is_fine_tuned_and_how_many_blocks_is_a_number_or_all(shell: Shell) -> None:
    assert shell("--help").exit_code == 0  # which puts this lab into the environment
    done = CliRunner().invoke(cli, ["fine-tune"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "only an open_clip encoder can be fine-tuned, not builtin" in done.stderr
    assert CliRunner().invoke(cli, ["fine-tune", "--blocks", "some"]).exit_code == 2


@pytest.mark.heavy
def test_two_processes_publish_one_model_and_one_of_them_speaks(place: dict[str, str], store: ReleaseStore) -> None:
    before = {release.release_id for release in store.all(MODEL, ALL)}
    arguments = ("-m", "thumblab_cli.main", "train", "--epochs", "3", "--seed", "11", "--no-mlflow", "--json")
    done = subprocess.run(
        [sys.executable, *LAUNCH, *arguments], env=os.environ | place, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {release.release_id for release in store.all(MODEL, ALL)} - before == {said["release"]}
    assert said["epochs"] == 3

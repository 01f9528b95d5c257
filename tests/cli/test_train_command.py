"""Tests of `thumblab train` on a small lab in which red thumbnails win.

The command trains once, prints the result and serves nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dagster import AssetKey, DagsterInstance

from thumblab_cli.main import cli
from thumblab_cli.printing import tables
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import CHECKOUT, settings

Shell = Callable[..., Result]
LAUNCH = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(lab_with_pairs: Callable[..., tuple[Any, dict[str, str]]]) -> dict[str, str]:
    """The environment variables of a lab that has training pairs and no model."""
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


@pytest.mark.slow
def test_a_training_is_published_and_printed_but_not_served(shell: Shell, store: ReleaseStore, tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    home = {"DAGSTER_HOME": str(tmp_path)}
    logs = ("--logs", str(tmp_path / "logs"))
    done = shell("--epochs", "2", "--seed", "3", "--pair-loss", "ranknet", *logs, "--json", **home)
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    release = store.get(MODEL, ALL, printed["release"])
    training = json.loads((release.path / "config.json").read_text())["training"]
    chosen = {name: training["config"][name] for name in ("epochs", "seed", "pair_loss")}
    assert chosen == {"epochs": 2, "seed": 3, "pair_loss": "ranknet"}
    assert (printed["reused"], printed["epochs"], printed["mlflow"]) == (False, 2, None)
    assert printed["checks"]["alive"]["passed"]
    assert {e["split"] for e in printed["evaluations"]} == {"future", "new_channels", "adapted"}
    assert store.serving.current(MODEL, ALL) is None
    assert "Not logged: MLflow does not answer at http://127.0.0.1:9" in done.stderr
    assert "without training again" in done.stderr
    assert list((tmp_path / "logs").rglob("events.*"))

    second = shell("--epochs", "2", "--seed", "3", "--pair-loss", "ranknet", "--no-mlflow", **home)
    with DagsterInstance.get() as instance:
        (record,) = instance.fetch_materializations(AssetKey("ranking_model"), limit=10).records
    assert record.asset_materialization is not None
    metadata = {name: entry.value for name, entry in record.asset_materialization.metadata.items()}
    assert (metadata["release"], metadata["cause"]) == (release.release_id, "`thumblab train`")
    assert (second.exit_code, second.stderr) == (0, "")
    assert f"Nothing has changed since {release.release_id} was trained; nothing was trained." in second.stdout
    assert "is not served yet. To compare it with the served model, materialize served_model" in second.stdout
    assert "Held-out AUC" in second.stdout
    assert len(store.all(MODEL, ALL)) == 1
    store.serving.promote(release)
    assert (
        "The model passes its checks and is served."
        in shell("--epochs", "2", "--seed", "3", "--pair-loss", "ranknet", "--no-mlflow").stdout
    )


@pytest.mark.slow
def test_an_error_of_mlflow_after_the_training_is_one_sentence_and_no_failure(
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
    printed = json.loads(done.stdout)
    assert printed["mlflow"] is None
    assert store.get(MODEL, ALL, printed["release"])
    assert done.stderr.splitlines()[-1] == (
        f"{printed['release']} is published but not logged (MlflowException: the disk is full); repair MLflow. "
        "Repeat the same command: it logs the model without training again."
    )


@pytest.mark.slow
def test_a_stopped_training_is_one_sentence_and_is_resumed(
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
    assert stopped.stderr.startswith("thumblab: training was stopped in epoch 3 of 4; start it again")
    assert stopped.stderr.count("\n") == 1
    assert len(store.all(MODEL, ALL)) == before
    stop_at = 0
    assert shell("--epochs", "4", "--patience", "0", "--no-mlflow").exit_code == 0
    assert heard == [1, 2, 3, 4]
    assert len(store.all(MODEL, ALL)) == before + 1


@pytest.mark.slow
def test_a_training_starts_from_a_table_of_titles(shell: Shell, store: ReleaseStore, tmp_path: Path) -> None:
    table = tmp_path / "titles.csv"
    header = "video_id,channel_id,title,published_at,observed_at,views"
    rows = [
        f"t{n},other {n % 12},Title {n % 7} of {n},2025-06-{n % 28 + 1:02d}T10:00:00Z,2025-07-{n % 9 + 1:02d}T10:00:00Z,{n}"
        for n in range(1, 241)
    ]
    table.write_text("\n".join([header, *rows]))
    quick = "--epochs", "1", "--no-mlflow", "--json"

    def train(*arguments: str, **other: str) -> dict[str, Any]:
        done = shell(*quick, *arguments, **other)
        assert done.exit_code == 0, done.stderr
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    started = train("--title-prior", str(table))
    assert (started["reused"], started["title_prior"]) == (False, {"videos": 240, "channels": 12})
    assert store.get(MODEL, ALL, started["release"]).info["title_prior"] == {"videos": 240, "channels": 12}
    assert train("--title-prior", str(table))["reused"]
    by_setting = train(THUMBLAB_TITLE_PRIOR=str(table))
    assert (by_setting["reused"], by_setting["release"]) == (True, started["release"])
    alone = train(THUMBLAB_TITLE_PRIOR="")
    assert (alone["release"] != started["release"], alone["title_prior"]) == (True, None)
    table.write_text("\n".join([header, *rows[:-24]]))
    changed = train("--title-prior", str(table))
    assert (changed["reused"], changed["title_prior"]["videos"]) == (False, 216)

    missing = shell(*quick, "--title-prior", str(tmp_path / "none.csv"))
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "none.csv cannot be read (No such file or directory)" in missing.stderr


def test_without_pairs_the_error_names_the_step_that_makes_them(
    shell: Shell, migrated_database: Any, tmp_path: Path
) -> None:
    done = shell(THUMBLAB_DATA_DIR=str(tmp_path), THUMBLAB_DATABASE_URL=migrated_database())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "thumblab: there are no training pairs; materialize training_pairs first\n"
    tuned = CliRunner().invoke(cli, ["fine-tune", "--blocks", "all"])
    assert (tuned.exit_code, tuned.stderr) == (1, done.stderr)


@pytest.mark.parametrize("arguments", [("--epochs", "0"), ("--pair-loss", "hinge"), ("--learning-rate", "-1")])
def test_an_invalid_option_is_an_error_before_anything_starts(shell: Shell, arguments: tuple[str, str]) -> None:
    assert shell(*arguments).exit_code == 2


def test_fine_tuning_needs_open_clip_and_a_valid_number_of_blocks(shell: Shell) -> None:
    assert shell("--help").exit_code == 0  # This call sets the environment variables of the lab.
    done = CliRunner().invoke(cli, ["fine-tune"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "only an open_clip encoder can be fine-tuned, not builtin" in done.stderr
    assert CliRunner().invoke(cli, ["fine-tune", "--blocks", "some"]).exit_code == 2


@pytest.mark.heavy
def test_two_processes_publish_one_model_and_one_of_them_prints(place: dict[str, str], store: ReleaseStore) -> None:
    before = {release.release_id for release in store.all(MODEL, ALL)}
    arguments = ("-m", "thumblab_cli.main", "train", "--epochs", "3", "--seed", "11", "--no-mlflow", "--json")
    done = subprocess.run(
        [sys.executable, *LAUNCH, *arguments], env=os.environ | place, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert {release.release_id for release in store.all(MODEL, ALL)} - before == {printed["release"]}
    assert printed["epochs"] == 3

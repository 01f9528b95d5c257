"""Tests of `thumblab evaluate --model`. The command prints figures of a model, such as its AUC.

There are figures for all channels together and for each channel, with and without channel adapters. The figures are
printed as JSON or as a table.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from planted_catalogue import FOOD, RED, plant

from thumblab_cli.commands import evaluate
from thumblab_cli.main import cli
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings

Shell = Callable[..., Result]
FIGURE = {"value", "low", "high", "pairs"}


@pytest.fixture(scope="module")
def environment(lab_with_pairs: Callable[..., tuple[Any, dict[str, str]]]) -> dict[str, str]:
    """The environment variables of a lab that serves a model.

    The model was trained on channels where red thumbnails win.
    """
    from thumblab_pipelines.models.build import build_model
    from thumblab_pipelines.training.config import TrainConfig

    lab, variables = lab_with_pairs(channels=3, videos=50)
    lab.releases.serving.promote(build_model(lab, TrainConfig(epochs=1)).release)
    return variables | {"THUMBLAB_IMAGE_ENCODER": "open_clip:ViT-L-14/missing"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, drawn: Any) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    plant(folder, drawn, {"like home": RED, "own taste \x1b[2J": FOOD}, 50, seed=5)
    return folder


@pytest.fixture(scope="module")
def shell(environment: dict[str, str], open_lab: Any, catalogue: Path) -> Shell:
    """A function that runs `thumblab evaluate`.

    The command imports a catalogue into a separate lab. In these tests, `open_lab` makes one lab for each catalogue.
    """
    labs: dict[Path, Any] = {}

    def lab_of(folder: Path, changes: dict[str, Any]) -> Any:
        if folder not in labs:
            labs[folder] = open_lab(**changes)
        return labs[folder]

    def run(*arguments: str, **variables: str) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (environment | variables).items():
                patch.setenv(name, value)
            settings.cache_clear()
            patch.setattr(evaluate, "_lab_of", lab_of)
            return CliRunner().invoke(cli, ["evaluate", *arguments])

    return run


@pytest.fixture
def store(environment: dict[str, str]) -> ReleaseStore:
    return ReleaseStore(Path(environment["THUMBLAB_DATA_DIR"]) / "releases")


@pytest.mark.slow
def test_the_champion_is_evaluated_on_a_catalogue_with_the_encoder_it_was_trained_with(
    shell: Shell, catalogue: Path, store: ReleaseStore
) -> None:
    done = shell("--catalogue", str(catalogue), "--model", "champion", "--adapt", "0.8", "--json")
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["release"] == store.serving.current_id(MODEL, ALL)
    counts = printed["catalogue"]
    assert (counts["rows"], counts["videos"], counts["channels_adapted"]) == (100, 100, 2)
    assert printed["seen_left_out"] == {"videos": 0, "pairs": 0}
    for figure in (printed["auc_all"], printed["auc_2x"], printed["adapted"]["auc_all"], printed["adapted"]["auc_2x"]):
        assert set(figure) == FIGURE
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert printed["auc_all"]["pairs"] == printed["adapted"]["auc_all"]["pairs"]
    channels = {channel["name"]: channel for channel in printed["channels"]}
    assert set(channels) == {"like home", "own taste \x1b[2J"}
    own_taste = channels["own taste \x1b[2J"]
    assert own_taste["pairs"] == own_taste["auc_all"]["pairs"] == own_taste["adapted_auc_all"]["pairs"] <= 45
    assert own_taste["adapted_auc_all"]["value"] > own_taste["auc_all"]["value"]
    assert printed["evaluations"]


@pytest.mark.slow
def test_videos_that_were_removed_from_the_catalogue_are_not_evaluated(
    shell: Shell, catalogue: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "catalogue"
    shutil.copytree(catalogue, folder)
    lines = (folder / "videos.csv").read_text().splitlines(keepends=True)

    def videos() -> int:
        done = shell("--catalogue", str(folder), "--model", "champion", "--json")
        assert done.exit_code == 0, done.stderr
        return int(json.loads(done.stdout)["catalogue"]["videos"])

    assert videos() == 100
    (folder / "videos.csv").write_text("".join(lines[:-12]))
    assert videos() == 88
    unreadable = lines[1].replace(",tech,", ",no niche,")
    (folder / "videos.csv").write_text("".join([lines[0], unreadable, *lines[2:-12]]))
    assert videos() == 88, "a row that cannot be read does not count as a removed row"
    (folder / "videos.csv").write_text("".join(lines))
    assert videos() == 100


def test_a_named_release_is_evaluated_on_all_pairs_without_adapt(
    shell: Shell, catalogue: Path, store: ReleaseStore
) -> None:
    release = store.serving.current_id(MODEL, ALL)
    assert release is not None
    done = shell("--catalogue", str(catalogue), "--model", release, "--json")
    printed = json.loads(done.stdout)
    assert printed["adapted"] is None
    assert printed["auc_all"]["pairs"] > 500
    assert all(channel["adapted_auc_all"] is None for channel in printed["channels"])


def test_the_table_prints_no_control_characters_of_titles(shell: Shell, catalogue: Path) -> None:
    done = shell("--catalogue", str(catalogue), "--model", "champion", "--adapt", "0.8")
    assert (done.exit_code, done.stderr) == (0, "")
    for text in ("all channels", "not adapted", "like home", "The pairs were made of 100 videos of 2 channels."):
        assert text in done.stdout
    assert "2 channels had enough videos in their first 80% by date to adapt to" in done.stdout
    assert "The model was trained on none of these videos." in done.stdout
    assert "\x1b" not in done.stdout


def test_without_a_catalogue_the_recorded_figures_of_the_model_are_printed(shell: Shell, store: ReleaseStore) -> None:
    release = str(store.serving.current_id(MODEL, ALL))
    for arguments in ((), ("--model", release)):
        printed = json.loads(shell(*arguments, "--json").stdout)
        assert (printed["release"], printed["catalogue"]) == (release, None)
        assert set(printed["adapted"]["auc_all"]) == FIGURE
        assert {channel["name"] for channel in printed["channels"]} == {f"home {n}" for n in range(3)}
    assert "Held-out AUC" in shell().stdout


def test_an_unknown_release_is_an_error_that_lists_the_existing_ones(shell: Shell, store: ReleaseStore) -> None:
    done = shell("--model", "20260101T000000000000Z-00000000")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"the lab has {store.serving.current_id(MODEL, ALL)}" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--adapt", "0.5"),
        ("--adapt", "1"),
        ("--adapt", "0.5", "--catalogue", "."),
        ("--seed", "1"),
        ("--encoder", "builtin"),
        ("--catalogue", ".", "--model", "champion", "--encoder", "builtin"),
        ("--catalogue", ".", "--model", "champion", "--seed", "1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(shell: Shell, arguments: tuple[str, ...]) -> None:
    done = shell(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")

"""Promises of `thumblab evaluate --model`: one object of figures, overall and per channel, adapted and not."""

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
def place(lab_with_pairs: Callable[..., tuple[Any, dict[str, str]]]) -> dict[str, str]:
    """The environment of a lab whose model is served, and which has seen that red wins."""
    from thumblab_pipelines.models.build import build_model
    from thumblab_pipelines.training.config import TrainConfig

    lab, environment = lab_with_pairs(channels=3, videos=50)
    lab.releases.serving.promote(build_model(lab, TrainConfig(epochs=1)).release)
    return environment | {"THUMBLAB_IMAGE_ENCODER": "open_clip:ViT-L-14/not-here"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, drawn: Any) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    plant(folder, drawn, {"like home": RED, "its own \x1b[2J": FOOD}, 50, seed=5)
    return folder


@pytest.fixture(scope="module")
def shell(place: dict[str, str], open_lab: Any, catalogue: Path) -> Shell:
    """Runs the command; the catalogue's lab has a database of the session's server, and is the same each time."""
    labs: dict[Path, Any] = {}

    def lab_of(folder: Path, changes: dict[str, Any]) -> Any:
        if folder not in labs:
            labs[folder] = open_lab(**changes)
        return labs[folder]

    def run(*arguments: str, **other: str) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (place | other).items():
                patch.setenv(name, value)
            settings.cache_clear()
            patch.setattr(evaluate, "_lab_of", lab_of)
            return CliRunner().invoke(cli, ["evaluate", *arguments])

    return run


@pytest.fixture
def store(place: dict[str, str]) -> ReleaseStore:
    return ReleaseStore(Path(place["THUMBLAB_DATA_DIR"]) / "releases")


def test_the_champion_is_judged_on_a_catalogue_with_the_encoder_it_was_trained_with(
    shell: Shell, catalogue: Path, store: ReleaseStore
) -> None:
    done = shell("--catalogue", str(catalogue), "--model", "champion", "--adapt", "0.8", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["release"] == store.serving.current_id(MODEL, ALL)
    assert (said["catalogue"]["rows"], said["catalogue"]["videos"], said["catalogue"]["channels_adapted"]) == (
        100,
        100,
        2,
    )
    assert said["seen_left_out"] == {"videos": 0, "pairs": 0}
    for figure in (said["auc_all"], said["auc_2x"], said["adapted"]["auc_all"], said["adapted"]["auc_2x"]):
        assert set(figure) == FIGURE
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert said["auc_all"]["pairs"] == said["adapted"]["auc_all"]["pairs"]
    channels = {channel["name"]: channel for channel in said["channels"]}
    assert set(channels) == {"like home", "its own \x1b[2J"}
    own = channels["its own \x1b[2J"]
    assert own["pairs"] == own["auc_all"]["pairs"] == own["adapted_auc_all"]["pairs"] <= 45
    assert own["adapted_auc_all"]["value"] > own["auc_all"]["value"]
    assert said["evaluations"]


def test_what_was_taken_out_of_the_folder_is_judged_no_more(shell: Shell, catalogue: Path, tmp_path: Path) -> None:
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
    spoilt = lines[1].replace(",tech,", ",no niche,")
    (folder / "videos.csv").write_text("".join([lines[0], spoilt, *lines[2:-12]]))
    assert videos() == 88, "a row that cannot be read this time is not a row that was taken out"
    (folder / "videos.csv").write_text("".join(lines))
    assert videos() == 100


def test_a_release_is_named_and_without_adapting_all_pairs_are_asked(
    shell: Shell, catalogue: Path, store: ReleaseStore
) -> None:
    release = store.serving.current_id(MODEL, ALL)
    assert release is not None
    done = shell("--catalogue", str(catalogue), "--model", release, "--json")
    said = json.loads(done.stdout)
    assert said["adapted"] is None
    assert said["auc_all"]["pairs"] > 500
    assert all(channel["adapted_auc_all"] is None for channel in said["channels"])


def test_the_table_is_for_people_and_obeys_no_title(shell: Shell, catalogue: Path) -> None:
    done = shell("--catalogue", str(catalogue), "--model", "champion", "--adapt", "0.8")
    assert (done.exit_code, done.stderr) == (0, "")
    for said in ("all channels", "not adapted", "like home", "100 videos of 2 channels made the pairs"):
        assert said in done.stdout
    assert "2 channels had history enough in their first 80% by date" in done.stdout
    assert "The model was trained on none of these videos." in done.stdout
    assert "\x1b" not in done.stdout


def test_without_a_catalogue_the_model_says_what_it_was_judged_by(shell: Shell, store: ReleaseStore) -> None:
    release = str(store.serving.current_id(MODEL, ALL))
    for arguments in ((), ("--model", release)):
        said = json.loads(shell(*arguments, "--json").stdout)
        assert (said["release"], said["catalogue"]) == (release, None)
        assert set(said["adapted"]["auc_all"]) == FIGURE
        assert {channel["name"] for channel in said["channels"]} == {f"home {n}" for n in range(3)}
    assert "Held-out AUC" in shell().stdout


def test_a_release_that_is_not_there_is_told_with_those_that_are(shell: Shell, store: ReleaseStore) -> None:
    done = shell("--model", "20260101T000000000000Z-00000000")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"there are {store.serving.current_id(MODEL, ALL)}" in done.stderr
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

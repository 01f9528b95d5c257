"""Tests of `thumblab fine-tune`. The command trains a new encoder, and prints how to use this encoder.

One test follows the printed steps.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from planted_catalogue import RED, plant
from tiny_clip import TinyClip

from thumblab_cli.commands import evaluate
from thumblab_cli.main import cli
from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.settings import settings

Shell = Callable[..., Result]


@pytest.fixture(scope="module")
def place(lab_with_pairs: Callable[..., tuple[Any, dict[str, str]]], tiny: TinyClip) -> dict[str, str]:
    """The environment variables of a lab that has training pairs and no model."""
    _, environment = lab_with_pairs(channels=2, videos=40, image_encoder=tiny.setting, encoder_precision="float32")
    return environment


@pytest.fixture(scope="module")
def shell(place: dict[str, str]) -> Shell:
    def run(*arguments: str, other: Mapping[str, str] | None = None) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (place | dict(other or {})).items():
                patch.setenv(name, value)
            settings.cache_clear()
            return CliRunner().invoke(cli, [*arguments])

    return run


@pytest.fixture(scope="module")
def tuned(shell: Shell) -> dict[str, Any]:
    """The output of `thumblab fine-tune --json` about the new encoder."""
    refused = shell("fine-tune", "--blocks", "1", "--epochs", "1")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "or fine-tune with fresh heads" in refused.stderr
    done = shell("fine-tune", "--blocks", "1", "--epochs", "1", "--heads", "fresh", "--json")
    assert done.exit_code == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.slow
def test_an_encoder_is_made_once_and_the_command_prints_how_to_use_it(
    tuned: dict[str, Any], shell: Shell, tiny: TinyClip
) -> None:
    model, _, weights = tuned["setting"].removeprefix("open_clip:").partition("/")
    assert Path(weights).is_file()
    assert tiny.setting.startswith(f"open_clip:{model}/")
    assert (len(tuned["blocks"]), len(tuned["history"]), tuned["config"]["heads"]) == (1, 1, "fresh")
    second = shell("fine-tune", "--blocks", "1", "--epochs", "1", "--heads", "fresh")
    assert f"1. set THUMBLAB_IMAGE_ENCODER={tuned['setting']}" in second.stdout
    assert tuned["release"] in second.stdout
    assert "materialize training_pairs and ranking_model" in second.stdout


@pytest.mark.slow
def test_a_model_on_the_new_encoder_is_evaluated_without_videos_that_it_has_seen(
    tuned: dict[str, Any],
    place: dict[str, str],
    shell: Shell,
    open_lab: Any,
    drawn: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Follow the steps that the command `fine-tune` has printed. Then evaluate the model on the lab's own channels and
    on one other channel.
    """
    from pydantic import SecretStr

    from thumblab_pipelines.dataset.pairs import build_pairs
    from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, encoder_fingerprints
    from thumblab_pipelines.features.embed import embed

    chosen = {"image_encoder": tuned["setting"], "encoder_precision": "float32"}
    lab = open_lab(
        data_dir=Path(place["THUMBLAB_DATA_DIR"]), database_url=SecretStr(place["THUMBLAB_DATABASE_URL"]), **chosen
    )
    assert embed(lab, "tech")
    build_pairs(lab)
    encoder = {"THUMBLAB_IMAGE_ENCODER": tuned["setting"]}
    trained = shell(
        "train", "--epochs", "1", "--json", other=encoder | {"THUMBLAB_MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    )
    assert trained.exit_code == 0, trained.stderr
    release = json.loads(trained.stdout)["release"]
    seen_first = set(encoder_fingerprints(tuned["setting"]))
    assert seen_first
    assert seen_first <= set(np.load(lab.releases.get(MODEL, ALL, release).path / FINGERPRINTS_FILE))

    folder = tmp_path / "catalogue"
    plant(folder, drawn, {f"home {n}": RED for n in range(2)} | {"elsewhere": RED}, 40)
    monkeypatch.setattr(evaluate, "_lab_of", lambda _, changes: open_lab(**changes))
    # The settings still name the old encoder. The command must evaluate the model with the model's own encoder.
    done = shell("evaluate", "--catalogue", str(folder), "--model", release, "--json")
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["release"] == release
    assert printed["catalogue"]["good"] == 120
    assert printed["seen_left_out"]["videos"] > 0
    pairs = {channel["name"]: channel["pairs"] for channel in printed["channels"]}
    assert pairs["elsewhere"] == max(pairs.values()) > 0, "most pairs of the lab's own channels have been seen"

"""Promises of `thumblab fine-tune`: an encoder comes of it, and it says how to use it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from planted_catalogue import RED, plant
from pydantic import SecretStr
from tiny_clip import TinyClip

from thumblab_cli.main import cli
from thumblab_core.settings import settings


def test_an_encoder_is_made_once_and_it_is_said_how_to_use_it(
    tmp_path: Path,
    migrated_database: Callable[[], str],
    open_lab: Any,
    drawn: Any,
    tiny: TinyClip,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from thumblab_pipelines.steps.catalogue import import_catalogue
    from thumblab_pipelines.steps.embed import embed
    from thumblab_pipelines.steps.pairs import build_pairs

    url = migrated_database()
    chosen = {"image_encoder": tiny.setting, "encoder_precision": "float32"}
    lab = open_lab(data_dir=tmp_path / "lab", database_url=SecretStr(url), **chosen)
    plant(tmp_path / "catalogue", drawn, {f"channel {n}": RED for n in range(2)}, 20)
    import_catalogue(lab, tmp_path / "catalogue")
    embed(lab, "tech")
    build_pairs(lab)
    place = {"DATA_DIR": str(lab.settings.data_dir), "DATABASE_URL": url, **{k.upper(): v for k, v in chosen.items()}}
    for name, value in place.items():
        monkeypatch.setenv(f"THUMBLAB_{name}", value)
    settings.cache_clear()

    arguments = ("fine-tune", "--blocks", "1", "--epochs", "1", "--heads", "fresh")
    refused = CliRunner().invoke(cli, arguments[:-2])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "train one first, or fine-tune with fresh heads" in refused.stderr
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    model, _, weights = said["setting"].removeprefix("open_clip:").partition("/")
    assert Path(weights).is_file()
    assert tiny.setting.startswith(f"open_clip:{model}/")
    assert (len(said["blocks"]), len(said["history"]), said["config"]["heads"]) == (1, 1, "fresh")
    again = CliRunner().invoke(cli, arguments)
    assert f"1. THUMBLAB_IMAGE_ENCODER={said['setting']}" in again.stdout
    assert said["release"] in again.stdout
    assert "materialize training_pairs and ranking_model" in again.stdout

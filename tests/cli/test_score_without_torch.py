"""Test that `thumblab score` works without PyTorch, and that the service starts without importing large libraries."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from served_model import publish_model
from without_torch import WITHOUT_TORCH

from thumblab_core.releases.release_store import ReleaseStore


@pytest.mark.slow
def test_a_lab_scores_with_a_trained_model_where_pytorch_is_not_installed(
    tmp_path: Path, drawn: Callable[..., bytes]
) -> None:
    publish_model(ReleaseStore(tmp_path / "releases"))
    for seed in (1, 2):
        (tmp_path / f"{seed}.jpg").write_bytes(drawn(seed))
    pictures = [str(tmp_path / f"{seed}.jpg") for seed in (1, 2)]
    asked = ["score", *pictures, "--title", "I tested every phone", "--niche", "tech", "--local", "--json"]
    script = f"""{WITHOUT_TORCH}
import atexit
atexit.register(lambda: print(sorted(MISSING & set(sys.modules)), file=sys.stderr))
from thumblab_cli.main import main
sys.argv = {["thumblab", *asked]!r}
main()
"""
    environment = {"THUMBLAB_DATA_DIR": str(tmp_path), "THUMBLAB_IMAGE_ENCODER": "builtin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [picture["error"] for picture in answer["thumbnails"]] == [None, None]
    assert answer["ordered_by"] == "model"
    assert all(picture["win_probability"] is not None for picture in answer["thumbnails"])
    assert done.stderr.splitlines()[-1] == "[]"


def test_importing_the_service_loads_neither_dagster_nor_mlflow_nor_torch() -> None:
    code = (
        "import sys, thumblab_serving.app, thumblab_cli.commands.score\n"
        "print([m for m in ('dagster', 'mlflow', 'torch', 'faiss', 'open_clip') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

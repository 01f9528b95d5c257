"""Fixtures of the tests of `thumblab score` and `thumblab key`."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from thumblab_cli.main import cli
from thumblab_core.settings import settings

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


@pytest.fixture
def environment(lab, images):
    return {
        "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_API_KEY": KEY,
        "THUMBLAB_EXTRA_IMAGE_HOSTS": images["host"],
        "COLUMNS": "200",
    }


@pytest.fixture
def thumblab(environment, tmp_path):
    def run(*arguments, command="score", **settings):
        others = {name: value for name, value in os.environ.items() if not name.startswith("THUMBLAB_")}
        command = [sys.executable, "-m", "thumblab_cli.main", command, *map(str, arguments)]
        env = others | environment | settings
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)

    return run


@pytest.fixture
def within(environment, tmp_path, monkeypatch):
    """Return a function that runs a `thumblab` command in the test's process, where the encoders are already loaded."""

    def run(*arguments, command="score", **chosen):
        for name in [name for name in os.environ if name.startswith("THUMBLAB_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)
        settings.cache_clear()
        return CliRunner().invoke(cli, [command, *map(str, arguments)], env=environment | chosen)

    yield run
    settings.cache_clear()

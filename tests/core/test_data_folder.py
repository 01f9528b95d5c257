"""Test commands with a data folder that cannot be used.

The error is one sentence that names the data folder and its setting.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from thumblab_cli.main import cli
from thumblab_core.settings import settings

BELOW_A_FILE, A_FILE, NOWHERE, READ_ONLY = "file/lab", "file", "/proc/nope", "/proc"


@pytest.mark.parametrize(
    ("arguments", "folder", "problem"),
    [
        (["up"], NOWHERE, "cannot be made (No such file or directory)"),
        (["up"], BELOW_A_FILE, "cannot be made (Not a directory)"),
        (["up"], READ_ONLY, "cannot be written (No such file or directory)"),
        (["up"], A_FILE, "is not a folder"),
        (["demo"], READ_ONLY, "cannot be made (No such file or directory)"),
    ],
)
def test_the_error_of_an_unusable_data_folder_is_one_sentence_with_its_name_and_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], folder: str, problem: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / folder))
    monkeypatch.setenv("THUMBLAB_SERVING_PORT", "1")
    monkeypatch.setenv("THUMBLAB_DEMO_VIDEOS", "60")
    settings.cache_clear()
    options = ["--dagster-port", "1", "--mlflow-port", "1"] if arguments == ["up"] else []
    done = CliRunner().invoke(cli, [*arguments, *options])
    settings.cache_clear()
    named = Path(folder, "demo") if arguments == ["demo"] else tmp_path / folder
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"thumblab: the data folder {named} {problem}; set THUMBLAB_DATA_DIR to a folder that you can write\n"
    )

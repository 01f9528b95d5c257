"""Test `thumblab key add | list | rotate | revoke`. Keys go to stdout, and all other text goes to stderr."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from thumblab_cli.main import cli
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.settings import Settings, settings

Run = Callable[..., Result]


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `thumblab key` for a lab in a new folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **chosen: str) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["key", *arguments], env=environment_of(tmp_path) | chosen)

    return run


def environment_of(folder: Path) -> dict[str, str]:
    return {"THUMBLAB_DATA_DIR": str(folder / "lab"), "THUMBLAB_SERVING_PORT": "1", "COLUMNS": "200"}


def keys_of(folder: Path) -> list[str]:
    return [key.name for key in NamedKeys(Settings(data_dir=folder)).all()]


def test_a_new_key_is_the_only_line_on_stdout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "thumblab_cli.main", "key", "add", "laptop"]
    environment = os.environ | environment_of(tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("thumblab_")
    assert len(done.stdout.splitlines()) == 1
    assert "Made the key laptop for the lab in" in done.stderr
    assert "cannot be shown again" in done.stderr
    assert keys_of(tmp_path / "lab") == ["laptop"]


def test_keys_are_listed_with_scopes_and_limits_and_without_hashes(key: Run) -> None:
    made = key("add", "deploy", "--scope", "score", "--scope", "admin", "--requests-per-minute", "60").stdout.strip()
    key("add", "laptop")
    listed = key("list", THUMBLAB_REQUESTS_PER_MINUTE="7")
    rows = [" ".join(line.split()) for line in listed.stdout.splitlines()]
    assert any(row.startswith("default score, admin 7 -") for row in rows)
    assert any(row.startswith("deploy score, admin 60 20") for row in rows)
    assert any(row.startswith("laptop score 7 20") for row in rows)
    as_json = json.loads(key("list", "--json").stdout)
    assert [row["name"] for row in as_json] == ["default", "deploy", "laptop"]
    assert set(as_json[1]) == {"name", "scopes", "made_at", "requests_per_minute"}
    assert made not in listed.stdout


def test_a_rotated_key_is_printed_and_a_revoked_key_is_gone(key: Run, tmp_path: Path) -> None:
    first = key("add", "laptop").stdout
    second = key("rotate", "laptop")
    assert second.stdout.startswith("thumblab_")
    assert second.stdout != first
    assert key("revoke", "laptop").exit_code == 0
    assert keys_of(tmp_path / "lab") == []
    again = key("revoke", "laptop")
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == "thumblab: there is no key named 'laptop'; the named keys are: none yet\n"


def test_the_labs_own_key_is_printed_as_before_and_can_be_rotated_but_not_revoked(key: Run) -> None:
    first = key().stdout
    assert len(first) == 44
    assert key().stdout == first
    rotated = key("rotate", "default")
    assert rotated.stdout not in ("", first)
    assert key().stdout == rotated.stdout
    refused = key("revoke", "default")
    assert refused.exit_code == 1
    assert "thumblab key rotate default" in refused.stderr
    of_setting = key("rotate", "default", THUMBLAB_API_KEY="mine")
    assert (of_setting.exit_code, of_setting.stdout) == (1, "")
    assert "THUMBLAB_API_KEY sets the key" in of_setting.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("add", "../x"), 1, "a key cannot have the name '../x'"),
        (("add", "default"), 1, "default is the name of the lab's own key"),
        (("add", "x", "--scope", "root"), 2, "'root' is not one of 'score', 'admin'"),
        (("add", "x", "--requests-per-minute", "0"), 2, "0 is not in the range"),
        (("add",), 2, "Missing argument 'NAME'"),
        (("ad", "x"), 2, "No such command 'ad'"),
        (("--demo", "add", "x"), 2, "thumblab key add --demo"),
    ],
)
def test_a_bad_call_is_explained_and_makes_nothing(
    key: Run, tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = key(*arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lab" / "api-keys.json").exists()


def test_the_demo_has_keys_of_its_own(key: Run, tmp_path: Path) -> None:
    (tmp_path / "lab" / "demo").mkdir(parents=True)
    key("add", "laptop", "--demo")
    assert keys_of(tmp_path / "lab" / "demo") == ["laptop"]
    assert keys_of(tmp_path / "lab") == []


def test_a_damaged_file_is_one_line_on_stderr(key: Run, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "api-keys.json").write_text("{")
    for arguments in (("list",), ("add", "x"), ("revoke", "x")):
        done = key(*arguments)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "is damaged" in done.stderr

"""Test that a command makes no lab if the command only reads or changes an existing lab."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from thumblab_cli.main import cli
from thumblab_cli.servers.ports import free_port

REFUSED = """
key --demo
key add laptop --demo
key rotate laptop
key rotate default
key rotate default --demo
key revoke laptop
quota
logs
index status
index verify
index rollback tech
index resume tech
index prune
index rebuild tech
index search --text phone --niche tech
db migrate
channel list
channel remove x
channel add UCx --demo
channel add export.csv --demo --niche tech
predictions list
predictions purge --yes
experiment list
experiment report
experiment remove 1
experiment plan a.gif b.gif --title t --niche tech
crawl status
crawl plan
score a.gif --title t --niche tech --channel @x
evaluate
refresh
train
fine-tune
""".strip().splitlines()

ANSWERED = """
doctor
doctor --demo
key list
key list --demo
models status
db status
db stop
score a.gif --title t --niche tech
score a.gif --title t --niche tech --demo
""".strip().splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a lab that does not exist."""
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    (tmp_path / "b.gif").write_bytes(b"GIF89a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "lab"))
    # If the service of another lab listens on the usual port, `key` names that service instead.
    monkeypatch.setenv("THUMBLAB_SERVING_PORT", str(free_port()))
    return tmp_path / "lab"


@pytest.mark.parametrize("line", REFUSED)
def test_a_command_that_needs_a_lab_says_how_to_make_one(folder: Path, line: str) -> None:
    done = CliRunner().invoke(cli, line.split())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"thumblab: there is no lab in {folder}")
    assert "THUMBLAB_DATA_DIR" in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize("line", ANSWERED)
def test_a_command_that_needs_no_lab_creates_no_lab(folder: Path, line: str) -> None:
    CliRunner().invoke(cli, line.split())
    assert not folder.exists()

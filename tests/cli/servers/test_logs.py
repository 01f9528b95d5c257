"""Test that the logs of a lab's servers stay small and complete, and are shown together in the order of time."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from thumblab_cli.commands import logs as command
from thumblab_cli.main import cli
from thumblab_cli.servers import log_keeper
from thumblab_cli.servers.logs import Followed, end_of_log, last_lines
from thumblab_core.settings import settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a lab with the logs of two servers. In the order of time, the lines of the two logs alternate."""
    (tmp_path / "logs").mkdir()
    for start, name in ((0, "mlflow"), (1, "scoring")):
        lines = [f"2026-11-28T03:00:{second:02}.000Z {name} {second}\n" for second in range(start, 20, 2)]
        (tmp_path / "logs" / f"{name}.log").write_text("".join(lines))
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    return tmp_path


def shell(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["logs", *arguments])


def test_a_log_keeps_each_line_with_its_time_and_stays_small(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "busy.log"
    log.parent.mkdir()
    text = (
        b"".join(b"line %d\n" % number for number in range(200))
        + b"10 %\r20 %\r\n\x1b[31mred\x1b[0m\n\xff"
        + b"x" * 70_000
    )
    subprocess.run([sys.executable, "-I", "-S", log_keeper.__file__, str(log), "2000", "2"], input=text, check=True)
    assert sorted(path.name for path in log.parent.iterdir()) == ["busy.log", "busy.log.1", "busy.log.2"]
    lines = last_lines(tmp_path, ["busy"], 20)
    texts = [line.text for line in lines]
    assert texts == end_of_log(log, 20)
    assert texts[-5:-2] == ["line 199", "20 %", "red"]
    assert [len(text) for text in texts[-2:]] == [2**16, 70_001 - 2**16]
    assert [line.moment for line in lines] == sorted(line.moment for line in lines)


def test_a_full_disk_loses_log_lines_but_the_server_runs(tmp_path: Path) -> None:
    keeper = [sys.executable, "-I", "-S", log_keeper.__file__, "/dev/full", "0", "0"]
    done = subprocess.run(keeper, input=b"one\ntwo\n", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_logs_of_all_servers_are_shown_in_the_order_of_time(folder: Path) -> None:
    done = shell("-n", "3")
    assert done.exit_code == 0
    local = [
        f"{datetime.fromisoformat(f'2026-11-28T03:00:{s}+00:00').astimezone():%Y-%m-%d %H:%M:%S}" for s in (17, 18, 19)
    ]
    assert done.stdout.splitlines() == [
        f"{local[0]} scoring scoring 17",
        f"{local[1]} mlflow  mlflow 18",
        f"{local[2]} scoring scoring 19",
    ]
    assert shell("mlflow", "-n", "1").stdout.splitlines() == [f"{local[1]} mlflow 18"]
    assert len(shell().stdout.splitlines()) == 20


def test_a_server_without_a_log_is_an_error_that_names_the_servers_with_a_log(folder: Path) -> None:
    done = shell("scorign")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "thumblab: 'scorign' has no log; the servers with a log are mlflow, scoring\n"


def test_codes_in_a_log_do_not_reach_the_terminal(folder: Path) -> None:
    with (folder / "logs" / "scoring.log").open("a") as log:
        log.write("2026-11-28T04:00:00.000Z \x1b]0;title\x07 text\n")
    assert "\x1b" not in shell("-n", "1").stdout


def test_a_followed_log_continues_in_the_file_that_replaces_it(folder: Path) -> None:
    added, log = Followed(folder, ["scoring", "later"]), folder / "logs" / "scoring.log"
    assert added.read() == []
    with log.open("a") as file:
        file.write("2026-11-28T04:00:00.000Z last of the old\n2026-11-28T04:00:01.000Z half")
        file.flush()
        assert [line.text for line in added.read()] == ["last of the old"]
        file.write(" of a line\n")
    log.rename(log.with_name("scoring.log.1"))
    log.write_text("2026-11-28T04:00:02.000Z first of the new\n")
    (folder / "logs" / "later.log").write_text("2026-11-28T04:00:01.500Z from a log that is new\n")
    texts = [line.text for line in added.read()]
    assert texts == ["half of a line", "from a log that is new", "first of the new"]
    assert added.read() == []


def test_follow_shows_each_line_once_until_ctrl_c(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(_: float) -> None:
        if log.read_text().endswith("new\n"):
            raise KeyboardInterrupt
        with log.open("a") as file:
            file.write("2026-11-28T04:00:00.000Z new\n")

    log = folder / "logs" / "mlflow.log"
    monkeypatch.setattr(command.time, "sleep", pause)
    done = shell("--follow", "-n", "2")
    assert done.exit_code == 130
    assert [line.split(" ", 2)[2] for line in done.stdout.splitlines()] == [
        "mlflow  mlflow 18",
        "scoring scoring 19",
        "mlflow  new",
    ]

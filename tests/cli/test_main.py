"""Tests of the `thumblab` command: its help, its errors and its exit statuses."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from thumblab_cli import main
from thumblab_core.errors import LabError


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thumblab_cli.main", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, errors="replace")


def failed_with(monkeypatch: pytest.MonkeyPatch, error: BaseException, name: str = "key") -> Result:
    """Run a subcommand called `name` that raises `error`, and return the result."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)
    return CliRunner().invoke(main.cli, [name])


def test_help_names_every_command_within_half_a_second_of_cpu() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in main.COMMANDS)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_in_the_table_exists_and_has_a_help_text(name: str) -> None:
    result = CliRunner().invoke(main.cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) > 4


def test_h_is_short_for_help_in_every_command_and_subcommand() -> None:
    for name in main.COMMANDS:
        command = main.cli.get_command(click.Context(main.cli), name)
        below = [[name, sub] for sub in command.commands] if isinstance(command, click.Group) else [[name, "tech"]]
        for given in ([name], *below, *([*words, "tech"] for words in below)):
            done = CliRunner().invoke(main.cli, [*given, "-h"])
            assert (done.exit_code, done.output[:6]) == (0, "Usage:"), given
            assert "  -h, --help " in done.output, given


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_a_question_that_nobody_can_answer_names_the_option_yes(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    @click.command()
    def command() -> None:
        click.confirm("Delete it?", abort=True, err=True)

    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)
    done = CliRunner().invoke(main.cli, ["key"], input=answer)
    assert done.exit_code == 1
    assert done.stderr.endswith(
        "thumblab: nothing was changed, because nobody confirmed; without a terminal, add --yes\n"
    )


RUNS_A_JOB = """
import sys, time, types
import click
from thumblab_cli import main

@click.command()
def command():
    import dagster as dg

    @dg.op
    def step(): pass

    @dg.job(executor_def=dg.in_process_executor)
    def work(): step()

    work.execute_in_process()
    print("ready", flush=True)
    time.sleep(120)

waiting = types.ModuleType("thumblab_cli.commands.waiting")
waiting.command = command
sys.modules[waiting.__name__] = waiting
main.COMMANDS["waiting"] = ("waiting", "Wait.")
main.main()
"""


@pytest.mark.slow
def test_sigterm_stops_a_background_job_that_runs_dagster_and_ctrl_c_does_not() -> None:
    def as_background_job() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    command = [sys.executable, "-c", RUNS_A_JOB, "waiting"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=as_background_job
    ) as job:
        assert job.stdout is not None
        try:
            assert "ready\n" in iter(job.stdout.readline, "")
            job.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                job.wait(0.5)
            job.terminate()
            _, complaints = job.communicate(timeout=60)
        finally:
            job.kill()
    assert (job.returncode, complaints.splitlines()[-1]) == (130, "thumblab: stopped")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_characters_that_the_terminal_lacks_are_replaced(encoding: str, tmp_path: Path) -> None:
    done = run("db", "status", THUMBLAB_DATA_DIR=str(tmp_path), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "s own server: stopped" in done.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout.startswith("thumblab 0.")


def test_an_unknown_command_is_named_and_fails() -> None:
    done = run("skore")
    assert done.returncode == 2
    assert "skore" in done.stderr


def test_a_lab_error_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = run("db", "url", THUMBLAB_DATA_DIR=str(tmp_path), THUMBLAB_DATABASE_URL="mysql://u:hunter2@host/lab")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("thumblab: THUMBLAB_DATABASE_URL ")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


def test_ctrl_c_ends_with_130_and_an_error_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed_with(monkeypatch, KeyboardInterrupt()).exit_code == 130
    assert failed_with(monkeypatch, LabError("Something is wrong. Do this.")).exit_code == 1


@pytest.mark.parametrize("name", main.COMMANDS)
def test_ctrl_c_prints_one_line_that_says_whether_the_same_command_continues(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done = failed_with(monkeypatch, KeyboardInterrupt(), name)
    continues = name in {"demo", "import", "refresh", "train", "fine-tune", "backup", "move"}
    more = "; the same command continues where it was stopped" if continues else ""
    assert (done.stdout, done.stderr) == ("", f"thumblab: stopped{more}\n")


def test_a_closed_pipe_prints_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m thumblab_cli.main --help | true", shell=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""


def test_the_key_is_printed_alone(tmp_path: Path) -> None:
    done = run("key", THUMBLAB_DATA_DIR=str(tmp_path))
    assert done.stdout.strip() == (tmp_path / "api-key").read_text().strip()


def test_db_status_does_not_start_the_database(tmp_path: Path) -> None:
    done = run("db", "status", "--json", THUMBLAB_DATA_DIR=str(tmp_path / "lab"))
    assert json.loads(done.stdout) == {
        "embedded": True,
        "running": False,
        "in_use": False,
        "kept": False,
        "folder": None,
        "trouble": None,
    }
    assert not (tmp_path / "lab").exists()

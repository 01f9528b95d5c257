"""Tests of the servers that `thumblab up` starts as child processes.

All servers end when the process of `thumblab up` ends. The servers end even if this process is killed, and even if a
server ignores SIGTERM. In this file, a lab is a process that starts servers in the same way as `thumblab up`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from small_servers import POLITE, STUBBORN, WITH_WORKER, gone

from thumblab_cli.demo.one_demo import demo_on, only_demo
from thumblab_cli.main import cli
from thumblab_cli.servers import lab_servers
from thumblab_cli.servers.ports import Ports, keep_ports, mlflow_port
from thumblab_cli.servers.supervisor import Server, Supervisor
from thumblab_core.database import schema, urls
from thumblab_core.errors import LabError
from thumblab_core.running import Running, announced
from thumblab_core.settings import Settings, settings

CLOSED = "http://127.0.0.1:1"

LAB = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # In a background job of a shell, SIGINT would be ignored.
from pathlib import Path
from thumblab_cli.servers.supervisor import Server, Supervisor
folder, commands = Path(sys.argv[1]), json.loads(sys.argv[2])
with Supervisor(folder, {}, patience=2) as supervisor:
    for name, command in commands.items():
        supervisor.start(Server(name, [sys.executable, "-c", command], None, None))
    while not all("up" in (folder / "logs" / f"{name}.log").read_text() for name in commands):
        time.sleep(0.02)
    print("all up", flush=True)
    time.sleep(600)
"""


def lab(folder: Path, **commands: str) -> tuple["subprocess.Popen[str]", list[psutil.Process]]:
    """Start a lab whose servers run the Python programs in `commands`, and wait until all servers have started.

    Return the process of the lab, and all its descendants.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", LAB, str(folder), json.dumps(commands)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "all up\n"
    return process, psutil.Process(process.pid).children(recursive=True)


def test_a_killed_lab_leaves_no_server_even_if_one_ignores_sigterm(tmp_path: Path) -> None:
    process, below = lab(tmp_path, polite=POLITE, stubborn=STUBBORN, worker=WITH_WORKER)
    process.kill()
    process.wait()
    try:
        assert gone(below, 25)
    finally:
        for process_left in below:
            if process_left.is_running():
                process_left.kill()


def test_a_lab_that_ends_normally_leaves_no_server_and_no_reaper(tmp_path: Path) -> None:
    process, below = lab(
        tmp_path,
        polite=POLITE,
        worker=f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {POLITE!r}]); time.sleep(600)",
    )
    assert len(below) == 6, (
        "expected: the reaper, three programs, and for each of the two servers the process that writes its log"
    )
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert gone(below, 5)


def test_ctrl_c_reaches_only_the_lab_itself(tmp_path: Path) -> None:
    """Check that the servers and the reaper do not run in the terminal session of the lab.

    The reaper is a process that ends the servers after the lab has ended. In a terminal, Ctrl-C sends SIGINT only to
    processes of the terminal's session. Ctrl-C therefore does not end the servers or the reaper directly.
    """
    process, below = lab(tmp_path, polite=POLITE)
    sessions = {os.getsid(process.pid) for process in below}
    process.kill()
    process.wait()
    assert os.getsid(0) not in sessions
    assert gone(below, 15)


def test_servers_end_with_the_lab_even_if_the_reaper_was_killed(tmp_path: Path) -> None:
    process, below = lab(tmp_path, polite=POLITE)
    (reaper,) = [process for process in below if "reaper.py" in " ".join(process.cmdline())]
    reaper.kill()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert gone(below, 5)


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Result]]:
    """A function that runs `thumblab up` in the test's own data folder. The servers are programs that only sleep."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asleep = {
        name: Server(name, [sys.executable, "-c", POLITE], CLOSED, None)
        for name in ("mlflow", "dagster-code", "dagster", "scoring")
    }
    monkeypatch.setattr(lab_servers, "mlflow_server", lambda *_: asleep["mlflow"])
    monkeypatch.setattr(lab_servers, "dagster_servers", lambda *_: [asleep["dagster-code"], asleep["dagster"]])
    monkeypatch.setattr(lab_servers, "scoring_server", lambda *_: asleep["scoring"])
    monkeypatch.setattr(schema, "migrate", lambda _: None)
    monkeypatch.setattr(urls, "database_url", lambda _: "no database is started")
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "lab"))
    settings.cache_clear()
    yield lambda: CliRunner().invoke(cli, ["up"])
    for number, handler in before.items():
        signal.signal(number, handler)


def test_up_and_its_servers_end_if_the_files_of_the_database_are_gone(up: Callable[[], Result], tmp_path: Path) -> None:
    """Run `thumblab up` in a lab without the files of a database.

    `up` must end, because a new, empty database would hide the loss of the data.
    """
    # A browser that other tests started may still run, so look only for servers.
    before = set(psutil.Process().children(recursive=True))
    done = up()
    assert done.exit_code == 1
    assert "starting mlflow, dagster-code, scoring" in done.stdout
    files = tmp_path / "lab" / "postgres"
    assert f"the lab's database has ended, and its files in {files} are gone" in done.stderr
    assert not files.exists()
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_second_up_on_the_folder_is_refused_and_starts_nothing(up: Callable[[], Result], tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    with announced(tmp_path / "lab", Running("http://127.0.0.1:3000", CLOSED, CLOSED)):
        done = up()
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "another `thumblab up` runs on" in done.stderr
    assert "Dagster is at http://127.0.0.1:3000" in done.stderr
    assert not (tmp_path / "lab" / "logs").exists()


def test_up_on_the_folder_of_a_running_demo_is_refused_and_starts_nothing(
    up: Callable[[], Result], tmp_path: Path
) -> None:
    (tmp_path / "lab").mkdir()
    with only_demo(tmp_path / "lab"):
        done = up()
        with pytest.raises(LabError, match=rf"another `thumblab demo` \(process {os.getpid()}\) is running on it"):
            only_demo(tmp_path / "lab").__enter__()
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert f"`thumblab demo` (process {os.getpid()}) runs on {tmp_path / 'lab'}" in done.stderr
    assert not (tmp_path / "lab" / "logs").exists()
    assert demo_on(tmp_path / "lab") is None


def test_waiting_reports_the_seconds_since_the_start(tmp_path: Path) -> None:
    reported: list[float] = []

    def report(seconds: float) -> None:
        reported.append(seconds)
        if len(reported) == 3:
            raise KeyboardInterrupt

    with Supervisor(tmp_path, {}) as supervisor:
        slow = Server("slow", [sys.executable, "-c", POLITE], CLOSED, lambda _: False)
        supervisor.start(slow)
        with pytest.raises(KeyboardInterrupt):
            supervisor.wait(slow, report)
    assert reported == sorted(reported)
    assert 0 <= reported[0] < reported[2]


def test_the_port_of_mlflow_is_kept_so_that_links_stay_valid(tmp_path: Path) -> None:
    with socket.socket() as other:
        # With this option, the socket can bind the port while earlier connections of the port are in TIME_WAIT.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # Another program may already listen on port 5000.
            other.bind(("127.0.0.1", 5000))
        other.listen()
        first = mlflow_port(tmp_path / "taken")
        assert first != 5000
        assert mlflow_port(tmp_path / "taken") == first
    assert mlflow_port(tmp_path / "taken") == first
    keep_ports(Settings(_env_file=None, data_dir=tmp_path / "taken", serving_port=1), Ports(3000, 5001, 1))
    assert mlflow_port(tmp_path / "taken") == 5001, "the port that the user chose must stay"
    assert sorted(file.name for file in (tmp_path / "taken").iterdir()) == ["dagster-port", "mlflow-port"]


@pytest.mark.parametrize("content", [b"", b"5000 5001", b"\xff", b"99999", b"-1"])
def test_an_invalid_kept_port_is_replaced(tmp_path: Path, content: bytes) -> None:
    memory = tmp_path / "mlflow-port"
    memory.write_bytes(content)
    port = mlflow_port(tmp_path)
    assert memory.read_text() == str(port)


def test_a_given_port_that_is_taken_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    (tmp_path / "mlflow-port").write_text("5432")
    settings.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        done = CliRunner().invoke(cli, ["up", "--mlflow-port", str(taken)])
    settings.cache_clear()
    assert (done.exit_code, f"something listens on 127.0.0.1:{taken}" in done.stderr) == (1, True)
    assert mlflow_port(tmp_path) == 5432


@pytest.mark.parametrize("which", ["--dagster-port", "--mlflow-port", "THUMBLAB_SERVING_PORT"])
def test_up_on_a_taken_port_names_the_option_or_setting_to_change_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "lab"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            free = listener.getsockname()[1]
        ports = dict.fromkeys(("--dagster-port", "--mlflow-port", "THUMBLAB_SERVING_PORT"), free) | {which: taken}
        monkeypatch.setenv("THUMBLAB_SERVING_PORT", str(ports.pop("THUMBLAB_SERVING_PORT")))
        settings.cache_clear()
        done = CliRunner().invoke(cli, ["up", *(str(word) for option in ports.items() for word in option)])
    settings.cache_clear()
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert f"something listens on 127.0.0.1:{taken} already; stop it, or give " in done.stderr
    assert done.stderr.endswith(f" another port with {which}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "reason"), [("lab.invalid", "is not a known name"), ("192.0.2.7", "cannot be used here")]
)
def test_up_on_a_host_that_is_not_this_machine_says_which_setting_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, reason: str
) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("THUMBLAB_SERVING_HOST", host)
    settings.cache_clear()
    done = CliRunner().invoke(cli, ["up"])
    settings.cache_clear()
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert f"THUMBLAB_SERVING_HOST is {host}, which {reason}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_mlflow_of_the_running_lab_is_used_unless_the_setting_names_another(tmp_path: Path) -> None:
    lab = Settings(_env_file=None, data_dir=tmp_path)
    assert lab.mlflow_url == "http://127.0.0.1:5000"
    with announced(tmp_path, Running("http://d", "http://127.0.0.1:5001", "http://s")):
        assert lab.mlflow_url == "http://127.0.0.1:5001"
        chosen = lab.model_copy(update={"mlflow_tracking_uri": "http://elsewhere"})
        assert chosen.mlflow_url == "http://elsewhere"


def test_a_stopped_lab_looks_for_mlflow_at_its_own_port_and_not_at_that_of_another_lab(tmp_path: Path) -> None:
    (tmp_path / "mlflow-port").write_text("5003")
    assert Settings(_env_file=None, data_dir=tmp_path).mlflow_url == "http://127.0.0.1:5003"

"""Test that a worker is replaced if it dies or hangs. During the replacement, the other workers answer requests."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from uvicorn.config import STARTUP_FAILURE

from thumblab_serving.__main__ import main
from thumblab_serving.workers import supervisor

SMALL = Path(__file__).with_name("small_service.py")


class Small:
    """A running service whose workers answer with their process ids."""

    def __init__(self, process, port, started):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.started = started

    def ask(self):
        return int(httpx.get(self.url, trust_env=False, timeout=30).text)

    def pids(self):
        return [int(line) for line in self.started.read_text().split()] if self.started.exists() else []

    def wait_for(self, condition):
        deadline = time.monotonic() + 180
        while not condition():
            assert self.process.poll() is None, "the service ended"
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def small_service(folder, workers_are="fine"):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"STARTED": str(folder / "started"), "WORKERS_ARE": workers_are}
    with subprocess.Popen([sys.executable, str(SMALL), str(port)], env=environment, cwd=SMALL.parent) as process:
        service = Small(process, port, folder / "started")
        service.wait_for(lambda: len(service.pids()) == 2)
        try:
            yield service
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                for child in psutil.Process(process.pid).children() if process.poll() is None else []:
                    child.kill()
                process.kill()


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_killed_worker_is_replaced_while_another_worker_hangs_which_is_replaced_too(tmp_path):
    with small_service(tmp_path) as service:
        hangs, dies = service.pids()
        os.kill(hangs, signal.SIGSTOP)
        os.kill(dies, signal.SIGKILL)
        service.wait_for(lambda: len(service.pids()) > 2)
        assert service.ask() == service.pids()[2]
        service.wait_for(lambda: not is_alive(hangs))
        service.wait_for(lambda: len(service.pids()) == 4)
        assert {service.ask() for _ in range(5)} <= set(service.pids()[2:])


def test_a_signal_replaces_all_workers(tmp_path):
    with small_service(tmp_path) as service:
        os.kill(service.process.pid, signal.SIGHUP)
        service.wait_for(lambda: len(service.pids()) == 4 and not any(map(is_alive, service.pids()[:2])))
        assert service.ask() in service.pids()[2:]


@pytest.mark.slow
def test_a_worker_that_waits_for_its_turn_is_removed_in_time(tmp_path):
    with small_service(tmp_path, "waiting") as service:
        service.process.send_signal(signal.SIGTTIN)
        service.wait_for(lambda: len(service.pids()) == 3)
        waits = service.pids()[2]
        service.process.send_signal(signal.SIGTTOU)
        service.wait_for(lambda: not is_alive(waits))
        os.kill(service.pids()[0], signal.SIGKILL)
        service.wait_for(lambda: len(service.pids()) == 4)  # The supervisor process still replaces workers.


@pytest.mark.slow
def test_a_stopped_worker_does_not_stop_the_replacement_of_the_others(tmp_path):
    with small_service(tmp_path) as service:
        os.kill(service.pids()[0], signal.SIGSTOP)
        os.kill(service.process.pid, signal.SIGHUP)
        service.wait_for(lambda: len(service.pids()) == 4 and not any(map(is_alive, service.pids()[:2])))
        assert service.ask() in service.pids()[2:]


@pytest.mark.slow
def test_a_replacement_that_cannot_start_is_tried_again_and_does_not_end_the_service(tmp_path):
    with small_service(tmp_path, "unlucky") as service:
        lives, dies = service.pids()
        service.wait_for(lambda: service.ask() == lives)  # A worker has now accepted connections.
        os.kill(dies, signal.SIGKILL)
        service.wait_for(lambda: len(service.pids()) > 4)
        assert service.ask() == lives


def test_workers_that_never_served_end_the_service(tmp_path):
    (tmp_path / "started").write_text("1\n2\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"STARTED": str(tmp_path / "started"), "WORKERS_ARE": "unlucky"}
    done = subprocess.run(
        [sys.executable, str(SMALL), str(port)],
        env=environment, cwd=SMALL.parent, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert "failed to start, so the service ends" in done.stderr
    assert done.returncode == STARTUP_FAILURE


def test_a_system_without_room_for_a_process_ends_no_service(monkeypatch):
    def no_room(config, sockets):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor, "Process", no_room)
    # The constructor would replace all signal handlers, so the test makes a supervisor without the constructor.
    supervising = supervisor.Supervisor.__new__(supervisor.Supervisor)
    supervising.config, supervising.sockets, supervising.processes = None, [], ["dead", "alive"]
    place = supervisor._Place("dead")
    waits = []
    for _ in range(3):
        supervising._replace(0, place)
        waits.append(place.wait)
        assert place.next_start > time.monotonic()
    assert waits == [1.0, 2.0, 4.0]
    supervising.should_exit = threading.Event()
    supervising.restart_all()
    supervising.handle_ttin()
    assert supervising.processes == ["dead", "alive"]


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_a_service_without_workers_is_refused(monkeypatch, capsys, workers):
    monkeypatch.setattr(sys, "argv", ["thumblab_serving", f"--workers={workers}"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--workers: give at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_all_workers_end_with_the_service(tmp_path, sent):
    with small_service(tmp_path) as service:
        service.ask()
        service.process.send_signal(sent)
        service.process.wait(30)
        assert not any(map(is_alive, service.pids()))


def test_the_service_ends_while_a_new_worker_does_not_come_to_serve(tmp_path):
    """Check that the supervisor can stop while it waits for a worker. If the supervisor did not stop, it would wait for
    ten minutes.
    """
    with small_service(tmp_path, "waiting") as service:
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: len(service.pids()) == 3)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)
        assert not any(map(is_alive, service.pids()))


def test_the_service_ends_although_a_worker_hangs(tmp_path):
    with small_service(tmp_path) as service:
        hangs = service.pids()[0]
        os.kill(hangs, signal.SIGSTOP)
        service.process.terminate()
        service.process.wait(30)
        assert not any(map(is_alive, service.pids()))

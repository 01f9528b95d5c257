"""Test that the workers of a service read the states of all living workers, and no states of ended workers."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from thumblab_serving.workers.registry import WorkerRegistry, WorkerState

OTHER = """
import sys
from pathlib import Path
from thumblab_serving.workers.registry import WorkerRegistry, WorkerState
state = WorkerState(True, {"model/all": "m7"}, {"index/tech": "damaged"})
registry = WorkerRegistry(Path(sys.argv[1]), lambda: state)
registry.update()
print("written", flush=True)
sys.stdin.readline()
print(registry.is_asked_to_forget(), registry.is_asked_to_forget(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another worker: a process that has written its state."""
    command = [sys.executable, "-c", OTHER, str(tmp_path / "workers")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


@pytest.fixture
def registry(tmp_path):
    return WorkerRegistry(tmp_path / "workers", lambda: WorkerState(False))


def test_a_worker_knows_the_state_of_the_others_until_they_die(registry, other, tmp_path):
    assert registry.has_other_ready()
    [second] = [worker for worker in registry.all() if not worker.itself]
    assert second.state == WorkerState(True, {"model/all": "m7"}, {"index/tech": "damaged"})
    assert len(registry.all()) == 2
    other.kill()
    other.wait()
    assert [worker.itself for worker in registry.all()] == [True]
    assert not registry.has_other_ready()
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_killed_worker_is_not_counted_although_it_is_not_yet_reaped(registry, other):
    assert registry.has_other_ready()
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # Wait for its end, and do not reap it.
    assert not registry.has_other_ready()
    assert [worker.itself for worker in registry.all()] == [True]


def test_each_request_to_forget_reaches_the_other_workers_once(registry, other):
    registry.ask_to_forget()
    assert not registry.is_asked_to_forget()
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.stdout.readline() == "True False\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"started": 1}',
        '{"started": "now", "ready": true, "served": {}, "refused": {}}',
        '{"started": 1, "ready": true, "served": [], "refused": {}}',
        " " * 300_000,
    ],
    ids=["empty", "half", "list", "incomplete", "no time", "no releases", "large"],
)
def test_a_file_without_a_living_worker_is_not_counted(registry, tmp_path, text):
    registry.update()
    (tmp_path / "workers" / f"{os.getppid()}.json").write_text(text)
    assert [worker.itself for worker in registry.all()] == [True]


def test_the_file_of_a_reused_process_id_is_not_counted_as_a_worker(registry, tmp_path):
    registry.update()
    state = {"started": time.time() - 10_000_000, "ready": True, "served": {}, "refused": {}}
    (tmp_path / "workers" / f"{os.getppid()}.json").write_text(json.dumps(state))
    assert not registry.has_other_ready()


def test_a_clock_that_is_set_hides_no_worker(registry, other, monkeypatch):
    before = registry.all()
    boot = psutil.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot + 3_600)
    assert registry.has_other_ready()
    assert [worker.started for worker in registry.all()] == pytest.approx([w.started + 3_600 for w in before])


def test_a_folder_that_cannot_be_written_is_reported_and_stops_nothing(tmp_path):
    (tmp_path / "workers").write_text("a file")
    registry = WorkerRegistry(tmp_path / "workers", lambda: WorkerState(True))
    registry.update()
    registry.ask_to_forget()
    assert "cannot be shared" in registry.failure
    assert [worker.state.ready for worker in registry.all()] == [True]


def test_a_single_worker_needs_no_folder():
    registry = WorkerRegistry(None, lambda: WorkerState(True))
    registry.update()
    registry.ask_to_forget()
    registry.remove()
    assert [worker.itself for worker in registry.all()] == [True]
    assert not registry.is_asked_to_forget()

"""Tests of dead runs. A run is dead if its process was killed before the run ended.

The lab detects a dead run, marks the run as failed with a reason, frees its slot in the queue and retries the run.

The tests call the functions that the daemon calls periodically. The tests use the lab's own `dagster.yaml`, PostgreSQL
and a real code server. The tests kill the code server and the processes of runs.
"""

import logging
import os
import queue
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster import DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.test.utils import execute_dagster_graphql
from processes_of_labs import kill_processes

from thumblab_core.settings import CHECKOUT, settings
from thumblab_pipelines import run_launcher
from thumblab_pipelines.dagster_storage import run_locks_of
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.run_locks import RunLocks

QUEUED, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
CANCELED = dg.DagsterRunStatus.CANCELED

LASTING = """
import os, time
import dagster as dg

@dg.op
def last() -> None:
    home = os.environ["DAGSTER_HOME"]
    if os.path.exists(home + "/deaf"):
        os.remove(home + "/deaf")
        with open(home + "/is_deaf.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(home + "/is_deaf.new", home + "/is_deaf")
        while True:
            try:
                time.sleep(0.05)
            except BaseException:
                pass
    while not os.path.exists(os.environ["DAGSTER_HOME"] + "/go"):
        time.sleep(0.05)

@dg.job(executor_def=dg.in_process_executor)
def lasting() -> None:
    last()

defs = dg.Definitions(jobs=[lasting])
"""
"""The code of the module that the code server loads. The module defines a job that runs until the file `go` exists.

If the file `deaf` exists, the run never ends, and ignores every request to end.
"""


@dataclass
class Daemon:
    """The functions that Dagster's daemon calls periodically. In this module, no daemon runs and the tests call the
    functions.
    """

    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext
    queue: QueuedRunCoordinatorDaemon
    now: float
    database: str

    def ask_for_a_run(self) -> str:
        """Launch a run as the webserver does, and return its id."""
        launch = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        where = {"repositoryLocationName": "lasting", "repositoryName": "__repository__", "jobName": "lasting"}
        answer = execute_dagster_graphql(
            self.workspace.create_request_context(), launch, {"params": {"selector": where, "mode": "default"}}
        ).data["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def dequeue(self) -> None:
        # After a code server fails, the queue pauses for 20 s. Move the time of the test past this pause.
        self.now += 60
        list(self.queue.run_iteration(self.workspace, fixed_iteration_time=self.now))

    def monitor(self) -> None:
        errors = execute_run_monitoring_iteration(self.workspace, logging.getLogger("test"))
        assert [error for error in errors if error is not None] == []

    def retry(self) -> None:
        list(EventLogConsumerDaemon().run_iteration(self.workspace))

    def replace_code_server(self) -> None:
        """Replace the code server, as Dagster's daemon does once a minute."""
        self.workspace.reload_code_location("lasting")

    @property
    def home(self) -> Path:
        return Path(self.instance.root_directory)

    def end_runs(self) -> None:
        """Create the file `go`. The steps of the job wait for this file, so runs end as soon as the file exists."""
        (self.home / "go").touch()

    def run(self, run_id: str) -> dg.DagsterRun:
        dagster_run = self.instance.get_run_by_id(run_id)
        assert dagster_run is not None
        return dagster_run

    def wait(self, run_id: str, status: dg.DagsterRunStatus) -> None:
        deadline = time.monotonic() + 60
        while self.run(run_id).status != status:
            assert time.monotonic() < deadline, f"{self.run(run_id).status} after a minute, expected {status}"
            time.sleep(0.05)

    def log_text(self, run_id: str) -> str:
        return "; ".join(str(record.message) for record in self.instance.all_logs(run_id))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def daemon(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(CHECKOUT / "dagster.yaml", folder)
    (folder / "lasting.py").write_text(LASTING)
    database = new_database()
    with in_lab(folder, database), dg.DagsterInstance.get() as instance:
        target = PythonFileTarget(str(folder / "lasting.py"), None, str(folder), "lasting")
        with WorkspaceProcessContext(instance, target) as workspace, QueuedRunCoordinatorDaemon(1) as queue:
            yield Daemon(instance, workspace, queue, time.time(), database)
            kill_processes(folder)


@contextmanager
def in_lab(folder: Path, database: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THUMBLAB_DATABASE_URL", database)
        patch.setenv("THUMBLAB_DATA_DIR", str(folder))
        patch.setenv("DAGSTER_HOME", str(folder))
        settings.cache_clear()
        yield


@pytest.fixture(autouse=True)
def of_this_lab(daemon: Daemon) -> Iterator[None]:
    with in_lab(daemon.home, daemon.database):
        yield


def killed_run(daemon: Daemon) -> str:
    """Start a run, kill its process and its code server while the run is going on, and return the id of the run."""
    (daemon.home / "go").unlink(missing_ok=True)
    run_id = daemon.ask_for_a_run()
    daemon.dequeue()
    daemon.wait(run_id, STARTED)
    kill_processes(daemon.home)
    return run_id


def test_a_run_killed_with_its_code_server_fails_and_is_retried(daemon: Daemon) -> None:
    # This call moves the daemon's cursor past earlier failures, so the later calls do not retry these failures.
    daemon.retry()
    killed = daemon.ask_for_a_run()
    daemon.dequeue()
    daemon.wait(killed, STARTED)
    daemon.monitor()
    assert daemon.run(killed).status == STARTED, "a run whose process lives must not be marked as failed"

    kill_processes(daemon.home)
    daemon.monitor()
    assert daemon.run(killed).status == FAILURE
    assert "its process is gone: it was killed, ran out of memory, or the machine stopped" in daemon.log_text(killed)

    daemon.retry()
    again = daemon.run(killed).tags["dagster/auto_retry_run_id"]
    daemon.dequeue()
    daemon.wait(again, STARTED)
    daemon.end_runs()
    daemon.wait(again, SUCCESS)
    assert list((daemon.home / "dagster" / "executing").iterdir()) == []


@pytest.mark.slow
def test_a_run_waits_for_a_new_code_server_when_the_old_one_is_dead(daemon: Daemon) -> None:
    daemon.end_runs()
    asked = daemon.ask_for_a_run()
    kill_processes(daemon.home)
    daemon.dequeue()
    assert daemon.run(asked).status == QUEUED
    assert "failed to reach the user code server, re-submitting the run into the queue" in daemon.log_text(asked)
    daemon.replace_code_server()
    daemon.dequeue()
    daemon.wait(asked, SUCCESS)


@pytest.mark.slow
def test_a_dead_run_waits_for_its_code_server_so_that_it_is_tried_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = killed_run(daemon)
    daemon.retry()
    with monkeypatch.context() as patch:
        # This patch prevents the daemon from starting a code server again, as if the code server were broken.
        patch.setattr(WorkspaceProcessContext, "reload_code_location", lambda *_: None)
        daemon.monitor()
        assert daemon.run(killed).status == STARTED
    daemon.monitor()
    assert daemon.run(killed).status == FAILURE
    daemon.retry()
    again = daemon.run(killed).tags["dagster/auto_retry_run_id"]
    daemon.end_runs()
    daemon.dequeue()
    daemon.wait(again, SUCCESS)


@pytest.mark.slow
def test_a_dead_run_fails_even_if_its_code_server_never_loads_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed = killed_run(daemon)
    module = daemon.home / "lasting.py"
    module.write_text("this is no Python")
    try:
        daemon.monitor()
        assert daemon.run(killed).status == STARTED
        monkeypatch.setattr(run_launcher, "_SERVER_S", 0.0)
        daemon.monitor()
        assert daemon.run(killed).status == FAILURE
        assert f"run {killed} is not tried again, because its code server does not answer" in caplog.text
    finally:
        module.write_text(LASTING)
        daemon.replace_code_server()


def test_a_run_of_another_data_folder_is_left_alone(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path / "one")
    locks.hold("elsewhere")
    assert not RunLocks(tmp_path / "other").abandoned("elsewhere")
    locks.release("elsewhere")


def test_every_run_has_a_maximum_duration(daemon: Daemon) -> None:
    assert daemon.instance.run_monitoring_max_runtime_seconds == 12 * 3_600
    assert daemon.instance.run_monitoring_start_timeout_seconds == 180
    bounds = {job.name: float((job.tags or {}).get("dagster/max_runtime", "0")) for job in defs().jobs or []}
    assert set(bounds) >= {"refresh_library", "observe_views"}
    assert bounds["observe_views"] == 2 * 3_600
    assert max(bounds.values()) < 12 * 3_600


def test_a_cancelled_run_that_does_not_end_is_killed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_launcher, "_ASKED_S", 0.5)
    monkeypatch.setattr(run_launcher, "_TERMINATED_S", 0.5)
    (daemon.home / "go").unlink(missing_ok=True)
    (daemon.home / "deaf").touch()
    deaf = daemon.ask_for_a_run()
    daemon.dequeue()
    wait_until((daemon.home / "is_deaf").exists)
    process = run_locks_of(daemon.instance).holder(deaf)
    assert process is not None
    step = psutil.Process(int((daemon.home / "is_deaf").read_text()))
    daemon.instance.run_launcher.terminate(deaf)
    daemon.wait(deaf, CANCELED)
    assert "did not end, so it was killed" in daemon.log_text(deaf)
    wait_until(lambda: not process.is_running() and not step.is_running())


def test_a_cancelled_run_is_killed_although_the_code_server_does_not_answer(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise DagsterUserCodeUnreachableError("the code server does not answer")

    ended: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(DefaultRunLauncher, "terminate", unreachable)
    monkeypatch.setattr(run_launcher, "_end_process", lambda instance, run_id, holder: ended.put(run_id))
    assert not daemon.instance.run_launcher.terminate("lost"), (
        "`terminate` must return False, because no process of this run is known"
    )
    assert ended.get(timeout=10) == "lost"


def test_the_holder_of_a_run_is_found_in_a_folder_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    RunLocks(Path("real")).mark_abandoned("run")
    path = RunLocks(Path("real"))._path("run")
    with path.open("rb+") as file, subprocess.Popen(["sleep", "60"], stdin=file) as process:
        path.write_bytes(str(process.pid).encode())
        try:
            for folder in (tmp_path / "real", tmp_path / "link", Path("real")):
                holder = RunLocks(folder).holder("run")
                assert holder is not None
                assert holder.pid == process.pid
        finally:
            process.kill()


def test_only_the_process_that_executes_a_run_is_its_holder(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path)
    locks.hold("own")
    assert locks.holder("own") is None, "this process must not count as the holder of the lock"
    locks.release("own")
    for content in (b"", b"x", b"1", b"99999999999999999999", str(os.getppid()).encode()):
        locks._path("other").write_bytes(content)
        assert locks.holder("other") is None, "a matching process id must not be enough to find the holder"

"""Dagster's default run launcher, which also reports whether a run still has a process, and ends a cancelled run.

Without this module, Dagster's run monitoring never ends a run whose process and code server were killed. The run would
keep the status "started", and would block a slot of the run queue forever.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher, RunsFilter
from dagster._core.errors import (
    DagsterCodeLocationLoadError,
    DagsterCodeLocationNotFoundError,
    DagsterUserCodeUnreachableError,
)
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._serdes import ConfigurableClassData

from thumblab_pipelines.dagster_storage import run_locks_of

_log = logging.getLogger(__name__)

_ASKED_S = 30.0
"""Seconds in which a cancelled run can end by itself. After this time, the processes of the run get SIGTERM."""

_TERMINATED_S = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_SERVER_S = 240.0
"""Maximum number of seconds that a dead run waits for its code server to answer. After this time, the dead run fails
and is not retried."""

_LOOK_S = 0.5

_GONE = "its process is gone: it was killed, ran out of memory, or the machine stopped"


class LabRunLauncher(DefaultRunLauncher):
    """Launcher that starts runs through the code server, and reports whether a run is still alive.

    A run is alive while a process holds its run lock. `LabRunStorage` takes and releases the run locks.
    """

    _workspace: IWorkspaceProcessContext[Any] | None = None
    """The Dagster workspace of the daemon that uses this launcher.

    The workspace is None until this launcher has started its first run.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._unanswered_since: dict[str, float] = {}
        """The dead runs whose code server does not answer, each with the time (monotonic clock) at which the run was
        first found dead."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: object) -> Self:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        if context.workspace is not None:
            self._workspace = context.workspace.process_context
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if not run_locks_of(self._instance).abandoned(run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if self._waits_for_code_server(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, _GONE)

    def terminate(self, run_id: str) -> bool:
        """Cancel a run, and kill it if it does not end soon.

        Dagster only asks the run to end. A step does not notice the request while a library call computes for a long
        time.
        """
        holder = run_locks_of(self._instance).holder(run_id)
        try:
            asked: bool = super().terminate(run_id)  # type: ignore[no-untyped-call]
        except DagsterUserCodeUnreachableError as error:
            # The run is already marked as being cancelled, and the code below ends it. If the error were raised,
            # Dagster would also mark the cancelled backfill of the run as failed.
            _log.warning("the code server could not be asked to cancel run %s: %s", run_id, error)
            asked = holder is not None
        finally:
            name, arguments = f"end run {run_id}", (self._instance, run_id, holder)
            threading.Thread(target=_end_process, name=name, args=arguments, daemon=True).start()
        return asked

    def _waits_for_code_server(self, run: DagsterRun) -> bool:
        """Return whether the report on a dead run must wait, because its code server does not answer now.

        If the code server has not answered for `_SERVER_S` seconds, the report does not wait.

        Dagster retries a failed run once, immediately. If the code server died with the run, the code server cannot
        answer, and Dagster does not retry the run. `thumblab up` starts a dead code server again. If Dagster's daemon
        started the code server, this method replaces the code server.
        """
        if self._workspace is None or run.remote_job_origin is None:
            return False
        name = run.remote_job_origin.location_name
        since = self._unanswered_since.setdefault(run.run_id, time.monotonic())
        answers = False
        try:
            if not self._answers(name):
                self._workspace.reload_code_location(name)
            answers = self._answers(name)
        except Exception:  # noqa: BLE001  after an error here, the dead run would keep its slot
            _log.exception("the code server of run %s could not be replaced", run.run_id)
        if answers:
            del self._unanswered_since[run.run_id]
            return False
        if time.monotonic() - since < _SERVER_S:
            return True
        _log.warning("run %s is not tried again, because its code server does not answer", run.run_id)
        del self._unanswered_since[run.run_id]
        return False

    def _answers(self, name: str) -> bool:
        """Return whether the code location is loaded and its code server answers."""
        assert self._workspace is not None
        try:
            location = self._workspace.create_request_context().get_code_location(name)
            if isinstance(location, GrpcServerCodeLocation):
                location.client.ping("")
        except (DagsterUserCodeUnreachableError, DagsterCodeLocationLoadError, DagsterCodeLocationNotFoundError):
            return False
        return True


def _end_process(instance: DagsterInstance, run_id: str, holder: psutil.Process | None) -> None:
    """Wait until the process of a cancelled run has ended, and kill the process if this takes too long.

    `holder`: the process of the run, or None if the run had no process yet when it was cancelled.
    """
    locks = run_locks_of(instance)
    deadline = time.monotonic() + _ASKED_S
    while time.monotonic() < deadline:
        holder = holder or locks.holder(run_id)
        if holder is not None and not holder.is_running():
            return
        time.sleep(_LOOK_S)
    if holder is None or not holder.is_running():
        return
    _log.warning("the cancelled run %s does not end, so its processes are killed", run_id)
    try:
        family = [*holder.children(recursive=True), holder]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(family, timeout=_TERMINATED_S)
    # The run is marked as cancelled before the kill. Otherwise the code server would report the killed process as a
    # failure, and Dagster would start the run again.
    run = instance.get_run_by_id(run_id)
    if alive and run is not None and run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "The run was cancelled. Its process did not end, so it was killed.")
    for process in alive:
        _signal(process.kill)


def _signal(send: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        send()


def end_abandoned_runs(instance: DagsterInstance) -> None:
    """Mark runs without a process as failed, and free their places in the pools.

    Dagster's daemon does the same in its run monitoring. So this function is needed only while no daemon runs.
    """
    locks = run_locks_of(instance)
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        if locks.abandoned(run.run_id):
            instance.report_run_failed(run, f"The run has failed: {_GONE}.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

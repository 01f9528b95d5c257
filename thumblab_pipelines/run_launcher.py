"""Dagster's default run launcher, extended to report whether a run still has a process, and to end a cancelled run.

Without this extension, Dagster's run monitoring never ends a run whose process and code server were killed. The run
would keep the status "started", and would block a slot of the run queue for ever.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher, RunsFilter
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._serdes import ConfigurableClassData

from thumblab_pipelines.dagster_storage import run_locks_of

_log = logging.getLogger(__name__)

_ASKED_S = 30.0
"""Seconds that a cancelled run has to end by itself, as Dagster asks it to do. Then its processes get SIGTERM."""

_TERMINATED_S = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_LOOK_S = 0.5

_GONE = "its process is gone: it was killed, ran out of memory, or the machine stopped"


class LabRunLauncher(DefaultRunLauncher):
    """Launcher that starts runs through the code server, and reports which runs are still alive.

    A run is alive while a process holds its run lock. `LabRunStorage` takes these locks.
    """

    _workspace: IWorkspaceProcessContext[Any] | None = None
    """The Dagster workspace of the daemon that uses this launcher.

    It is None until this launcher has started its first run.
    """

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
        try:
            self._replace_dead_code_server(run)
        except Exception:  # noqa: BLE001  An error here would keep the dead run in its slot.
            _log.exception("the code server of run %s could not be replaced", run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, _GONE)

    def terminate(self, run_id: str) -> bool:
        """Cancel a run. A run that does not end within a time is killed.

        Dagster only asks the run to end. A step that computes for a long time in one call of a library does not notice.
        """
        holder = run_locks_of(self._instance).holder(run_id)
        try:
            asked: bool = super().terminate(run_id)  # type: ignore[no-untyped-call]
        finally:  # Dagster raises an error if the code server does not answer.
            name, arguments = f"end run {run_id}", (self._instance, run_id, holder)
            threading.Thread(target=_end_process, name=name, args=arguments, daemon=True).start()
        return asked

    def _replace_dead_code_server(self, run: DagsterRun) -> None:
        """Reload the code location of a run if its code server does not answer.

        Dagster looks for a dead code server only once a minute. If Dagster retries the run before it has replaced the
        dead server, it gives up the retry. So this method replaces the dead server before the retry.
        """
        if self._workspace is None or run.remote_job_origin is None:
            return
        name = run.remote_job_origin.location_name
        location = self._workspace.create_request_context().get_code_location(name)
        if isinstance(location, GrpcServerCodeLocation):
            try:
                location.client.ping("")
            except DagsterUserCodeUnreachableError:
                self._workspace.reload_code_location(name)


def _end_process(instance: DagsterInstance, run_id: str, holder: psutil.Process | None) -> None:
    """Wait until the process of a cancelled run has ended, and kill it if it takes too long.

    `holder` is the process of the run, or None if the run had none yet when it was cancelled.
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
    # The run is marked first. The code server would otherwise take the killed process for a failure, and Dagster would
    # start the run again.
    run = instance.get_run_by_id(run_id)
    if alive and run is not None and run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "The run was cancelled. Its process did not end, so it was killed.")
    for process in alive:
        _signal(process.kill)


def _signal(send: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        send()


def end_abandoned_runs(instance: DagsterInstance) -> None:
    """Mark runs as failed if their process is gone, and give back their places in pools.

    Dagster's daemon does the same in its run monitoring. So this function is needed only while no daemon runs.
    """
    locks = run_locks_of(instance)
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        if locks.abandoned(run.run_id):
            instance.report_run_failed(run, f"The run has failed: {_GONE}.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

"""Dagster's default run launcher, extended to report whether a run still has a process.

Without this extension, Dagster's run monitoring never ends a run whose process and code server were killed. The run
would keep the status "started", and would block a slot of the run queue for ever.
"""

import logging
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher, RunsFilter
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._serdes import ConfigurableClassData

from thumblab_pipelines.dagster_storage import run_locks_of

_log = logging.getLogger(__name__)

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


def end_abandoned_runs(instance: DagsterInstance) -> None:
    """Mark runs as failed if their process is gone, and give back their places in pools.

    Dagster's daemon does the same in its run monitoring. So this function is needed only while no daemon runs.
    """
    locks = run_locks_of(instance)
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        if locks.abandoned(run.run_id):
            instance.report_run_failed(run, f"The run has failed: {_GONE}.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

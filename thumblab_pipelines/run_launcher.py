"""Dagster's own launcher, which can also say whether a run still has a process.

Without that, Dagster's run monitoring never ends a run whose process and code server were killed: it stays "started", and
keeps its slot of the run queue for good.
"""

import logging
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher, RunsFilter
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._serdes import ConfigurableClassData

from thumblab_pipelines import run_locks

_log = logging.getLogger(__name__)

_GONE = "its process is gone: it was killed, ran out of memory, or the machine stopped"


class LabRunLauncher(DefaultRunLauncher):
    """Launches runs by the code server. `run_locks` says which of them live; `LabRunStorage` takes the locks."""

    _workspace: IWorkspaceProcessContext[Any] | None = None
    """Of the daemon whose launcher this is, once it has launched a run."""

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
        if not run_locks.abandoned(run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            self._replace_dead_code_server(run)
        except Exception:  # noqa: BLE001  whatever it is, a run that is not found dead keeps its slot
            _log.exception("the code server of run %s could not be replaced", run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, _GONE)

    def _replace_dead_code_server(self, run: DagsterRun) -> None:
        """Dagster gives up a retry whose code server does not answer, and replaces that one only every minute."""
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
    """Mark runs whose process is gone as failed; where the daemon runs, its monitoring does so."""
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        if run_locks.abandoned(run.run_id):
            instance.report_run_failed(run, f"The run has failed: {_GONE}.")

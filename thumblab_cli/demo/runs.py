"""Run a Dagster job in this process. The lab's Dagster instance records the job like any other run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions, ExecuteInProcessResult

    from thumblab_core.settings import Settings
    from thumblab_pipelines.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """The result of a run that succeeded. `metadata` maps the name of each asset to its metadata.

    `checks` is the number of asset checks that ran. `checks_passed` is the number of checks that passed.
    """

    metadata: dict[str, dict[str, Any]]
    checks_passed: int
    checks: int


@dataclass(frozen=True)
class JobRunner:
    """A runner for the jobs of `definitions`. The jobs work on the lab that `settings` describe."""

    definitions: Definitions
    instance: DagsterInstance
    settings: Settings

    def run(self, job: str, listener: Progress, niche: str | None = None) -> Outcome:
        """Run a job, and raise LabError if a step or a check fails.

        `niche` is the partition to run. `niche` is None for a job without partitions.
        """
        from thumblab_pipelines.dagster_partitions import add_partitions
        from thumblab_pipelines.defs.resources import LabResource, MlflowResource

        if niche is not None:
            add_partitions(self.instance, [niche])
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=niche,
            # Turn retries off. Dagster's daemon runs a retry in a code server, and the demo has no code server.
            tags={"dagster/max_retries": "0"},
            resources={
                "lab": LabResource.in_this_process(self.settings, listener),
                "mlflow": MlflowResource(tracking_uri=self.settings.mlflow_url),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        _raise_on_failure(result, f"{job} {niche or ''}")
        metadata = {
            event.asset_key.to_user_string(): {
                name: getattr(value, "value", None) for name, value in event.materialization.metadata.items()
            }
            for event in result.get_asset_materialization_events()
            if event.asset_key is not None
        }
        checks = result.get_asset_check_evaluations()
        return Outcome(metadata, sum(check.passed for check in checks), len(checks))


def _raise_on_failure(result: ExecuteInProcessResult, run_name: str) -> None:
    from dagster import AssetCheckSeverity

    checks = result.get_asset_check_evaluations()
    failed_checks = [c for c in checks if not c.passed and c.severity == AssetCheckSeverity.ERROR]
    if failed_checks:
        reasons = [f"{c.asset_key.to_user_string()}: {c.check_name} ({c.description})" for c in failed_checks]
        raise LabError(f"{run_name} stopped because a check failed: {'; '.join(reasons)}")
    if not result.success:
        failed = next(event for event in result.all_events if event.is_step_failure)
        error = failed.step_failure_data.user_failure_data or failed.step_failure_data.error
        reason = getattr(error, "description", None) or getattr(error, "message", "") or "see the run in the Dagster UI"
        raise LabError(f"{run_name} failed in the step {failed.step_key}: {reason.strip()}")

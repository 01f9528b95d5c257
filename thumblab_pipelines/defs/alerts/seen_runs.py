"""Read the runs that have ended since the sensor's last tick, with their errors and check results."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg
from dagster import AssetCheckSeverity, DagsterEvent, DagsterEventType, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster_shared.error import SerializableErrorInfo

from thumblab_core.keys.secret_texts import without_secrets
from thumblab_core.monitoring.watch_state import CheckState, EndedRun, Level, WatchState
from thumblab_pipelines.alerts.book import Failed, Succeeded
from thumblab_pipelines.alerts.causes import CHECK_ADVICE, cause_of, first_sentence, shortened

_OVERLAP = timedelta(minutes=5)
"""The sensor also reads older runs: those that ended at most this long before the newest run that it has read. Such a
run may be new to the sensor, because a process may record the end of a run late."""

_UNDECIDED = timedelta(seconds=30)
"""Time in which Dagster records whether it retries a failed run. After this time, a run without a record counts as not
retried."""

_KEPT = timedelta(hours=72)
_MOST_RUNS, _MOST_KEPT = 500, 2_000
_REFRESH = "refresh_library"
_OUTCOMES = ("success", "failure")
_OF_CONFIG = {"add_channel", "change_index"}
"""Jobs whose runs differ in their config, for example in the imported files. The alerts of two runs of such a job are
kept apart by a digest of the config."""

_EVENTS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}


def count_from_zero(state: WatchState, jobs: Iterable[str]) -> None:
    """Set the number of ended runs to 0 for each job that has no ended run.

    Prometheus cannot see the first failure of a job as an increase if the job's counter appears with this failure.
    """
    for job in jobs:
        for outcome in _OUTCOMES:
            state.totals.setdefault(f"{job}/{outcome}", 0)


def read_runs(
    instance: dg.DagsterInstance, state: WatchState, now: datetime, secrets: Sequence[str]
) -> list[Failed | Succeeded]:
    """Read the runs that have ended since the sensor's last tick, and record them in the state. Return the failures and
    successes of these runs.

    `secrets` are removed from errors before an error is stored.

    The first tick in a new lab reports no old run, because old failures are of no use to a person.
    """
    if state.read_to is None:
        state.read_to = now
    events: list[Failed | Succeeded] = []
    ends = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    records = instance.get_run_records(
        RunsFilter(statuses=ends, updated_after=state.read_to - _OVERLAP),
        limit=_MOST_RUNS,
        order_by="update_timestamp",
        ascending=True,
    )
    for record in records:
        run, ended_at = record.dagster_run, record.update_timestamp
        is_old = state.checked_at is None and ended_at <= state.read_to
        if run.run_id in state.read_runs or _retried_or_undecided(instance, record, now):
            continue
        state.read_runs[run.run_id] = ended_at
        state.read_to = max(state.read_to, ended_at)
        if not is_old:
            events += _read_run(instance, state, record, secrets)
    oldest = state.read_to - 3 * _OVERLAP
    state.read_runs = {run_id: at for run_id, at in state.read_runs.items() if at > oldest}
    state.ended = [run for run in state.ended if run.ended_at > now - _KEPT][-_MOST_KEPT:]
    waiting = {"queued": [DagsterRunStatus.QUEUED], "running": [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]}
    state.going_on = {name: instance.get_runs_count(RunsFilter(statuses=of)) for name, of in waiting.items()}
    return events


def _retried_or_undecided(instance: dg.DagsterInstance, record: RunRecord, now: datetime) -> bool:
    """Return whether Dagster retries a failed run, or may still decide to retry it. Only the last attempt counts as a
    failure."""
    run = record.dagster_run
    if run.status != DagsterRunStatus.FAILURE or not instance.run_retries_enabled:
        return False
    said = run.tags.get(WILL_RETRY_TAG)
    return said == "true" or (said is None and now - record.update_timestamp < _UNDECIDED)


def _read_run(
    instance: dg.DagsterInstance, state: WatchState, record: RunRecord, secrets: Sequence[str]
) -> Iterator[Failed | Succeeded]:
    run, at = record.dagster_run, record.update_timestamp
    niche = run.tags.get("dagster/partition")
    failed = run.status == DagsterRunStatus.FAILURE
    found = [entry.event_log_entry for entry in instance.get_records_for_run(run.run_id, of_type=_EVENTS).records]
    happened = [entry.dagster_event for entry in found if entry.dagster_event is not None]
    checks = [
        event.event_specific_data for event in happened if isinstance(event.event_specific_data, AssetCheckEvaluation)
    ]
    of_checks = [_check(state, check, niche, record, secrets) for check in checks]
    outcome = _OUTCOMES[failed]
    state.totals[f"{run.job_name}/{outcome}"] = state.totals.get(f"{run.job_name}/{outcome}", 0) + 1
    step, said = _error(happened) if failed else (None, None)
    error = said and first_sentence(without_secrets(said, secrets))
    job = _job_or_assets(run, step)
    state.ended.append(EndedRun(run_id=run.run_id, job=job, niche=niche, ended_at=at, error=error))
    yield from filter(None, of_checks)
    # The step of an asset has the name of the asset. So the failure of an asset in a run of chosen assets ends when any
    # run makes the asset.
    for event in happened:
        if event.event_type == DagsterEventType.STEP_SUCCESS and event.step_key is not None:
            yield Succeeded(_named(event.step_key, niche), at)
    name = _named(job, niche)
    thing = f"{name} ({_digest(run.run_config)})" if run.job_name in _OF_CONFIG else name
    if not failed:
        if run.job_name == _REFRESH and niche is not None:
            state.refreshed[niche] = max(at, state.refreshed.get(niche, at))
        yield Succeeded(thing, at)
    # A failed check has its own alert, which explains more than the failure of its step. So the failed step gets no
    # alert.
    elif not any(isinstance(event, Failed) for event in of_checks):
        niches = {*instance.get_dynamic_partitions("niche"), *([] if niche is None else [niche])}
        cause, advice = cause_of(error or "", sorted(niches))
        yield Failed(cause, thing, f"{name} failed", error or "no reason given", advice, at, step, run.run_id)


def _job_or_assets(run: dg.DagsterRun, failed_step: str | None) -> str:
    """Return the name of the run's job. For a run of chosen assets, return the asset that failed, or else the chosen
    assets.

    Dagster gives all runs of chosen assets, and all runs of a backfill, the same job. With the name of this job, an alert
    would not say what failed, and the success of any asset would end the alert.
    """
    if run.job_name != IMPLICIT_ASSET_JOB_NAME:
        return run.job_name
    keys = run.asset_selection or {check.asset_key for check in run.asset_check_selection or ()}
    return failed_step or ", ".join(sorted(key.to_user_string() for key in keys)) or "a run of chosen assets"


def _check(
    state: WatchState, check: AssetCheckEvaluation, niche: str | None, record: RunRecord, secrets: Sequence[str]
) -> Failed | Succeeded | None:
    run_id, at = record.dagster_run.run_id, record.update_timestamp
    asset = check.asset_key.to_user_string()
    level: Level = "passed"
    if not check.passed:
        level = "error" if check.severity == AssetCheckSeverity.ERROR else "warning"
    explanation = shortened(without_secrets(check.description or f"the check {check.check_name} did not pass", secrets))
    thing = _named(f"the check {check.check_name} of {asset}", niche)
    known = CheckState(asset=asset, check=check.check_name, niche=niche, level=level, at=at, explanation=explanation)
    state.checks[json.dumps([asset, check.check_name, niche])] = known
    if level == "error":
        cause = f"check-{asset}.{check.check_name}"
        return Failed(cause, thing, f"{thing} failed", explanation, CHECK_ADVICE, at, None, run_id)
    return Succeeded(thing, at)


def _error(happened: list[DagsterEvent]) -> tuple[str | None, str]:
    """Return the step that failed first, and the text of its error. If no step failed, return None and the reason why
    the run failed."""
    for event in happened:
        data = event.event_specific_data
        if isinstance(data, StepFailureData):
            said = data.user_failure_data.description if data.user_failure_data else None
            return event.step_key, said or _innermost(data.error)
    reasons = [
        event.message for event in happened if event.event_type == DagsterEventType.RUN_FAILURE and event.message
    ]
    return None, reasons[0] if reasons else "Dagster gives no reason"


def _innermost(error: SerializableErrorInfo | None) -> str:
    """Return the message of the error that the step raised, without the Dagster errors that wrap it."""
    while error is not None and error.cause is not None and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return "" if error is None else error.message


def _digest(config: object) -> str:
    """Return a short digest of a run's config.

    An alert about a failed run has a name that contains this digest. So if one import fails, the success of another
    import does not end the alert.
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _named(what: str, niche: str | None) -> str:
    return what if niche is None else f"{what} of {niche}"

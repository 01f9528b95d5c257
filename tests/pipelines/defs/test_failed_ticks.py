"""Test that a schedule starts its runs although its evaluation failed at first. The scheduler, the lab's `dagster.yaml` and
PostgreSQL are real."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from thumblab_core.database.urls import named_database_url
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.settings import settings
from thumblab_pipelines.lab import Lab

THREE = datetime(2026, 11, 20, 3, tzinfo=ZoneInfo("Australia/Hobart")).astimezone(UTC)
MINUTE = timedelta(minutes=1)


def accept_connections(accept: bool) -> None:
    """Let the server refuse or accept connections to the lab's database. Dagster's database stays available."""
    url = settings().database_url
    assert url is not None
    name = make_url(url.get_secret_value()).database
    engine = create_engine(named_database_url("dagster", "psycopg2", settings()), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {accept}'))
        if not accept:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(ended), {"name": name})
    engine.dispose()


@pytest.mark.slow
def test_a_refresh_that_was_due_while_the_database_was_away_starts_when_it_is_back(
    dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_YOUTUBE_API_KEY", "a-key")  # Without a key, niches without videos get no runs.
    settings.cache_clear()
    target = LoadableTargetOrigin(module_name="thumblab_pipelines.definitions")
    location = InProcessTestWorkspaceLoadTarget(InProcessCodeLocationOrigin(target, location_name="thumblab"))
    Lab.open()
    times: dict[str, ScheduleIterationTimes] = {}
    with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, location) as workspace:
        instance.wipe_all_schedules()
        (code,) = workspace.create_request_context().code_locations
        (repository,) = code.get_repositories().values()
        for schedule in repository.get_schedules():
            if schedule.name != "daily_refresh":
                instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)
        earlier = {run.run_id for run in instance.get_runs()}

        def started(now: datetime) -> list[str]:
            """Let the scheduler of the daemon look once, and return the niches of the runs that it has started so far."""
            with freeze_time(now):
                retries = instance.scheduler.max_tick_retries  # type: ignore[union-attr]
                list(launch_scheduled_runs(workspace, logging.getLogger("test"), now, times, max_tick_retries=retries))
            runs = [run for run in instance.get_runs() if run.run_id not in earlier]
            return sorted(run.tags["dagster/partition"] for run in runs)

        assert started(THREE - MINUTE) == []
        accept_connections(False)
        try:
            assert [started(THREE + number * MINUTE) for number in range(30)] == [[]] * 30
        finally:
            accept_connections(True)
        assert started(THREE + 30 * MINUTE) == sorted(DEFAULT_NAMES)
        assert started(THREE + timedelta(hours=2)) == sorted(DEFAULT_NAMES)
        for run in instance.get_runs():
            if run.run_id not in earlier:
                instance.delete_run(run.run_id)

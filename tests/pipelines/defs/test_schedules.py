"""Test which schedules and sensors start work, and that the schedules use the local time of Hobart.

On two days a year, an hour of Hobart time is skipped or repeated.
"""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs
from dagster._utils.schedules import schedule_execution_time_iterator
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import make_url

from thumblab_core.database.tables import channels, videos
from thumblab_core.database.urls import named_database_url
from thumblab_core.niches import DEFAULT_NAMES, Niche
from thumblab_core.niches.store import add_niche, retire_niche
from thumblab_core.settings import settings
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.collection.crawl import daily_crawl
from thumblab_pipelines.defs.library.refresh import daily_refresh
from thumblab_pipelines.defs.maps.jobs import daily_map_of_all
from thumblab_pipelines.defs.ranking.train import weekly_training
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.upkeep.jobs import frequent_observation
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.quota import next_reset

HOBART = ZoneInfo("Australia/Hobart")
THREE = datetime(2026, 11, 20, 3, tzinfo=HOBART).astimezone(UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def key(fresh_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set an API key, so that each niche has something to collect."""
    monkeypatch.setenv("THUMBLAB_YOUTUBE_API_KEY", "a-key")


def ticks(schedule: dg.ScheduleDefinition, start: datetime, end: datetime) -> list[datetime]:
    """Return the times from `start` to `end`, in Hobart's time, at which Dagster would start the schedule's job."""
    moments = []
    for moment in schedule_execution_time_iterator(
        start.timestamp(), schedule.cron_schedule, schedule.execution_timezone, ascending=True
    ):
        if moment.timestamp() >= end.timestamp():
            return moments
        moments.append(moment.astimezone(HOBART))
    return moments


@pytest.mark.parametrize(
    ("month", "change"),
    [("October: an hour is skipped", (2026, 10, 4)), ("April: an hour is repeated", (2027, 4, 4))],
)
def test_the_refresh_is_at_three_once_on_the_days_when_the_clocks_change(
    month: str, change: tuple[int, int, int]
) -> None:
    year, number, day = change
    start, end = datetime(year, number, day - 2, 12, tzinfo=HOBART), datetime(year, number, day + 3, 12, tzinfo=HOBART)
    offsets = {datetime(year, number, day + n, 12, tzinfo=HOBART).utcoffset() for n in (-1, 0)}
    assert len(offsets) == 2, f"the clocks do not change on this day; {month}"
    fired = ticks(daily_refresh, start, end)
    assert [(t.day, t.hour, t.minute) for t in fired] == [(day + n, 3, 0) for n in (-1, 0, 1, 2, 3)]


def test_the_refresh_fires_once_on_every_day_of_a_year() -> None:
    fired = ticks(daily_refresh, datetime(2026, 7, 1, tzinfo=HOBART), datetime(2027, 7, 1, tzinfo=HOBART))
    assert len({t.date() for t in fired}) == len(fired) == 365
    assert {(t.hour, t.minute) for t in fired} == {(3, 0)}


def test_training_is_on_mondays_after_the_refresh_of_that_morning() -> None:
    fired = ticks(weekly_training, datetime(2026, 9, 1, tzinfo=HOBART), datetime(2027, 5, 1, tzinfo=HOBART))
    assert {(t.weekday(), t.hour, t.minute) for t in fired} == {(0, 5, 0)}


def evaluated_at(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, moment: datetime) -> Any:
    """Return what the schedule says at a moment: the runs that it requests, or why it requests none."""
    with dg.build_schedule_context(
        instance,
        scheduled_execution_time=moment,
        repository_def=defs().get_repository_def(),
        resources={"lab": LabResource()},
    ) as context:
        return schedule.evaluate_tick(context)


def requests_at(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, moment: datetime) -> list[dg.RunRequest]:
    """Return the runs that the schedule requests at a moment."""
    return list(evaluated_at(schedule, instance, moment).run_requests or [])


def test_a_tick_asks_for_one_run_of_each_niche_under_a_key_of_its_own(instance: dg.DagsterInstance) -> None:
    moment = datetime(2026, 10, 4, 3, tzinfo=HOBART)
    requests = requests_at(daily_refresh, instance, moment)
    assert [request.partition_key for request in requests] == list(DEFAULT_NAMES)
    assert [request.run_key for request in requests] == [f"2026-10-04/{niche}" for niche in DEFAULT_NAMES]


def test_the_same_tick_asks_for_the_same_runs_and_a_tick_of_the_next_day_for_other_runs(
    instance: dg.DagsterInstance,
) -> None:
    def keys(day: int) -> list[str | None]:
        moment = datetime(2026, 10, day, 3, tzinfo=HOBART)
        return [request.run_key for request in requests_at(daily_refresh, instance, moment)]

    assert keys(4) == keys(4)
    assert not set(keys(4)) & set(keys(5))


def test_the_crawl_begins_after_californias_midnight_on_every_day_of_a_year() -> None:
    fired = ticks(daily_crawl, datetime(2026, 7, 1, tzinfo=HOBART), datetime(2027, 7, 1, tzinfo=HOBART))
    assert len(fired) == 365
    for tick in fired:
        last_reset = next_reset(tick) - timedelta(days=1)
        assert timedelta(minutes=29) <= tick - last_reset <= timedelta(hours=4)


def test_views_are_observed_every_six_hours_and_each_round_has_keys_of_its_own(instance: dg.DagsterInstance) -> None:
    fired = ticks(frequent_observation, datetime(2026, 9, 1, tzinfo=HOBART), datetime(2026, 9, 4, tzinfo=HOBART))
    assert [t.hour for t in fired] == [0, 6, 12, 18] * 3
    keys = set()
    for moment in fired:
        requests = requests_at(frequent_observation, instance, moment)
        assert [request.partition_key for request in requests] == list(DEFAULT_NAMES)
        keys |= {request.run_key for request in requests}
    assert len(keys) == len(fired) * len(DEFAULT_NAMES)


def test_a_niche_that_is_added_without_a_restart_is_refreshed_and_observed_and_a_retired_one_is_not(
    instance: dg.DagsterInstance,
) -> None:
    def niches(schedule: dg.ScheduleDefinition, day: int) -> list[str | None]:
        moment = datetime(2026, 10, day, 3, tzinfo=HOBART)
        return [request.partition_key for request in requests_at(schedule, instance, moment)]

    lab = Lab.open()
    assert niches(daily_refresh, 4) == niches(frequent_observation, 4) == list(DEFAULT_NAMES)
    # Another machine changes the table, so the file in this data folder is not written.
    elsewhere = lab.settings.data_dir / "elsewhere"
    elsewhere.mkdir()
    add_niche(lab.engine, elsewhere, Niche("cooking", searches=("recipe",)))
    retire_niche(lab.engine, elsewhere, "news")
    expected = [*(name for name in DEFAULT_NAMES if name != "news"), "cooking"]
    assert niches(daily_refresh, 5) == niches(frequent_observation, 5) == expected
    assert instance.has_dynamic_partition("niche", "cooking")


def test_without_a_key_only_niches_with_videos_get_runs(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THUMBLAB_YOUTUBE_API_KEY")
    settings.cache_clear()
    moment = datetime(2026, 10, 4, 3, tzinfo=HOBART)
    for schedule in (daily_refresh, daily_map_of_all, weekly_training):
        done = evaluated_at(schedule, instance, moment)
        assert (done.run_requests, done.skip_message) == ([], "no YouTube API key is set, and no niche has videos")
    facts = {"title": "t", "tags": [], "source": "catalogue", "published_at": moment, "collected_at": moment}
    with Lab.open().engine.begin() as connection:
        connection.execute(insert(channels), {"channel_id": "UCa", "title": "A"})
        video = facts | {"video_id": "a", "channel_id": "UCa", "niche": "tech", "refreshed_at": moment}
        connection.execute(insert(videos), video)
    for schedule in (daily_refresh, frequent_observation):
        assert [request.partition_key for request in requests_at(schedule, instance, moment)] == ["tech"]
    assert [len(requests_at(schedule, instance, moment)) for schedule in (daily_map_of_all, weekly_training)] == [1, 1]


def test_these_are_the_schedules_and_the_sensors_and_nothing_else_starts_work() -> None:
    repository = defs().get_repository_def()
    schedules = {s.name: s for s in repository.schedule_defs}
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    assert {name: (s.job_name, s.cron_schedule, s.default_status) for name, s in schedules.items()} == {
        "daily_refresh": ("refresh_library", "0 3 * * *", running),
        "daily_retention": ("apply_retention", "30 4 * * *", running),
        "daily_lab_retention": ("apply_lab_retention", "40 4 * * *", running),
        "frequent_observation": ("observe_views", "15 */6 * * *", running),
        # The crawl may spend most of a day's quota, so a person has to turn it on.
        "daily_crawl": ("crawl_corpus", "30 19 * * *", stopped),
        "weekly_training": ("train_ranker", "0 5 * * 1", running),
        # By default, the scoring service keeps no predictions, so this job would have nothing to measure.
        "daily_prediction_quality": ("judge_predictions", "0 6 * * *", stopped),
        "daily_checks": ("check_lab", "30 6 * * *", running),
        "daily_summary": ("send_summary", "0 7 * * *", running),
        # The search for people is turned off by default.
        "daily_faces": ("find_faces", "30 4 * * *", stopped),
        "daily_people": ("group_people", "30 5 * * *", stopped),
        "weekly_reports": ("report_niche", "30 5 * * 1", running),
        "daily_maps": ("map_library", "0 6 * * *", running),
        "daily_map_of_all": ("map_all_libraries", "30 6 * * *", running),
    }
    assert {s.execution_timezone for s in schedules.values()} == {"Australia/Hobart"}
    sensors = {s.name: (s.job_name if s.targets else None, s.default_status) for s in repository.sensor_defs}
    assert sensors == {
        "alerts": (None, dg.DefaultSensorStatus.RUNNING),
        "index_rebuilds": ("rebuild_index", dg.DefaultSensorStatus.RUNNING),
        "champion_moved": ("serve_model", dg.DefaultSensorStatus.RUNNING),
        "crawl_encoding": ("encode_crawl", dg.DefaultSensorStatus.RUNNING),
        "niches": (None, dg.DefaultSensorStatus.RUNNING),
    }


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
def test_a_refresh_that_was_due_while_the_database_was_away_starts_when_it_is_back(dagster_home: Path) -> None:
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

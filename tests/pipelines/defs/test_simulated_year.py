"""Tests of the schedules during a simulated year. Dagster's own scheduler runs with a clock that the tests set.

The scheduler evaluates the schedules at irregular moments, as a busy daemon does. Sometimes the scheduler is down for
30 hours. The year contains both changes between standard time and daylight saving time. The runs are queued and not
executed.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dagster import DagsterInstance, DagsterRun
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.test_utils import freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.settings import CHECKOUT

HOBART = ZoneInfo("Australia/Hobart")
OCTOBER, APRIL = date(2026, 10, 4), date(2027, 4, 4)
"""The day on which an hour is skipped, and the day on which an hour is repeated."""

Pause = tuple[datetime, datetime]


@dataclass
class Scheduler:
    """Dagster's scheduler, with the lab's code server and `dagster.yaml`. Only `daily_refresh` is turned on.

    All tests of a process share Dagster's database. `earlier` has the ids of the runs that other tests left in it.
    """

    workspace: WorkspaceProcessContext
    instance: DagsterInstance
    earlier: set[str]

    @property
    def runs(self) -> list[DagsterRun]:
        """The runs that this scheduler has started."""
        return [run for run in self.instance.get_runs() if run.run_id not in self.earlier]

    def simulate(self, start: datetime, end: datetime, pauses: Sequence[Pause] = (), seed: int = 0) -> list[DagsterRun]:
        """Let the scheduler evaluate the schedule at irregular times from `start` to `end`, but never in one of the
        pauses. Return the runs.
        """
        chance = random.Random(seed)
        times: dict[str, ScheduleIterationTimes] = {}
        now = start
        self.look(now, times)
        while now < end:
            now += timedelta(hours=chance.choice([0.5, 1, 3, 7]), seconds=chance.randrange(60))
            for begin, stop in pauses:
                if begin <= now < stop:
                    now, times = stop, {}  # A new process of the daemon has no state in its memory.
            self.look(now, times)
            self.look(now, times)  # A second evaluation at the same time must not start a run again.
        return self.runs

    def look(self, now: datetime, times: dict[str, ScheduleIterationTimes]) -> None:
        with freeze_time(now):
            errors = list(launch_scheduled_runs(self.workspace, logging.getLogger("test"), now, times))
        assert [error for error in errors if error is not None] == []


@pytest.fixture
def scheduler(dagster_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    monkeypatch.setenv("THUMBLAB_YOUTUBE_API_KEY", "a-key")  # Without a key, niches without videos get no runs.
    target = ModuleTarget("thumblab_pipelines.definitions", None, str(CHECKOUT), "thumblab")
    with DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as workspace:
        instance.wipe_all_schedules()
        (location,) = workspace.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        for schedule in repository.get_schedules():
            if schedule.name != "daily_refresh":
                instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)
        made = Scheduler(workspace, instance, {run.run_id for run in instance.get_runs()})
        yield made
        # Delete the runs, because Dagster starts no second run with the same key. Otherwise the next test would miss
        # the refreshes of these days.
        for run in made.runs:
            instance.delete_run(run.run_id)


def refreshes(runs: Sequence[DagsterRun]) -> Counter[tuple[date, str]]:
    """Return the number of refreshes by local day and niche. Check that each refresh is scheduled for 03:00 of its day."""
    counted: Counter[tuple[date, str]] = Counter()
    for run in runs:
        assert run.job_name == "refresh_library"
        due = datetime.fromisoformat(run.tags[".dagster/scheduled_execution_time"]).astimezone(HOBART)
        assert (due.hour, due.minute) == (3, 0)
        assert run.tags["dagster/run_key"] == f"{due.date()}/{run.tags['dagster/partition']}"
        counted[due.date(), run.tags["dagster/partition"]] += 1
    return counted


def once_each(first: date, last: date, *without: date) -> Counter[tuple[date, str]]:
    """Return the expected result of `refreshes`: one refresh of every niche on each day from `first` to `last`, except
    on the days in `without`.
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Counter((day, niche) for day in days if day not in without for niche in DEFAULT_NAMES)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=HOBART).astimezone(UTC)


@pytest.mark.slow
def test_every_niche_is_refreshed_once_a_day_when_the_clock_changes_and_after_thirty_hours_without_a_daemon(
    scheduler: Scheduler,
) -> None:
    # The clock changes on the day OCTOBER. The daemon is down for 30 hours, from 02:00 on the next day to 08:00 on the
    # day after. In this time, the daemon misses the refresh at 03:00 on two days. Afterwards, the daemon runs only the
    # refresh of the second of these days.
    day = timedelta(days=1)
    pause = (at(OCTOBER + day, 2), at(OCTOBER + 2 * day, 8))
    runs = scheduler.simulate(at(OCTOBER, 0), at(OCTOBER + 2 * day, 12), [pause])
    assert refreshes(runs) == once_each(OCTOBER, OCTOBER + 2 * day, OCTOBER + day)


@pytest.mark.heavy
@pytest.mark.timeout(1_800)
def test_in_a_year_with_both_clock_changes_and_outages_every_niche_is_refreshed_once_a_day(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dagster records 22 events for each run, about the assets that the run will make. These tests do not need the
    # events. Without this patch, storing the events would take most of the time.
    monkeypatch.setattr(RunDomain, "_log_asset_planned_events", lambda *_: None)
    start, end = date(2026, 7, 1), date(2027, 6, 30)
    # Each pause takes 30 hours. A clock change falls into each of the first two pauses. Each of these two pauses
    # includes 03:00 on two days.
    pauses = [
        (at(OCTOBER, 1), at(OCTOBER, 1) + timedelta(hours=30)),
        (at(APRIL - timedelta(days=1), 23), at(APRIL - timedelta(days=1), 23) + timedelta(hours=30)),
        (at(date(2027, 1, 10), 12), at(date(2027, 1, 10), 12) + timedelta(hours=30)),
    ]
    runs = scheduler.simulate(at(start, 1), at(end, 12), pauses, seed=1)
    assert refreshes(runs) == once_each(start, end, OCTOBER, APRIL)


@pytest.mark.heavy
@pytest.mark.timeout(1_800)
def test_after_the_clock_was_ahead_and_is_set_back_every_niche_is_refreshed_each_day(scheduler: Scheduler) -> None:
    day, ahead = date(2026, 11, 20), date(2026, 12, 20)
    scheduler.simulate(at(day, 1), at(day, 12))
    scheduler.look(at(ahead, 12), {})
    # `thumblab up` restarts the daemon when the clock is set back. The new daemon's memory is empty.
    runs = scheduler.simulate(at(day, 13), at(day + timedelta(days=2), 12))
    assert refreshes(runs) == once_each(day, day + timedelta(days=2)) + once_each(ahead, ahead)

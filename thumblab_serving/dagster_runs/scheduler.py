"""Watch the state of Dagster's schedules, for `/health`."""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from thumblab_serving.dagster_runs.graphql import REPOSITORY, DagsterError, DagsterGraphql
from thumblab_serving.dagster_runs.queries import SCHEDULER, Schedule, message_of

_KEPT_SECONDS = 15.0
_PATIENCE = 0.5
"""Seconds that `/health` waits for Dagster. If Dagster takes longer, `/health` answers with what is known."""

_SCHEDULES = TypeAdapter(list[Schedule])


@dataclass(frozen=True)
class ScheduleStatus:
    """A schedule: the job that it starts, when it starts the job, and whether it is on. `next_run` is None if the
    schedule is off.
    """

    name: str
    job: str
    cron: str
    timezone: str | None
    running: bool
    next_run: datetime | None


@dataclass(frozen=True)
class SchedulerStatus:
    """The state of the scheduler when Dagster was queried last. `reason` says why `state` is not `running`."""

    state: Literal["running", "stopped", "unknown"]
    reason: str | None
    asked_at: datetime | None = None
    schedules: Sequence[ScheduleStatus] = ()


class SchedulerWatch:
    """The last known state of the scheduler. Dagster is queried at most every 15 seconds, and only when `status` is
    called.
    """

    def __init__(self, graphql: DagsterGraphql) -> None:
        self._graphql = graphql
        self._known = SchedulerStatus("unknown", "Dagster was not asked yet")
        self._asked_at = -math.inf
        self._asking: asyncio.Task[None] | None = None

    async def status(self) -> SchedulerStatus:
        """Return the state of the scheduler, at most half a second after the call."""
        if self._asking is None and time.monotonic() - self._asked_at >= _KEPT_SECONDS:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._asking), _PATIENCE)
        return self._known

    async def close(self) -> None:
        """Stop the queries to Dagster."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _ask(self) -> None:
        try:
            data = await self._graphql.ask(SCHEDULER, {"repository": REPOSITORY})
            self._known = _status(data)
        except DagsterError as error:
            self._known = SchedulerStatus("unknown", str(error), datetime.now(UTC))
        finally:
            self._asked_at, self._asking = time.monotonic(), None


def _status(data: dict[str, Any]) -> SchedulerStatus:
    now = datetime.now(UTC)
    listed = data.get("schedulesOrError")
    try:
        healthy = data["instance"]["daemonHealth"]["daemonStatus"]["healthy"]
        schedules = [_schedule(each) for each in _SCHEDULES.validate_python(listed["results"])]  # type: ignore[index]
    except (KeyError, TypeError, ValidationError):
        return SchedulerStatus("unknown", f"Dagster cannot list its schedules: {message_of(listed)}", now)
    if not healthy:
        reason = "Dagster's daemon, which starts the scheduled runs, does not run"
        return SchedulerStatus("stopped", reason, now, schedules)
    if not any(schedule.running for schedule in schedules):
        return SchedulerStatus("stopped", "every schedule is turned off in Dagster", now, schedules)
    return SchedulerStatus("running", None, now, schedules)


def _schedule(schedule: Schedule) -> ScheduleStatus:
    running = schedule.schedule_state.status == "RUNNING"
    ticks = [tick.timestamp for tick in schedule.future_ticks.results if tick.timestamp is not None]
    next_run = datetime.fromtimestamp(ticks[0], UTC) if running and ticks else None
    return ScheduleStatus(
        schedule.name,
        schedule.pipeline_name,
        schedule.cron_schedule,
        schedule.execution_timezone,
        running,
        next_run,
    )

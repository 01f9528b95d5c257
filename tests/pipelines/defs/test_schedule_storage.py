"""Tests of Dagster's stored states of schedules and sensors.

The states were stored while the clock was ahead. After that, the clock is set back.
"""

from dagster import DagsterInstance
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import freeze_time

NOW, AHEAD = 1_795_000_000.0, 1_795_000_000.0 + 30 * 86_400


def noted(instance: DagsterInstance, name: str, data: ScheduleInstigatorData | SensorInstigatorData) -> InstigatorState:
    """Store a state of a schedule or a sensor, as Dagster does."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("thumblab"), "__repository__")
    kind = InstigatorType.SCHEDULE if isinstance(data, ScheduleInstigatorData) else InstigatorType.SENSOR
    state = InstigatorState(RemoteInstigatorOrigin(repository, name), kind, InstigatorStatus.RUNNING, data)
    return instance.add_instigator_state(state)


def test_times_of_the_future_become_the_moment_at_which_the_daemon_first_reads_them(instance: DagsterInstance) -> None:
    noted(instance, "daily_refresh", ScheduleInstigatorData("0 3 * * *", NOW - 9, AHEAD))
    noted(instance, "champion_moved", SensorInstigatorData(last_tick_timestamp=AHEAD, cursor="kept"))
    for later in (0, 3_600):
        with freeze_time(NOW + later):
            states = {state.instigator_name: state.instigator_data for state in instance.all_instigator_state()}
        assert states["daily_refresh"] == ScheduleInstigatorData("0 3 * * *", NOW - 9, NOW)
        assert states["champion_moved"] == SensorInstigatorData(last_tick_timestamp=NOW, cursor="kept")


def test_a_tick_of_the_future_is_not_the_latest(instance: DagsterInstance) -> None:
    state = noted(instance, "daily_refresh", ScheduleInstigatorData("0 3 * * *", NOW, NOW))
    for timestamp in (NOW - 9, AHEAD):
        tick = TickData(
            state.instigator_origin_id,
            state.instigator_name,
            state.instigator_type,
            TickStatus.SUCCESS,
            timestamp,
            run_ids=["a run"],
            selector_id=state.selector_id,
        )
        instance.create_tick(tick)
    for now, latest in ((NOW, NOW - 9), (AHEAD, AHEAD)):
        with freeze_time(now):
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        assert [tick.timestamp for tick in ticks] == [latest]

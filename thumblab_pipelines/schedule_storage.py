"""Dagster's storage of schedules and sensors, for machines whose clock may be set back.

Dagster stores the time when it last evaluated a schedule or a sensor. The next evaluation is always later than the
stored time. If the clock was ahead and is then set back, the stored time is in the future. Without this module, Dagster
would not evaluate the schedule or sensor before this time.
"""

from collections.abc import Sequence
from typing import Any

from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    ScheduleInstigatorData,
    SensorInstigatorData,
)
from dagster._time import get_current_timestamp
from dagster_postgres.schedule_storage import PostgresScheduleStorage

from thumblab_pipelines.dagster_engine import KeptConnections

_AHEAD_S = 60.0
"""Seconds that a stored time may be ahead of this process's clock. Clocks of two machines usually differ by less than
this time."""


class LabScheduleStorage(KeptConnections, PostgresScheduleStorage):  # type: ignore[misc]
    """Storage that replaces a time in the future by the present time, and leaves out ticks in the future."""

    def all_instigator_state(self, *arguments: Any, **options: Any) -> Sequence[InstigatorState]:
        states = []
        for state in super().all_instigator_state(*arguments, **options):
            present = _not_ahead(state)
            if present is not state:
                # The present time is stored, so that it stays the same for the next passes of the daemon. With a new
                # time in each pass, no schedule would ever be due.
                self.update_instigator_state(present)
            states.append(present)
        return states

    def get_instigator_state(self, origin_id: str, selector_id: str) -> InstigatorState | None:
        state = super().get_instigator_state(origin_id, selector_id)
        return None if state is None else _not_ahead(state)

    def get_ticks(
        self, origin_id: str, selector_id: str, before: float | None = None, *arguments: Any, **options: Any
    ) -> Sequence[InstigatorTick]:
        latest = get_current_timestamp() + _AHEAD_S
        until = latest if before is None else min(before, latest)
        ticks: Sequence[InstigatorTick] = super().get_ticks(origin_id, selector_id, until, *arguments, **options)
        return ticks


def _not_ahead(state: InstigatorState) -> InstigatorState:
    """Return the state with each time in the future replaced by the present time."""
    data, now = state.instigator_data, get_current_timestamp()
    if not isinstance(data, ScheduleInstigatorData | SensorInstigatorData):
        return state
    times: dict[str, Any] = {
        name: now
        for name, value in data._asdict().items()
        if name.endswith("_timestamp") and value is not None and value > now + _AHEAD_S
    }
    return state.with_data(data._replace(**times)) if times else state

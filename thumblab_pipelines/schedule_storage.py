"""Dagster's storage of schedules and sensors, for machines whose clock is set back.

Dagster notes when it last looked at a schedule or a sensor, and looks again only after this time. If the clock was ahead
and is then set back, these notes lie in the future. Dagster would do nothing until the clock has reached them.
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
"""The seconds that a time may be ahead of this process's clock. Clocks of two machines differ by less."""


class LabScheduleStorage(KeptConnections, PostgresScheduleStorage):  # type: ignore[misc]
    """Storage that replaces a time in the future by the present, and does not return ticks of the future."""

    def all_instigator_state(self, *arguments: Any, **options: Any) -> Sequence[InstigatorState]:
        states = []
        for state in super().all_instigator_state(*arguments, **options):
            present = _not_ahead(state)
            if present is not state:
                # If it were not stored, every look of the daemon would begin at its own moment, and find nothing due.
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
    """Return the state with the present in place of each time that lies in the future."""
    data, now = state.instigator_data, get_current_timestamp()
    if not isinstance(data, ScheduleInstigatorData | SensorInstigatorData):
        return state
    times: dict[str, Any] = {
        name: now
        for name, value in data._asdict().items()
        if name.endswith("_timestamp") and value is not None and value > now + _AHEAD_S
    }
    return state.with_data(data._replace(**times)) if times else state

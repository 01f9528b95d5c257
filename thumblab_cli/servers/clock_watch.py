"""Detect that the clock of this machine was set back."""

import time

_LEAST_S = 60.0
"""If the clock is set back by fewer seconds, the change is ignored, because it delays no schedule of Dagster."""


class ClockWatch:
    """A watch that compares the system clock with the monotonic clock, which nobody can change."""

    def __init__(self) -> None:
        self._difference = _difference()

    def seconds_set_back(self) -> float:
        """Return how many seconds the clock was set back since the last call. Less than a minute counts as 0."""
        before, self._difference = self._difference, _difference()
        step = before - self._difference
        return step if step > _LEAST_S else 0.0


def _difference() -> float:
    return time.time() - time.monotonic()

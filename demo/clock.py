"""The emulator's clock. The time of the clock moves only when `advance` is called."""

import threading
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
"""The time zone of YouTube's quotas. The quotas are reset at midnight in this zone."""


class Clock:
    """A simulated clock. The time of the clock moves only when `advance` is called.

    Args:
        start: the time at which the clock starts. The start must have a time zone.
    """

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    @property
    def now(self) -> datetime:
        """The simulated time, in UTC."""
        return self._now

    @property
    def http_date(self) -> str:
        """The simulated time in the format of an HTTP `Date` header, in whole seconds."""
        return http_date(self._now)

    @property
    def quota_day(self) -> date:
        """The simulated calendar day in America/Los_Angeles."""
        return self._now.astimezone(PACIFIC).date()

    def advance(self, by: timedelta) -> None:
        """Move the clock forward. Raise ValueError for a negative step, because view counts must never shrink."""
        if by < timedelta(0):
            raise ValueError(f"the clock only moves forward; got a step of {by}")
        with self._lock:
            self._now += by


def http_date(moment: datetime) -> str:
    """Return a moment as an HTTP date, such as `Fri, 20 Nov 2026 12:00:00 GMT`."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)

"""The emulator's time: it stands still until a test moves it on."""

import threading
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
"""Where YouTube's quotas begin their day."""


class Clock:
    """A moment that only `advance` changes.

    Args:
        start: aware; the first moment.
    """

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    @property
    def now(self) -> datetime:
        """Aware, UTC."""
        return self._now

    @property
    def http_date(self) -> str:
        """As a `Date` header writes it; whole seconds."""
        return http_date(self._now)

    @property
    def quota_day(self) -> date:
        """The calendar day in America/Los_Angeles."""
        return self._now.astimezone(PACIFIC).date()

    def advance(self, by: timedelta) -> None:
        """Move on; raises ValueError for a step back, as no count may shrink."""
        if by < timedelta(0):
            raise ValueError(f"the clock goes forward only; got {by}")
        with self._lock:
            self._now += by


def http_date(moment: datetime) -> str:
    """`Fri, 20 Nov 2026 12:00:00 GMT`."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)

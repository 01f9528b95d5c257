"""The three daily quotas of an API project, and what was spent of them."""

import threading
from collections import Counter
from typing import Literal

from demo.clock import Clock
from demo.errors import ApiError, rate_details

Style = Literal["403", "429"]
"""How a spent quota is refused: the older `quotaExceeded`, or the newer RESOURCE_EXHAUSTED."""

BUCKETS = ("units", "searches", "stats")
"""`searches` pays for search.list, `stats` for videos.batchGetStats, `units` for everything else; a call costs one."""

_OF_ENDPOINT = {"search": "searches", "videos:batchGetStats": "stats"}
_LIMIT_NAMES = {
    "units": "defaultPerDayPerProject",
    "searches": "SearchPerDayPerProject",
    "stats": "StatsPerDayPerProject",
}
_EXCEEDED = (
    "The request cannot be completed because you have exceeded your "
    '<a href="/youtube/v3/getting-started#quota">quota</a>.'
)


class Quota:
    """Counts calls by bucket; what was spent today is forgotten when the clock crosses midnight in Los Angeles.

    Args:
        clock: whose days count.
        limits: calls a day by bucket; None is unlimited. May be changed while the emulator runs.
        style: how a spent quota is refused.
    """

    def __init__(self, clock: Clock, limits: dict[str, int | None], style: Style) -> None:
        self.limits = limits
        self._clock = clock
        self._style = style
        self._day = clock.quota_day
        self._ever = Counter(dict.fromkeys(BUCKETS, 0))
        self._today = Counter(dict.fromkeys(BUCKETS, 0))
        self._lock = threading.Lock()

    @property
    def spent(self) -> dict[str, int]:
        """By bucket, since the emulator was made."""
        with self._lock:
            return dict(self._ever)

    @property
    def spent_today(self) -> dict[str, int]:
        """By bucket, since the last midnight Pacific."""
        with self._lock:
            self._turn_the_day()
            return dict(self._today)

    def spend(self, endpoint: str) -> None:
        """Pay for one call; raises ApiError, at no cost, when its bucket is spent."""
        bucket = _OF_ENDPOINT.get(endpoint, "units")
        with self._lock:
            self._turn_the_day()
            limit = self.limits[bucket]
            if limit is not None and self._today[bucket] >= limit:
                raise self._refusal(bucket, limit)
            self._ever[bucket] += 1
            self._today[bucket] += 1

    def _turn_the_day(self) -> None:
        if self._clock.quota_day != self._day:
            self._day = self._clock.quota_day
            self._today = Counter(dict.fromkeys(BUCKETS, 0))

    def _refusal(self, bucket: str, limit: int) -> ApiError:
        if self._style == "403":
            return ApiError(403, "quotaExceeded", _EXCEEDED, "youtube.quota")
        name = _LIMIT_NAMES[bucket]
        message = f"Quota exceeded for quota metric 'Queries' and limit '{name}' of service 'youtube.googleapis.com'."
        details = rate_details(name, str(limit), "1/d/{project}")
        return ApiError(429, "rateLimitExceeded", message, "global", details=details)

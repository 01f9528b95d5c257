"""Charge calls to the three daily quotas of an API project, and refuse a call if its quota is used up."""

import threading
from collections import Counter
from typing import Literal, TypedDict

from demo.clock import Clock
from demo.errors import ApiError, rate_details

QuotaStyle = Literal["403", "429"]
"""The format of the error for a quota that is used up.

"403" is the older format, with the reason `quotaExceeded`. "429" is the newer format, with the status
RESOURCE_EXHAUSTED.
"""

BUCKETS = ("units", "searches", "stats")
"""The names of the three quotas, which are called buckets. Each call costs 1 in its bucket.

search.list is charged to `searches`, videos.batchGetStats to `stats`, and every other call to `units`.
"""

_BUCKETS_BY_ENDPOINT = {"search": "searches", "videos:batchGetStats": "stats"}
_LIMIT_NAMES = {
    "units": "defaultPerDayPerProject",
    "searches": "SearchPerDayPerProject",
    "stats": "StatsPerDayPerProject",
}
_EXCEEDED = (
    "The request cannot be completed because you have exceeded your "
    '<a href="/youtube/v3/getting-started#quota">quota</a>.'
)


class QuotaOptions(TypedDict, total=False):
    """The limits of an API project in calls per day, and the format of the error for a quota that is used up.

    `daily_searches` limits search.list, `daily_stats` limits videos.batchGetStats, and `daily_units` limits all other
    calls. A limit that is None or absent allows any number of calls. YouTube's own limits are 100 searches, 10,000
    calls for statistics and 10,000 other calls. `quota_style` is "403" by default.
    """

    daily_units: int | None
    daily_searches: int | None
    daily_stats: int | None
    quota_style: QuotaStyle


class Quota:
    """A counter of the calls that are charged to each bucket.

    At midnight in Los Angeles, the count of the day starts again at 0.

    `limits` contains the largest number of calls per day, by bucket. If a limit is None, any number of calls is
    allowed. A test may change `limits` at any time.

    Args:
        clock: the clock that gives the present day.
        options: the limits, and the format of the error for a quota that is used up.
    """

    def __init__(self, clock: Clock, options: QuotaOptions) -> None:
        self.limits = {
            "units": options.get("daily_units"),
            "searches": options.get("daily_searches"),
            "stats": options.get("daily_stats"),
        }
        self._clock = clock
        self._style = options.get("quota_style", "403")
        self._day = clock.quota_day
        self._total = Counter(dict.fromkeys(BUCKETS, 0))
        self._today = Counter(dict.fromkeys(BUCKETS, 0))
        self._lock = threading.Lock()

    @property
    def spent(self) -> dict[str, int]:
        """The calls charged to each bucket since the emulator was created."""
        with self._lock:
            return dict(self._total)

    @property
    def spent_today(self) -> dict[str, int]:
        """The calls charged to each bucket since the last midnight in Los Angeles."""
        with self._lock:
            self._start_new_day()
            return dict(self._today)

    def spend(self, endpoint: str) -> None:
        """Charge one call to the bucket of its endpoint.

        If the limit of the bucket is reached, raise ApiError and charge nothing.
        """
        bucket = _BUCKETS_BY_ENDPOINT.get(endpoint, "units")
        with self._lock:
            self._start_new_day()
            limit = self.limits[bucket]
            if limit is not None and self._today[bucket] >= limit:
                raise self._refusal(bucket, limit)
            self._total[bucket] += 1
            self._today[bucket] += 1

    def _start_new_day(self) -> None:
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

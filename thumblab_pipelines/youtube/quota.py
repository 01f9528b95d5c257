"""The quota ledger, which counts the lab's calls to YouTube today, so that no run exceeds the quota.

All runs share the ledger in PostgreSQL. A run reserves each call in the ledger before it makes the call, so two runs
never use the same unit. A killed run may have reserved a few calls that it did not make. A day is a day in California,
where YouTube resets the quota at midnight.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from threading import Lock
from typing import Self
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, select, text

from thumblab_core.database.tables import quota_ledger
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

UNITS, SEARCHES, STATS = "units", "searches", "stats"
"""The quota buckets since June 2026. The call search.list has the bucket `searches`, and videos.batchGetStats has the
bucket `stats`. All other calls share the bucket `units`."""
BUCKETS = (UNITS, SEARCHES, STATS)

_PACIFIC = ZoneInfo("America/Los_Angeles")

_RESERVE = text("""
INSERT INTO quota_ledger (day, bucket, spent) VALUES (:day, :bucket, 1)
ON CONFLICT (day, bucket) DO UPDATE SET spent = quota_ledger.spent + 1
WHERE quota_ledger.spent < :limit AND quota_ledger.exhausted_at IS NULL
RETURNING spent
""")
_GIVE_BACK = text("UPDATE quota_ledger SET spent = greatest(spent - 1, 0) WHERE day = :day AND bucket = :bucket")
_EXHAUST = text("""
UPDATE quota_ledger SET exhausted_at = :now WHERE day = :day AND bucket = :bucket AND exhausted_at IS NULL
""")


class QuotaError(LabError):
    """The error of a call to YouTube when its quota bucket has no calls left. `until`: when YouTube resets the bucket
    (UTC).
    """

    def __init__(self, bucket: str, until: datetime, why: str) -> None:
        super().__init__(f"{why}; what was collected is kept. Start again after {until:%Y-%m-%d %H:%M} UTC to continue")
        self.bucket = bucket
        self.until = until


@dataclass(frozen=True)
class Balance:
    """The state of a bucket on one day.

    `exhausted`: whether YouTube said that the bucket is empty. If so, no call is left, even if `spent` is below the
    limit.
    """

    bucket: str
    limit: int
    spent: int
    exhausted: bool

    @property
    def left(self) -> int:
        """The number of calls that can still be made on this day."""
        return 0 if self.exhausted else max(0, self.limit - self.spent)


@dataclass(frozen=True)
class Spending:
    """The calls that a run spent, per bucket, and the balances at the end of the run."""

    spent: dict[str, int]
    balances: list[Balance]


class Ledger:
    """A ledger that reserves calls in the lab's database. `spent`: the number of calls that this object reserved, per
    bucket.

    `keep`: the number of calls per bucket that this ledger leaves for other runs. A crawl uses `keep` to leave enough
    calls for the daily refresh.
    """

    def __init__(self, engine: Engine, limits: Mapping[str, int], keep: Mapping[str, int] | None = None) -> None:
        self._engine = engine
        self._limits = dict(limits)
        self._keep = dict(keep or {})
        self._lock = Lock()
        self.spent = dict.fromkeys(BUCKETS, 0)

    @classmethod
    def of(cls, engine: Engine, settings: Settings, keep: Mapping[str, int] | None = None) -> Self:
        """Return a ledger with the limits of the settings."""
        return cls(engine, _limits(settings), keep)

    def reserve(self, bucket: str, now: datetime) -> None:
        """Reserve one call of the bucket.

        Raises `QuotaError` if all of today's calls are spent, or if the remaining calls are kept for other runs.
        """
        limit = self._limits[bucket] - self._keep.get(bucket, 0)
        spent = None
        if limit > 0:
            with self._engine.begin() as connection:
                parameters = {"day": pacific_day(now), "bucket": bucket, "limit": limit}
                spent = connection.execute(_RESERVE, parameters).scalar()
        if spent is None:
            reserve = f" ({self._keep[bucket]} are kept for the daily refresh)" if self._keep.get(bucket) else ""
            why = f"today's {self._limits[bucket]:,} {bucket} of YouTube's quota are spent{reserve}"
            raise QuotaError(bucket, next_reset(now), why)
        self._count(bucket, 1)

    def give_back(self, bucket: str, now: datetime) -> None:
        """Cancel the reservation of a call that YouTube did not count."""
        with self._engine.begin() as connection:
            connection.execute(_GIVE_BACK, {"day": pacific_day(now), "bucket": bucket})
        self._count(bucket, -1)

    def exhaust(self, bucket: str, now: datetime) -> QuotaError:
        """Record that the bucket is empty according to YouTube. Return the `QuotaError` that the caller raises.

        After `exhaust`, no run makes a call from the bucket on the same day.
        """
        self.give_back(bucket, now)
        with self._engine.begin() as connection:
            connection.execute(_EXHAUST, {"day": pacific_day(now), "bucket": bucket, "now": now})
        return QuotaError(bucket, next_reset(now), f"YouTube says that today's {bucket} of its quota are spent")

    def spending(self, now: datetime) -> Spending:
        """Return the calls that this ledger reserved, and the balances on the day of `now`."""
        return Spending(dict(self.spent), self.balances(now))

    def balances(self, now: datetime) -> list[Balance]:
        """Return the balance of every bucket on the day of `now`."""
        with self._engine.connect() as connection:
            return _balances(connection, self._limits, now)

    def _count(self, bucket: str, calls: int) -> None:
        with self._lock:
            self.spent[bucket] += calls


def balances_of(connection: Connection, settings: Settings, now: datetime) -> list[Balance]:
    """Return the balance of every bucket on the day of `now`, with the limits of the settings."""
    return _balances(connection, _limits(settings), now)


def _balances(connection: Connection, limits: Mapping[str, int], now: datetime) -> list[Balance]:
    statement = select(quota_ledger).where(quota_ledger.c.day == pacific_day(now))
    rows = {row.bucket: row for row in connection.execute(statement)}
    return [
        Balance(
            bucket,
            limits[bucket],
            rows[bucket].spent if bucket in rows else 0,
            bucket in rows and rows[bucket].exhausted_at is not None,
        )
        for bucket in BUCKETS
    ]


def _limits(settings: Settings) -> dict[str, int]:
    return {UNITS: settings.quota_units, SEARCHES: settings.quota_searches, STATS: settings.quota_stats}


def pacific_day(now: datetime) -> date:
    """Return the date in California at a timezone-aware moment."""
    return now.astimezone(_PACIFIC).date()


def next_reset(now: datetime) -> datetime:
    """Return the next midnight in California, in UTC."""
    return datetime.combine(pacific_day(now) + timedelta(days=1), time(), _PACIFIC).astimezone(UTC)

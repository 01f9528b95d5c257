"""Tests of the ledger, which counts how much of the daily quota is spent. The tests use a real database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.quota import SEARCHES, STATS, UNITS, Ledger, QuotaError, next_reset, pacific_day

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # At this time, it is 04:00 in California.
LIMITS = {UNITS: 10, SEARCHES: 2, STATS: 5}


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


def spend(ledger: Ledger, bucket: str, calls: int, now: datetime = NOON) -> int:
    """Try to reserve `calls` calls, and return how many were granted."""
    granted = 0
    for _ in range(calls):
        try:
            ledger.reserve(bucket, now)
        except QuotaError:
            continue
        granted += 1
    return granted


def test_each_bucket_grants_its_own_limit_and_no_more(lab: Lab) -> None:
    ledger = Ledger(lab.engine, LIMITS)
    assert [spend(ledger, bucket, 20) for bucket in (UNITS, SEARCHES, STATS)] == [10, 2, 5]
    assert ledger.spent == LIMITS
    assert [balance.left for balance in ledger.balances(NOON)] == [0, 0, 0]


def test_error_of_a_spent_bucket_names_the_reset_time(lab: Lab) -> None:
    ledger = Ledger(lab.engine, LIMITS | {UNITS: 0})
    with pytest.raises(QuotaError, match=r"2026-11-21 08:00 UTC to continue") as caught:
        ledger.reserve(UNITS, NOON)
    assert (caught.value.bucket, caught.value.until) == (UNITS, datetime(2026, 11, 21, 8, tzinfo=UTC))


def test_concurrent_runs_share_the_quota_and_never_reserve_a_call_twice(lab: Lab) -> None:
    limits = LIMITS | {UNITS: 100}
    with ThreadPoolExecutor(8) as threads:
        granted = list(threads.map(lambda _: spend(Ledger(lab.engine, limits), UNITS, 25), range(8)))
    assert sum(granted) == 100
    assert [balance.spent for balance in Ledger(lab.engine, limits).balances(NOON) if balance.bucket == UNITS] == [100]


def test_ledger_shared_by_threads_counts_its_own_calls(lab: Lab) -> None:
    ledger = Ledger(lab.engine, LIMITS | {UNITS: 400})
    with ThreadPoolExecutor(8) as threads:
        granted = list(threads.map(lambda _: spend(ledger, UNITS, 50), range(8)))
    assert sum(granted) == ledger.spent[UNITS] == 400


def test_crawl_leaves_the_calls_that_the_refresh_needs(lab: Lab) -> None:
    assert spend(Ledger(lab.engine, LIMITS, {UNITS: 3}), UNITS, 20) == 7
    assert spend(Ledger(lab.engine, LIMITS), UNITS, 20) == 3


def test_no_call_is_reserved_after_youtube_says_that_a_bucket_is_empty(lab: Lab) -> None:
    first, second = Ledger(lab.engine, LIMITS), Ledger(lab.engine, LIMITS)
    first.reserve(UNITS, NOON)
    first.reserve(UNITS, NOON)
    error = first.exhaust(UNITS, NOON)
    assert "YouTube says" in str(error)
    assert first.spent[UNITS] == 1  # The refused call was not counted.
    with pytest.raises(QuotaError):
        second.reserve(UNITS, NOON)
    units = second.balances(NOON)[0]
    assert (units.spent, units.exhausted, units.left) == (1, True, 0)
    assert spend(second, SEARCHES, 1) == 1


def test_call_that_youtube_did_not_count_can_be_reserved_again(lab: Lab) -> None:
    ledger = Ledger(lab.engine, LIMITS)
    assert spend(ledger, SEARCHES, 5) == 2
    ledger.give_back(SEARCHES, NOON)
    assert spend(ledger, SEARCHES, 5) == 1


def test_quota_is_reset_at_midnight_in_california(lab: Lab) -> None:
    ledger = Ledger(lab.engine, LIMITS)
    reset = next_reset(NOON)
    assert spend(ledger, UNITS, 20, reset - timedelta(seconds=1)) == 10
    assert spend(ledger, UNITS, 20, reset) == 10


@pytest.mark.parametrize(
    ("now", "day", "reset"),
    [
        ("2026-11-20T07:59:59+00:00", date(2026, 11, 19), "2026-11-20T08:00:00+00:00"),
        ("2026-11-20T08:00:00+00:00", date(2026, 11, 20), "2026-11-21T08:00:00+00:00"),
        # In 2026, daylight saving time begins on 8 March, which has 23 hours. Daylight saving time ends on 1 November,
        # which has 25 hours.
        ("2026-03-08T08:00:00+00:00", date(2026, 3, 8), "2026-03-09T07:00:00+00:00"),
        ("2026-11-01T07:00:00+00:00", date(2026, 11, 1), "2026-11-02T08:00:00+00:00"),
        ("2026-07-01T03:00:00+10:00", date(2026, 6, 30), "2026-07-01T07:00:00+00:00"),
    ],
)
def test_day_is_californian_also_when_daylight_saving_time_changes(now: str, day: date, reset: str) -> None:
    moment = datetime.fromisoformat(now)
    assert pacific_day(moment) == day
    assert next_reset(moment) == datetime.fromisoformat(reset)

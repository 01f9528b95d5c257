"""Test how long a client waits before it sends a request again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from thumblab_client.waiting import Patience, seconds_of


def test_only_a_busy_service_is_asked_again() -> None:
    patience = Patience()
    assert [status for status in range(200, 600) if patience.wait(status, "1", 0, 0.0) is not None] == [429, 503]


def test_without_a_stated_time_each_wait_is_twice_the_last() -> None:
    assert [Patience(retries=3).wait(503, None, retried, 0.0) for retried in range(4)] == [1.0, 2.0, 4.0, None]


def test_all_waits_together_take_no_longer_than_the_patience() -> None:
    assert Patience(seconds=10).wait(429, "6", 0, 0.0) == 6
    assert Patience(seconds=10).wait(429, "6", 1, 6.0) is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("soon", None), ("nan", None), (None, None)]
)
def test_the_header_retry_after_has_seconds_or_nothing_that_is_used(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_the_header_retry_after_may_have_a_date() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=30)
    found = seconds_of(format_datetime(moment, usegmt=True))
    assert found is not None
    assert 27 < found <= 30
    assert seconds_of("Fri, 31 Dec 1999 23:59:59 GMT") == 0

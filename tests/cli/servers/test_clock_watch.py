"""Tests of how `thumblab up` detects that the clock was set back."""

import time

import pytest

from thumblab_cli.servers import clock_watch
from thumblab_cli.servers.clock_watch import ClockWatch


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the clock that `ClockWatch` reads to the true time plus `seconds`."""
    true = time.monotonic
    began = time.time() - true()
    monkeypatch.setattr(clock_watch.time, "time", lambda: began + true() + seconds)


def test_a_clock_that_is_set_back_is_noticed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ClockWatch()
    assert watch.seconds_set_back() == 0
    set_clock(monkeypatch, -3_600)
    assert watch.seconds_set_back() == pytest.approx(3_600, abs=1)
    assert watch.seconds_set_back() == 0


def test_a_clock_that_is_set_ahead_or_a_little_back_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ClockWatch()
    for seconds in (86_400, 86_370, 86_360):
        with monkeypatch.context() as patched:
            set_clock(patched, seconds)
            assert watch.seconds_set_back() == 0

"""Test how many requests a key may send. The tests set a simulated clock, so no test waits."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from thumblab_serving.keys.rate_limits import RateLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(tmp_path: Path, clock: Clock) -> RateLimits:
    return RateLimits(tmp_path / "rates", clock)


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 999])
def test_a_key_may_send_its_allowance_at_once_and_no_more(limits: RateLimits, per_minute: int) -> None:
    assert [limits.wait("laptop", per_minute) for _ in range(per_minute)] == [0.0] * per_minute
    assert limits.wait("laptop", per_minute) == pytest.approx(60 / per_minute)


def test_the_allowance_comes_back_evenly(limits: RateLimits, clock: Clock) -> None:
    for _ in range(6):
        limits.wait("laptop", 6)
    clock.now += 10.1
    assert limits.wait("laptop", 6) == 0
    assert limits.wait("laptop", 6) == pytest.approx(9.9)
    clock.now += 600
    assert [limits.wait("laptop", 6) > 0 for _ in range(7)] == [False] * 6 + [True]


def test_a_request_after_the_stated_wait_is_allowed(limits: RateLimits, clock: Clock) -> None:
    for _ in range(6):
        limits.wait("laptop", 6)
    clock.now += 3.3
    clock.now += limits.wait("laptop", 6)
    assert limits.wait("laptop", 6) == 0


def test_in_no_minute_are_more_than_twice_the_allowance_served(limits: RateLimits, clock: Clock) -> None:
    """Send as many requests as the rule allows: the whole allowance at once, and the same number in the next minute."""
    served = []
    for _ in range(3_000):
        if limits.wait("laptop", 30) == 0:
            served.append(clock.now)
        clock.now += 0.1
    assert max(sum(at <= moment < at + 60 for moment in served) for at in served) <= 60
    assert len(served) == pytest.approx(30 + 300 / 2, abs=2)


def test_refused_requests_do_not_prolong_the_wait(limits: RateLimits, clock: Clock) -> None:
    limits.wait("laptop", 1)
    for _ in range(100):
        assert limits.wait("laptop", 1) > 0
    clock.now += 60.1
    assert limits.wait("laptop", 1) == 0


def test_keys_do_not_share_an_allowance(limits: RateLimits) -> None:
    limits.wait("laptop", 1)
    assert limits.wait("laptop", 1) > 0
    assert limits.wait("phone", 1) == 0


def test_items_are_owed_and_paid_for_evenly(limits: RateLimits, clock: Clock) -> None:
    assert limits.wait("laptop", 60) == 0
    assert limits.charge("laptop", 60, 999) == 0
    assert limits.wait("laptop", 60) == pytest.approx(941)
    assert limits.charge("laptop", 60, 1) == pytest.approx(941)
    clock.now += 941
    assert limits.wait("laptop", 60) == 0
    assert limits.wait("laptop", 60) == pytest.approx(1)


@pytest.mark.parametrize("per_minute", [1, 2, 60])
def test_a_batch_of_any_size_is_accepted_by_a_key_that_owes_nothing(limits: RateLimits, per_minute: int) -> None:
    assert limits.wait("laptop", per_minute) == limits.charge("laptop", per_minute, 999) == 0


def test_requests_at_the_same_time_do_not_let_a_second_batch_in(limits: RateLimits) -> None:
    assert [limits.wait("laptop", 60) for _ in range(2)] == [0, 0]
    assert limits.charge("laptop", 60, 999) == 0
    assert limits.charge("laptop", 60, 999) > 0


def test_a_clock_that_is_set_back_locks_no_key_out(limits: RateLimits, clock: Clock) -> None:
    limits.wait("laptop", 1)
    clock.now -= 86_400
    assert limits.wait("laptop", 1) <= 60


def test_a_deleted_folder_is_made_again(limits: RateLimits, tmp_path: Path) -> None:
    limits.wait("laptop", 2)
    (tmp_path / "rates" / "laptop").unlink()
    (tmp_path / "rates").rmdir()
    assert limits.wait("laptop", 2) == 0


def test_threads_share_one_allowance(limits: RateLimits) -> None:
    allowed = []

    def ask() -> None:
        allowed.extend(limits.wait("laptop", 50) for _ in range(25))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 200
    assert allowed.count(0.0) == 50


def test_all_workers_of_a_service_share_one_allowance(tmp_path: Path) -> None:
    script = """
from thumblab_serving.keys.rate_limits import RateLimits
from thumblab_serving.workers.shared_folder import shared_folder
limits = RateLimits(shared_folder("rates"), lambda: 1000.0)
print(sum(limits.wait("laptop", 100) == 0 for _ in range(60)))
"""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE) for _ in range(4)
    ]
    assert sum(int(worker.communicate()[0]) for worker in workers) == 100


def test_a_single_process_needs_no_shared_folder(clock: Clock) -> None:
    limits = RateLimits(None, clock)
    assert limits.wait("laptop", 1) == 0
    assert limits.wait("laptop", 1) == 60

"""Test that a batch waits while people send scoring requests."""

import threading
import time

import pytest

from thumblab_serving.batches.foreground import Foreground


def nothing():
    """A `check` that never raises an error, so it never ends the wait."""


def test_a_call_does_not_wait_without_requests():
    Foreground(quiet_s=0.2).wait_until_quiet(60, nothing)


def test_a_batch_waits_until_the_last_request_has_ended_and_for_a_pause_after_it():
    foreground, order = Foreground(quiet_s=0.2), []
    first, second = foreground.request(), foreground.request()
    first.__enter__()
    waiting = threading.Thread(target=lambda: (foreground.wait_until_quiet(60, nothing), order.append("batch")))
    waiting.start()
    second.__enter__()
    first.__exit__(None, None, None)
    time.sleep(0.5)
    order.append("request")
    ended = time.monotonic()
    second.__exit__(None, None, None)
    waiting.join(10)
    assert order == ["request", "batch"]
    assert time.monotonic() - ended >= 0.2


def test_a_batch_still_continues_during_requests_without_a_pause():
    foreground = Foreground()
    with foreground.request():
        foreground.wait_until_quiet(0.3, nothing)


def test_a_wait_ends_with_the_error_of_the_check():
    foreground, stop = Foreground(), threading.Event()

    def check():
        if stop.is_set():
            raise RuntimeError("stop")

    threading.Timer(0.2, stop.set).start()
    with foreground.request(), pytest.raises(RuntimeError, match="stop"):
        foreground.wait_until_quiet(60, check)


def test_a_batch_does_not_begin_while_a_request_is_answered(service, item, send, ended):
    foreground = service.app.state.foreground
    with foreground.request():
        batch = send(service, [item(7, pictures=1)])
        time.sleep(1)
        assert service.client.get(f"/v1/batches/{batch['id']}").json()["done"] == 0
    assert ended(service, batch["id"])["done"] == 1

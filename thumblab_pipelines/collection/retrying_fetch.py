"""Repeat a request when its host is busy. If the host asks for a wait, all threads wait before their next request."""

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from thumblab_core.fetch import FetchedAnswer, Fetcher, FetchError

TRIES = 4
LONGEST_WAIT_S = 60.0
"""Maximum number of seconds that a request waits before it is sent.

A host may ask for a longer wait. While the rest of this wait is longer than this number of seconds, every request to
the host fails immediately. After that, a request waits until the host's wait has ended.
"""

_BUSY = {429, 500, 502, 503, 504}


class RetryingFetcher:
    """Wraps a `Fetcher` and repeats requests to busy hosts. Many threads may share one `RetryingFetcher`.

    Args:
        fetcher: The `Fetcher` that makes each single request.
        sleep: The function that waits for a number of seconds.
    """

    def __init__(self, fetcher: Fetcher, sleep: Callable[[float], None] = time.sleep) -> None:
        self._fetcher = fetcher
        self._sleep = sleep
        self._backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_S)
        self._lock = threading.Lock()
        self._closed_until: dict[str, float] = {}

    def get(self, url: str, etag: str | None = None, last_modified: str | None = None) -> FetchedAnswer:
        """Request the URL with `Fetcher.get`, and return its answer.

        A request that fails with status 429, 500, 502, 503 or 504 is repeated up to 3 times.

        If the host sends `Retry-After`, all threads wait that long before they ask the host again. Without
        `Retry-After`, the waits are random and grow from half a second. Raises `FetchError` if the last try fails, or
        if a try fails with another status. Also raises `FetchError` if the host asks for a wait of more than
        `LONGEST_WAIT_S`.
        """
        host = urlsplit(url).netloc

        def fetch() -> FetchedAnswer:
            self._wait_for(host)
            return self._fetcher.get(url, etag=etag, last_modified=last_modified)

        def delay(state: RetryCallState) -> float:
            # If the host asked for a wait, this function returns 0, because `_wait_for` waits before the next try.
            # `_wait_for` also includes the waits that the host has requested from other threads.
            return 0.0 if _asked_to_wait(state) is not None else self._backoff(state)

        def note_wait(state: RetryCallState) -> None:
            seconds = _asked_to_wait(state)
            if seconds is not None:
                with self._lock:
                    until = time.monotonic() + seconds
                    self._closed_until[host] = max(until, self._closed_until.get(host, 0.0))

        retrying = Retrying(
            retry=retry_if_exception(_is_busy),
            stop=stop_after_attempt(TRIES),
            wait=delay,
            after=note_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(fetch)

    def _wait_for(self, host: str) -> None:
        while (left := self._closed_until.get(host, 0.0) - time.monotonic()) > 0:
            if left > LONGEST_WAIT_S:
                raise FetchError(f"{host} asks for a wait of {left:.0f} s, which is too long; run again later")
            self._sleep(left)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, FetchError) and error.status in _BUSY


def _asked_to_wait(state: RetryCallState) -> float | None:
    """Return how many seconds the host asked to wait, or None if the host did not ask for a wait."""
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after if isinstance(error, FetchError) else None

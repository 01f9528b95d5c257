"""Ask again where a host says that it is busy, when it says, and keep every other thread off it meanwhile."""

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from thumblab_core.fetch import Answer, Fetcher, FetchError

TRIES = 4
LONGEST_WAIT_S = 60.0
"""A host that asks for more than this is left alone until the next run."""

_BUSY = {429, 500, 502, 503, 504}


class RetryingFetcher:
    """A `Fetcher` that waits; safe to use from many threads.

    Args:
        fetcher: what asks.
        sleep: waits so many seconds.
    """

    def __init__(self, fetcher: Fetcher, sleep: Callable[[float], None] = time.sleep) -> None:
        self._fetcher = fetcher
        self._sleep = sleep
        self._backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_S)
        self._lock = threading.Lock()
        self._closed_until: dict[str, float] = {}

    def get(self, url: str, etag: str | None = None, last_modified: str | None = None) -> Answer:
        """As `Fetcher.get`; 429 and the passing 5xx are asked again up to 3 times. Raises `FetchError`.

        `Retry-After` is waited for, by all threads; where there is none the waits grow from half a second, at random.
        """
        host = urlsplit(url).netloc

        def ask() -> Answer:
            self._wait_for(host)
            return self._fetcher.get(url, etag=etag, last_modified=last_modified)

        def delay(state: RetryCallState) -> float:
            # What a host asks for is waited in `ask`: it may have asked another thread for more in the meantime.
            return 0.0 if _asked_to_wait(state) is not None else self._backoff(state)

        def hear(state: RetryCallState) -> None:
            seconds = _asked_to_wait(state)
            if seconds is not None:
                with self._lock:
                    until = time.monotonic() + seconds
                    self._closed_until[host] = max(until, self._closed_until.get(host, 0.0))

        retrying = Retrying(
            retry=retry_if_exception(_busy),
            stop=stop_after_attempt(TRIES),
            wait=delay,
            after=hear,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(ask)

    def _wait_for(self, host: str) -> None:
        while (left := self._closed_until.get(host, 0.0) - time.monotonic()) > 0:
            if left > LONGEST_WAIT_S:
                raise FetchError(f"{host} asked to be left alone for {left:.0f} s more")
            self._sleep(left)


def _busy(error: BaseException) -> bool:
    return isinstance(error, FetchError) and error.status in _BUSY


def _asked_to_wait(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after if isinstance(error, FetchError) else None

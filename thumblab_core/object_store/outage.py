"""Notice that an object store cannot be used, so that work on many objects stops instead of waiting for each of them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from thumblab_core.object_store.bucket import StoreAwayError, StoreError

_MOST = 8
"""There is an outage if this number of requests fail one after the other. A single request may fail for another reason.

Requests that are sent at the same time may all fail in one bad moment, so their failures count as one failure.
"""
_REST_S = 30.0
"""During an outage, no request is sent for this number of seconds after a failure. If the next request fails too, the
outage goes on.
"""


class Outage:
    """Counts the requests that have failed since the last successful request. Many threads may use this object.

    A request that was in flight at the first failure is not counted.
    """

    def __init__(self, most: int = _MOST, rest_s: float = _REST_S) -> None:
        self._most = most
        self._rest_s = rest_s
        self._failed = 0
        self._first = 0.0
        self._last = 0.0
        self._reason = ""
        self._lock = threading.Lock()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the request that the `with` block sends. During an outage, raise `StoreAwayError` before the block."""
        with self._lock:
            began = time.monotonic()
            if self._failed >= self._most and began - self._last < self._rest_s:
                raise self._error()
        try:
            yield
        except StoreError as error:
            with self._lock:
                self._last, self._reason = time.monotonic(), str(error)
                if not self._failed:
                    self._failed, self._first = 1, self._last
                elif began >= self._first:
                    self._failed += 1
                if self._failed < self._most:
                    raise
                raise self._error() from None
        with self._lock:
            self._failed = 0

    def _error(self) -> StoreAwayError:
        return StoreAwayError(f"{self._reason}; {self._failed} requests in a row have failed, so no more are sent now")

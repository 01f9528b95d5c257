"""Detect whether the service is answering requests, so that batches can wait until no request is being answered."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LONGEST_WAIT_S = 0.5
"""Seconds after which a waiting thread checks again whether it has to stop."""


class Foreground:
    """The count of the requests that are being answered at the moment. Many threads may use this object at the same
    time.

    The foreground counts as quiet after `quiet_s` seconds without a request. A client that sends many requests leaves
    short pauses between them. A batch that began in such a pause would only delay the next request.
    """

    def __init__(self, quiet_s: float = 0.2) -> None:
        self._quiet_s = quiet_s
        self._changed = threading.Condition()
        self._requests = 0
        self._last_end = float("-inf")

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as being answered until the `with` block ends."""
        with self._changed:
            self._requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._requests -= 1
                self._last_end = time.monotonic()
                self._changed.notify_all()

    def wait_until_quiet(self, patience_s: float, check: Callable[[], None]) -> None:
        """Wait until no request has arrived or been answered for `quiet_s` seconds, but at most `patience_s` seconds.

        `check` is called about twice a second. If `check` raises an error, the wait ends with this error.
        """
        deadline = time.monotonic() + patience_s
        while True:
            check()
            now = time.monotonic()
            with self._changed:
                quiet_in = self._quiet_s if self._requests else self._last_end + self._quiet_s - now
                if quiet_in <= 0 or now >= deadline:
                    return
                self._changed.wait(min(max(quiet_in, 0.01), deadline - now, _LONGEST_WAIT_S))

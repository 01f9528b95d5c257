"""Decide how long to wait before a request is sent again."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Patience:
    """How often and how long a client waits for a service that is busy (status 429 or 503).

    A request is repeated at most `retries` times, and the waits together take at most `seconds`. The service says in
    its header `Retry-After` how long to wait. Without this header, the waits are 1, 2, 4 ... seconds. If the next wait
    would make the sum of the waits larger than `seconds`, the client raises the error immediately.
    """

    retries: int = 4
    seconds: float = 60.0

    def wait(self, status: int, retry_after: str | None, retried: int, waited: float) -> float | None:
        """Return the seconds to wait before the request is sent again. Return None if it should not be sent again.

        `retried` is how often the request was already sent again. `waited` is the sum of the waits until now, in
        seconds.
        """
        if status not in _RETRIED or retried >= self.retries:
            return None
        seconds = seconds_of(retry_after)
        wait = 2.0**retried if seconds is None else seconds
        return wait if waited + wait <= self.seconds else None


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds in a header `Retry-After`, which contains a number or a date. Return None if it contains
    neither.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None

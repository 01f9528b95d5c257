"""Limit how many requests with pictures are in the service at the same time, for all keys together and for each key."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from thumblab_core.keys.shares import share_of_key
from thumblab_serving.http.problems import Problem
from thumblab_serving.keys.key_ring import Grant

_RETRY_S = 5


class Admission:
    """The number of requests that may be in the service, from the first byte of the body to the answer.

    An admitted request is being received, waits for a thread, or is being answered. Other requests get a 503 `Problem`
    before a byte of their body is read. So no client can build a queue that grows without limit.

    Each key may have only a share of the admitted requests. So a client that sends its bodies very slowly does not lock
    out the other keys.

    An admission belongs to one event loop. Only the thread of this event loop may use the admission.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.limit_of_key = share_of_key(limit)
        self._used: Counter[str] = Counter()

    @property
    def used(self) -> int:
        """The number of requests that are admitted now."""
        return self._used.total()

    @asynccontextmanager
    async def admit(self, grant: Grant) -> AsyncIterator[None]:
        """Admit a request of a key for the `async with` block. Raises a 503 `Problem` if a limit is reached."""
        if self.used >= self.limit:
            raise _busy(f"the service is busy with {self.limit} requests, which is its limit")
        if self._used[grant.owner] >= self.limit_of_key:
            raise _busy(
                f"the service is busy with {self.limit_of_key} requests of the key {grant.name}, which is the limit of one "
                "key"
            )
        self._used[grant.owner] += 1
        try:
            yield
        finally:
            self._used[grant.owner] -= 1
            self._used += Counter()  # Adding an empty Counter drops the keys whose count is 0.


def _busy(what: str) -> Problem:
    headers = {"Retry-After": str(_RETRY_S), "Connection": "close"}
    detail = f"{what}; send this request again in {_RETRY_S} seconds"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, headers)

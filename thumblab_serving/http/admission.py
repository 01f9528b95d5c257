"""Limit how many requests with pictures are in the service at the same time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from thumblab_serving.http.problems import Problem

_RETRY_S = 5


class Admission:
    """The number of requests that may be in the service, from the first byte of the body to the answer.

    An admitted request is received, waits for a thread, or is answered. Other requests get a 503 `Problem` before a
    byte of their body is read. So no client can build a queue that grows without limit.

    An admission belongs to one event loop. Only the thread of this event loop may use the admission.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Admit a request for the `async with` block. Raises a 503 `Problem` if the limit is reached."""
        if self.used >= self.limit:
            detail = (
                f"the service is busy with {self.limit} requests, which is its limit; send this request again in "
                f"{_RETRY_S} seconds"
            )
            headers = {"Retry-After": str(_RETRY_S), "Connection": "close"}
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, headers)
        self.used += 1
        try:
            yield
        finally:
            self.used -= 1

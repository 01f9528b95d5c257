"""Limit request bodies: the size of each body, the time until it has arrived, and the bytes of all bodies together."""

import asyncio
from collections import Counter
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumblab_serving.http.problems import Problem, response

MAX_BODY = 128 * 2**20
"""Maximum number of bytes of a body.

A picture of 50 MB, YouTube's limit, has 67 MB in base64. So one picture of 50 MB fits in base64, together with smaller
pictures. Two pictures of 50 MB fit if they are sent as files. Three such pictures have to be sent in several requests.
"""

_PIECE = 4 * 2**20
"""Number of bytes that are reserved at a time for a body without a Content-Length."""

_CLOSE = {"Connection": "close"}
_BUSY = {"Retry-After": "5", **_CLOSE}


class Budget:
    """The number of bytes that all bodies may take together, and how many of these bytes are reserved.

    The bodies of one API key may take half of these bytes, but always at least one body of the largest size. So a key
    that sends large bodies slowly leaves room for the other keys. A budget belongs to one event loop. Only the thread
    of this event loop may use the budget.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._share = max(limit // 2, min(limit, MAX_BODY))
        self._used: Counter[str] = Counter()

    @property
    def used(self) -> int:
        """The number of reserved bytes."""
        return self._used.total()

    def take(self, count: int, key: str) -> bool:
        """Reserve `count` bytes for the API key called `key`, and return True.

        If the reservation would exceed the limit, or the share of the key, reserve nothing and return False.
        """
        if self.used + count > self.limit or self._used[key] + count > self._share:
            return False
        self._used[key] += count
        return True

    def give_back(self, count: int, key: str) -> None:
        """Free `count` bytes that `take` reserved for `key`."""
        self._used[key] -= count
        if not self._used[key]:
            del self._used[key]


class BodyLimits:
    """Middleware that limits request bodies.

    The middleware answers 413 for a body that is too large, and 408 for a body that arrives too slowly. The middleware
    answers 503 for a body that does not fit into the budget. Bytes of the budget are reserved when the route begins to
    read the body, after the API key was checked. The whole Content-Length is reserved at once. Without a
    Content-Length, 4 MiB are reserved at a time. The bytes are freed after the answer was sent.
    """

    def __init__(self, app: ASGIApp, budget: Budget, idle_s: float, body_s: float, limit: int = MAX_BODY) -> None:
        self._app = app
        self._budget = budget
        self._idle_s = idle_s
        self._body_s = body_s
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        stated = headers.get("content-length", "")
        size = int(stated) if stated.isdecimal() else 0
        if size > self._limit:
            await response(self._too_large())(scope, receive, send)
            return
        # The check of the API key writes the name of the key into this dictionary before the body is read.
        body = _Body(self, size, receive, scope.setdefault("state", {}))
        try:
            await self._app(scope, body.receive, send)
        finally:
            for key, count in body.reserved.items():
                self._budget.give_back(count, key)

    def reserve(self, size: int, key: str) -> None:
        """Reserve `size` bytes for a body that `key` sends. Raises a 503 `Problem` if too few bytes are left."""
        if not self._budget.take(size, key):
            detail = "too many requests are being sent at the moment; send this request again in a few seconds"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, _BUSY)

    async def next_message(self, receive: Receive, left: float) -> Message:
        """Return the next part of a body. `left` is the number of seconds that are left for the whole body.

        Raises a 408 `Problem` if the part does not arrive within `left` seconds, or if the client sends nothing for
        longer than `idle_s` seconds.
        """
        try:
            async with asyncio.timeout(max(0.0, min(self._idle_s, left))):
                return await receive()
        except TimeoutError:
            detail = (
                f"the whole request did not arrive within {self._body_s:g} s, or no part of it arrived for "
                f"{self._idle_s:g} s; send it again"
            )
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "too-slow", detail, _CLOSE) from None

    def check_size(self, count: int) -> None:
        """Raise a 413 `Problem` if `count`, the number of bytes of a body, is larger than the limit."""
        if count > self._limit:
            raise self._too_large()

    @property
    def seconds(self) -> float:
        """The number of seconds within which a whole body must arrive."""
        return self._body_s

    def _too_large(self) -> Problem:
        detail = f"the request is larger than {self._limit // 2**20} MiB; send fewer or smaller pictures"
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, _CLOSE)


class _Body:
    """The body of one request while it arrives.

    `size` is its Content-Length, or 0 if there is none. `state` is the dictionary into which the check of the API key
    writes the name of the key. `reserved` maps the name of an API key to the number of bytes that are reserved for the
    body.
    """

    def __init__(self, limits: BodyLimits, size: int, receive: Receive, state: MutableMapping[str, Any]) -> None:
        self.reserved: Counter[str] = Counter()
        self._state = state
        self._limits = limits
        self._size = size
        self._receive = receive
        self._received = 0
        self._deadline: float | None = None
        self._complete = False

    async def receive(self) -> Message:
        """Return the next ASGI message of the request. Raises a `Problem` if the body is too large or too slow.

        Also raises a `Problem` if the budget has too few bytes left for the body.
        """
        if self._complete:  # The body is complete, so the next message can only say that the client has disconnected.
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._reserve(self._size)
            self._deadline = now + self._limits.seconds
        message = await self._limits.next_message(self._receive, self._deadline - now)
        self._received += len(message.get("body", b""))
        self._limits.check_size(self._received)
        while self._received > self.reserved.total():
            self._reserve(_PIECE)
        self._complete = not message.get("more_body", False)
        return message

    def _reserve(self, count: int) -> None:
        key = self._state.get("key", "")
        self._limits.reserve(count, key)
        self.reserved[key] += count

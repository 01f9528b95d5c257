"""What a request may send: how much, how fast, and how much of all requests is in memory at a time."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumblab_serving.http.problems import Problem, response

MAX_BODY = 128 * 2**20
"""Room for one picture of YouTube's 50 MB in base64 beside others; more of that size go as files, or one by one."""

_PIECE = 4 * 2**20
_CLOSE = {"Connection": "close"}
_BUSY = {"Retry-After": "5", **_CLOSE}


class Budget:
    """Bytes that bodies take together. For one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, count: int) -> bool:
        """Whether there is room for so many bytes, which are then taken."""
        if self.used + count > self.limit:
            return False
        self.used += count
        return True

    def give_back(self, count: int) -> None:
        self.used -= count


class Bodies:
    """413 for a body that is too large, 408 for one that does not arrive, 503 where there are too many at a time.

    Room for a body is taken when the route begins to read it, after the key was checked: its whole Content-Length at once,
    or 4 MiB at a time when it states none. It is given back when the answer is out.
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
        body = _Body(self, size, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._budget.give_back(body.taken)

    def take(self, size: int) -> None:
        if not self._budget.take(size):
            detail = "too many requests are being sent at the moment; send it again in a few seconds"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, _BUSY)

    async def next(self, receive: Receive, left: float) -> Message:
        try:
            async with asyncio.timeout(max(0.0, min(self._idle_s, left))):
                return await receive()
        except TimeoutError:
            detail = f"the request did not arrive within {self._body_s:g} s, or nothing of it for {self._idle_s:g} s"
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "too-slow", detail, _CLOSE) from None

    def check(self, count: int) -> None:
        if count > self._limit:
            raise self._too_large()

    @property
    def seconds(self) -> float:
        return self._body_s

    def _too_large(self) -> Problem:
        detail = f"the request is larger than {self._limit // 2**20} MiB; send fewer or smaller pictures"
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, _CLOSE)


class _Body:
    """The body of one request, while it arrives."""

    def __init__(self, bodies: Bodies, size: int, receive: Receive) -> None:
        self.taken = 0
        self._bodies = bodies
        self._size = size
        self._receive = receive
        self._count = 0
        self._ends: float | None = None
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:  # what comes now is that the client is gone
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._ends is None:
            self._take(self._size)
            self._ends = now + self._bodies.seconds
        message = await self._bodies.next(self._receive, self._ends - now)
        self._count += len(message.get("body", b""))
        self._bodies.check(self._count)
        while self._count > self.taken:
            self._take(_PIECE)
        self._whole = not message.get("more_body", False)
        return message

    def _take(self, count: int) -> None:
        self._bodies.take(count)
        self.taken += count

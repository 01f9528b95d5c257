"""Test connections whose clients read their answers slowly. The clock of the event loop is moved by the tests."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from thumblab_serving.http.connections import LIMITS, Connection, Limits

ANSWER = 12 * 2**20
"""Number of bytes of an answer. The buffers of the kernel and of this process cannot hold so many."""

_LIMITS = Limits(header_s=10.0, answer_s=15.0, connections=10)


class _MovedClock(asyncio.SelectorEventLoop):
    """An event loop whose clock can be moved forwards."""

    moved = 0.0

    def time(self) -> float:
        return super().time() + self.moved

    async def move(self, seconds: float) -> None:
        """Move the clock, and let the timers run that are due then."""
        self.moved += seconds
        for _ in range(5):
            await asyncio.sleep(0)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(ANSWER // 2**18):
        await send({"type": "http.response.body", "body": bytes(2**18), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def _asked(loop: _MovedClock) -> AsyncIterator[socket.socket]:
    """Yield a client's connection on which a request was sent, when the service can send no more of its answer."""
    config = Config(_app, http=Connection, log_level="error")
    config.load()
    state = ServerState()
    server = await loop.create_server(lambda: Connection(config, state, {LIMITS: _LIMITS}, loop), "127.0.0.1", 0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not any(connection.flow.write_paused for connection in state.connections if connection.flow):
            await asyncio.sleep(0.01)
        yield client
    server.close()


def _run(test: Callable[[_MovedClock], Coroutine[Any, Any, None]]) -> None:
    loop = _MovedClock()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(test(loop))


def test_a_client_that_reads_slowly_gets_its_whole_answer() -> None:
    async def test(loop: _MovedClock) -> None:
        got = 0
        async with _asked(loop) as client:
            while part := await loop.sock_recv(client, 2**16):
                got += len(part)
                if got // 2**18 > (got - len(part)) // 2**18:
                    await loop.move(20.0)
        assert got > ANSWER

    _run(test)


@pytest.mark.parametrize("read", [0, 2**12])
def test_a_client_that_reads_almost_nothing_is_disconnected(read: int) -> None:
    async def test(loop: _MovedClock) -> None:
        async with _asked(loop) as client:
            got = len(await loop.sock_recv(client, read)) if read else 0
            await loop.move(20.0)
            while part := await loop.sock_recv(client, 2**20):
                got += len(part)
        assert got < ANSWER

    _run(test)

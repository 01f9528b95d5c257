"""Limit how long a connection may stay open without a request, and how many connections may be open.

uvicorn limits neither the time that headers take nor the number of connections. `python -m thumblab_serving` runs
uvicorn with the protocol class `Connection`, which gets its limits from the app's lifespan.
"""

import asyncio
import fcntl
import resource
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LIMITS = "connection_limits"
"""The app's lifespan yields a dictionary. This key of the dictionary has the limits of connections."""

_MOST_DESCRIPTORS = 65_536
_MOST_CONNECTIONS = 1_024

_LEAST_READ = 16 * 1024
"""Minimum number of bytes that a client must read of an answer within each period of `Limits.answer_s` seconds."""


@dataclass(frozen=True)
class Limits:
    """The limits of connections.

    `header_s`: the seconds within which the headers of a request must arrive. `answer_s`: the seconds after which a
    client that reads nothing, or almost nothing, of its answer is disconnected. `connections`: the maximum number of
    connections.
    """

    header_s: float
    answer_s: float
    connections: int


def open_descriptors() -> int:
    """Raise the limit of open files of this process, and return how many connections the process may have.

    The result is half of the new limit, and at most 1,024. Each connection counts as one open file.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    # Some systems report that there is no limit, but refuse a high value. The limit is then left unchanged.
    with suppress(ValueError, OSError):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(_MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Connection(H11Protocol):
    """A connection that is closed if no complete request head arrives within `header_s` seconds.

    A client cannot extend this time by sending single bytes of the head. When there are more connections than `Limits`
    allows, the connection that has waited longest for a request is closed.

    A client may read its answer slowly. As long as this process has bytes of the answer to send, neither timer closes
    the connection if the client has read `_LEAST_READ` bytes since the timer was started.
    """

    _limits: Limits
    _idle_since = 0.0
    _idle_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limits = self.app_state[LIMITS]
        self._update_idle_timer()
        if len(self.connections) > self._limits.connections:
            self._close_longest_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_idle_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._update_idle_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update_idle_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._start_write_timer()

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _update_idle_timer(self) -> None:
        """Stop the timer while the app answers a request. Start the timer when the connection begins to wait for a
        request.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_idle_timer()
        elif self._idle_timer is None:
            self._idle_since = time.monotonic()
            self._start_idle_timer()

    def _start_idle_timer(self) -> None:
        self._idle_timer = self.loop.call_later(self._limits.header_s, self._end_idle, self._unread())

    def _end_idle(self, unread: int) -> None:
        if self._is_reading(unread):  # The app has written the last answer, but not all of it is sent yet.
            self._start_idle_timer()
        else:
            self.transport.abort()

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _start_write_timer(self) -> None:
        self._write_timer = self.loop.call_later(self._limits.answer_s, self._end_writing, self._unread())

    def _end_writing(self, unread: int) -> None:
        if self._is_reading(unread):
            self._start_write_timer()
        else:
            self.transport.abort()

    def _is_reading(self, unread: int) -> bool:
        """Return whether this process has bytes to send, and the client has read enough since `_unread` returned
        `unread`.
        """
        return self.transport.get_write_buffer_size() > 0 and unread - self._unread() >= _LEAST_READ

    def _unread(self) -> int:
        """Return how many written bytes the client has not received yet: the bytes in this process and in the kernel.
        Return 0 if this process has no bytes to send.

        The kernel takes new bytes only in large steps. If only the bytes in this process were counted, a slow client
        would seem to read nothing. On a system that does not tell the number, only these bytes are counted.
        """
        waiting, queued = self.transport.get_write_buffer_size(), 0
        socket = self.transport.get_extra_info("socket") if waiting else None
        with suppress(OSError, ValueError):
            if socket is not None:
                (queued,) = struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)))
        return waiting + queued

    def _close_longest_idle(self) -> None:
        idle: list[Any] = [other for other in self.connections if getattr(other, "_idle_timer", None) is not None]
        longest: Connection = min(idle, key=lambda other: other._idle_since)
        self.connections.discard(longest)
        longest.transport.abort()

"""A connection of the service: it may not wait for long without a request, and not stand in the way of others.

uvicorn bounds neither the time that headers take, nor how many connections there are. `python -m thumblab_serving` runs it
with this protocol; the limits come from the app (`_lifespan`).
"""

import asyncio
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LIMITS = "connection_limits"
"""The key under which the app's lifespan tells its limits."""

_MOST_DESCRIPTORS = 65_536
_MOST_CONNECTIONS = 1_024


@dataclass(frozen=True)
class Limits:
    """Seconds for the headers of a request and for a client to take its answer, and how many connections there may be."""

    header_s: float
    answer_s: float
    connections: int


def open_descriptors() -> int:
    """Raise this process's limit of descriptors as far as it may; half of them are for connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    with suppress(ValueError, OSError):  # some systems say unlimited and mean less
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(_MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Connection(H11Protocol):
    """Ends when it has had no request to work on for `header_s`, however slowly bytes drip in.

    Where there are too many, the one that has waited longest makes room.
    """

    _limits: Limits
    _since = 0.0
    _waiting: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limits = self.app_state[LIMITS]
        self._watch()
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._working()
        self.resume_writing()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self._writing or self.loop.call_later(self._limits.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().resume_writing()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._working()
        elif self._waiting is None:
            self._since = time.monotonic()
            self._waiting = self.loop.call_later(self._limits.header_s, self.transport.abort)

    def _working(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _make_room(self) -> None:
        waiting: list[Any] = [other for other in self.connections if getattr(other, "_waiting", None) is not None]
        oldest: Connection = min(waiting, key=lambda other: other._since)
        self.connections.discard(oldest)
        oldest.transport.abort()

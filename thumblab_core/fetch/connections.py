"""Open the connections of a fetcher. No step waits beyond the deadline of the request."""

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from thumblab_core.fetch.addresses import is_address, is_public, local_networks
from thumblab_core.fetch.answers import RefusedError
from thumblab_core.fetch.targets import ADVICE

_LOOK_UPS = 8
"""Maximum number of names that are looked up at the same time. A look-up cannot be cancelled, so a slow name server
occupies a thread until the resolver of the system gives up."""

_ADDRESSES = 4
"""Maximum number of addresses of one host that are tried."""


class Deadline(threading.local):
    """The moment at which the request of the current thread must end. Each thread has its own moment."""

    ends = float("inf")

    def begin(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds

    def passed(self) -> bool:
        return time.monotonic() >= self.ends

    def at_most(self, timeout: float | None) -> float:
        """Return `timeout`, but at most the seconds until the deadline.

        Raises `httpcore.ReadTimeout` if the deadline has passed.
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(left, timeout)


class _TimedStream(httpcore.NetworkStream):
    """A connection that never waits beyond the deadline, not even for headers that arrive byte by byte."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.at_most(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.at_most(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, self._deadline.at_most(timeout))
        return _TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class TimedBackend(httpcore.SyncBackend):
    """A backend that opens the connections of a pool. No connection waits beyond the deadline of the request."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, self.deadline.at_most(timeout), local_address, socket_options)
        return _TimedStream(stream, self.deadline)


class PublicBackend(TimedBackend):
    """A backend that connects only to public addresses.

    The backend looks up a name once, checks the addresses, and connects only to the checked addresses. TLS still
    verifies the certificate for the name.
    """

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._look_ups = ThreadPoolExecutor(_LOOK_UPS, "look-up")

    def close(self) -> None:
        """Stop the threads that look up host names. Does not wait for a thread, because a slow name server may block it
        for minutes.
        """
        self._look_ups.shutdown(wait=False, cancel_futures=True)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a public address of `host`. Raises `RefusedError` if `host` has no public address."""
        failure: Exception | None = None
        for address in self._public_addresses(host, port, timeout):
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        # A name that does not exist and a name with a private address give the same error. With two different errors, a
        # client could find out which host names exist in the local network.
        reason = "is not a public address" if is_address(host) else "has no public address"
        raise failure or RefusedError(f"{host[:100]} {reason}; {ADVICE}")

    def _public_addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        if is_address(host):
            addresses = [host]
        else:
            # The dot at the end makes the name absolute. Without it, the resolver could try the name in the domains of
            # the local network too.
            pending = self._look_ups.submit(socket.getaddrinfo, f"{host}.", port, type=socket.SOCK_STREAM)
            try:
                answers = pending.result(self.deadline.at_most(timeout))
            except TimeoutError:
                pending.cancel()
                raise httpcore.ConnectTimeout(f"{host[:100]} could not be looked up in time") from None
            except (OSError, UnicodeError):
                answers = []
            addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        local = local_networks()
        return [address for address in addresses if is_public(address, local)][:_ADDRESSES]

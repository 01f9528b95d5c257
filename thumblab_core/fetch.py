"""The only way the lab reads a URL that came from outside: allowed hosts, no redirects, counted bytes, a deadline."""

import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import Any, BinaryIO, Self
from urllib.parse import quote, urlsplit

import httpcore

from thumblab_core.errors import LabError
from thumblab_core.hosts import USUAL_PORTS, host_in_url, host_name
from thumblab_core.images import MAX_BYTES

CONNECT_S, READ_S, DEADLINE_S = 5.0, 20.0, 30.0
"""Seconds for a connection, for the next bytes, and for everything together."""

_OK, _NOT_MODIFIED = 200, 304
_MAX_CONNECTIONS, _MAX_IDLE, _IDLE_S = 64, 16, 5.0
_SMALL = 2**16
_LONGEST_TAG = 1_000
_UNRESERVED = "/%:@!$&'()*+,;=~?"
_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
)


@dataclass(frozen=True)
class Answer:
    """What a host answered: 200 with the bytes, or 304 without any, when what was known still holds.

    `etag` and `last_modified` are to be sent along next time; `date` is the host's clock. None where it does not tell.
    """

    status: int
    body: bytes
    etag: str | None
    last_modified: str | None
    date: datetime | None

    @property
    def unchanged(self) -> bool:
        return self.status == _NOT_MODIFIED


class FetchError(LabError):
    """The URL was refused or did not give its bytes.

    Where a host answered, `status` is its HTTP status, `date` its clock and `retry_after` the seconds that it asks for.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        date: datetime | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.date = date
        self.retry_after = retry_after


class RefusedError(FetchError):
    """The lab itself does not read such a URL; nobody was asked."""


class Fetcher:
    """Reads files from the hosts it is told to trust, over one pool of connections; safe to use from many threads.

    Args:
        hosts: `name` (https on its usual port) or `name:port` (plain http too: the emulator), as `host_in_url` writes them.
        deadline_s: seconds for one file, from the connection to the last byte, however slowly it drips.
        accept: the media types that are asked for.
    """

    def __init__(self, hosts: Collection[str], deadline_s: float = DEADLINE_S, accept: str = "image/*") -> None:
        self._hosts = frozenset(hosts)
        self._deadline_s = deadline_s
        self._deadline = _Deadline()
        # httpcore itself, not httpx: it takes the address apart as it was checked, and follows, unpacks and proxies nothing.
        self._pool = httpcore.ConnectionPool(
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_S,
            network_backend=_TimedBackend(self._deadline),
        )
        self._headers = {
            "User-Agent": f"thumbnail-lab/{metadata.version('thumblab')}",
            # A picture is not compressed once more; a body that claims to be could swell past what was counted.
            "Accept-Encoding": "identity",
            "Accept": accept,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.close()

    def check(self, url: str) -> httpcore.URL:
        """The URL in parts, to be dialled as they are. Raises `RefusedError` unless this fetcher may read it."""
        try:
            parts = urlsplit(url)
            host, port = host_name(parts.hostname or ""), parts.port
            target = quote(parts.path or "/", _UNRESERVED) + ("?" + quote(parts.query, _UNRESERVED)) * bool(parts.query)
        except ValueError:
            raise RefusedError(f"not a URL: {url[:200]!r}") from None
        if parts.username is not None or parts.password is not None:
            raise RefusedError("URLs with credentials are refused")
        asked = USUAL_PORTS.get(parts.scheme) if port is None else port
        usual = (parts.scheme, asked) == ("https", 443) and host_in_url(host) in self._hosts
        named = parts.scheme in USUAL_PORTS and host_in_url(host, asked) in self._hosts
        if not usual and not named:
            raise RefusedError(
                f"{parts.scheme}://{parts.netloc[:100]} is not among the image hosts; "
                "send the picture itself, or name the host in THUMBLAB_EXTRA_IMAGE_HOSTS"
            )
        return httpcore.URL(scheme=parts.scheme, host=host, port=port, target=target)

    def get(
        self,
        url: str,
        max_bytes: int = MAX_BYTES,
        etag: str | None = None,
        last_modified: str | None = None,
        within_s: float | None = None,
    ) -> Answer:
        """What `url` answers, at most `max_bytes` of it, `within_s` seconds where that is sooner. Raises `FetchError`.

        With the `etag` or `last_modified` of an earlier answer the host may say that nothing changed, and send nothing.
        """
        headers = dict(self._headers)
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        body = bytearray()
        answer = self._read(url, headers, max_bytes, body.extend, within_s)
        return replace(answer, body=bytes(body))

    def download(self, url: str, file: BinaryIO, max_bytes: int) -> None:
        """Write what `url` answers to `file` as it arrives, at most `max_bytes` of it.

        Raises `FetchError`; the file may then hold a part, so write aside and rename.
        """
        self._read(url, dict(self._headers), max_bytes, file.write)

    def _read(
        self,
        url: str,
        headers: dict[str, str],
        max_bytes: int,
        keep: Callable[[bytes], object],
        within_s: float | None = None,
    ) -> Answer:
        """The answer without its body, which `keep` is given in pieces."""
        asked = self.check(url)
        # By hand: httpcore leaves an IPv6 address without its brackets.
        headers["Host"] = host_in_url(asked.host.decode("ascii", "replace"), asked.port)
        seconds = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
        self._deadline.begin(seconds)
        try:
            return self._stream(url, asked, headers, max_bytes, keep)
        except _FAILURES as error:
            if self._deadline.passed():
                raise FetchError(f"{url[:200]} did not arrive within {seconds:.3g} s") from None
            raise FetchError(f"{url[:200]} could not be read ({type(error).__name__}: {error})") from None

    def _stream(
        self, url: str, asked: httpcore.URL, headers: dict[str, str], max_bytes: int, keep: Callable[[bytes], object]
    ) -> Answer:
        wire = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        timeout = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}
        with self._pool.stream("GET", asked, headers=wire, extensions={"timeout": timeout}) as answer:
            told = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
            date = _moment(told.get("date"))
            conditional = "If-None-Match" in headers or "If-Modified-Since" in headers
            good = answer.status == _OK or (answer.status == _NOT_MODIFIED and conditional)
            count = 0
            for chunk in answer.iter_stream():
                count += len(chunk)
                if good and count > max_bytes:
                    message = f"{url[:200]} is larger than {max_bytes / 2**20:.3g} MiB"
                    raise FetchError(message, answer.status, date)
                if good:
                    keep(chunk)
                elif count > _SMALL:  # what is short is read to its end, to keep the connection
                    break
            if not good:
                retry_after = _seconds(told.get("retry-after"), date)
                raise FetchError(f"{url[:200]} answered {answer.status}", answer.status, date, retry_after)
            return Answer(answer.status, b"", _tag(told.get("etag")), _tag(told.get("last-modified")), date)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(text: str | None, now: datetime | None) -> float | None:
    """`Retry-After`: seconds, or a moment by the host's own clock."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    moment = _moment(text)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()) if moment else None


def _tag(text: str | None) -> str | None:
    return text if text and len(text) <= _LONGEST_TAG else None


class _Deadline(threading.local):
    """When the request of this thread has to be over."""

    ends = float("inf")

    def begin(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds

    def passed(self) -> bool:
        return time.monotonic() >= self.ends

    def at_most(self, timeout: float | None) -> float:
        """The part of a timeout that is left before the end. Raises `httpcore.ReadTimeout` when there is none."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(left, timeout)


class _TimedStream(httpcore.NetworkStream):
    """A connection on which no wait lasts longer than the deadline: not for headers either, which may drip as well."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
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


class _TimedBackend(httpcore.SyncBackend):
    """Makes the connections of a pool."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, self._deadline.at_most(timeout), local_address, socket_options)
        return _TimedStream(stream, self._deadline)

"""Read files from URLs that come from outside the lab. All code of the lab that reads such a URL uses this module.

These rules protect the lab against a hostile URL or host:

    hosts            The URL must name a host and a port that the fetcher was given. It must not contain credentials.
    redirects        Redirects are not followed.
    proxies          Proxies are not used.
    size             An answer may have at most the given number of bytes.
    compression      Compression is not requested, and a compressed answer is not unpacked.
    time             A request has one deadline, from the connection to the last byte.
"""

import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
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
"""How many seconds a request may take: to connect, to wait for the next bytes, and from its start to its end."""

_OK, _NOT_MODIFIED = 200, 304
_MAX_CONNECTIONS, _MAX_IDLE, _IDLE_S = 64, 16, 5.0
_SMALL = 2**16
"""If an answer has an error status, its body is read to the end only if it has at most this many bytes."""
_LONGEST_TAG = 1_000
"""The longest ETag or Last-Modified, in characters, that is kept. A longer value is ignored."""
_UNRESERVED = "/%:@!$&'()*+,;=~?"
"""Characters that are not escaped in paths and queries, besides letters and digits."""
_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
)


@dataclass(frozen=True)
class FetchedAnswer:
    """The answer of a host. The status is 200 with the bytes of the file, or 304 without a body.

    A host answers 304 if the request had the `etag` or `last_modified` of an earlier answer, and the file has not
    changed since that answer.

    Pass `etag` and `last_modified` to the next request for the same URL. `date` is the time by the host's clock. Each
    of these three fields is None if the host does not send it.
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
    """An error for a URL that was refused or could not be read.

    If a host answered, `status` is the HTTP status and `date` is the time by the host's clock. `retry_after` is the
    number of seconds that the host asks to wait.
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
    """An error for a URL that the lab does not read. No request was sent."""


class Fetcher:
    """A client that reads files from allowed hosts over one pool of connections. Many threads may use it at once.

    Args:
        hosts: the allowed hosts, in the form of `host_in_url`. `name` allows https on port 443. `name:port` allows
            https and plain http on that port. Plain http is for the lab's emulator of YouTube.
        deadline_s: how many seconds one file may take, from the connection to the last byte.
        accept: the media types to request.
    """

    def __init__(self, hosts: Collection[str], deadline_s: float = DEADLINE_S, accept: str = "image/*") -> None:
        self._hosts = frozenset(hosts)
        self._deadline_s = deadline_s
        self._deadline = _Deadline()
        # The fetcher uses httpcore and not httpx, because httpcore connects to exactly the host and port that were
        # checked. httpcore does not follow redirects, unpack bodies or use proxies.
        self._pool = httpcore.ConnectionPool(
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_S,
            network_backend=_TimedBackend(self._deadline),
        )
        self._headers = {
            "User-Agent": f"thumbnail-lab/{metadata.version('thumblab')}",
            # Compression is not requested, because pictures are compressed already. A compressed body could also unpack
            # to more bytes than were counted.
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
        """Return the parsed URL. Pass the returned URL unchanged to httpcore, so that exactly the checked URL is read.

        Raises `RefusedError` if this fetcher may not read the URL.
        """
        try:
            parts = urlsplit(url)
            host, port = host_name(parts.hostname or ""), parts.port
            query = "?" + quote(parts.query, _UNRESERVED) if parts.query else ""
            target = quote(parts.path or "/", _UNRESERVED) + query
        except ValueError:
            raise RefusedError(f"this is not a URL: {url[:200]!r}") from None
        if parts.username is not None or parts.password is not None:
            raise RefusedError("URLs with credentials are refused")
        actual_port = USUAL_PORTS.get(parts.scheme) if port is None else port
        allowed_by_name = (parts.scheme, actual_port) == ("https", 443) and host_in_url(host) in self._hosts
        allowed_with_port = parts.scheme in USUAL_PORTS and host_in_url(host, actual_port) in self._hosts
        if not allowed_by_name and not allowed_with_port:
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
    ) -> FetchedAnswer:
        """Return the answer to a request for `url`.

        Raises `FetchError` if the URL is refused or cannot be read, or if the body has more than `max_bytes`.

        This request may take at most `within_s` seconds, if that is less than the deadline of the fetcher. Pass the
        `etag` or `last_modified` of the last answer for this URL. If the file has not changed since that answer, the
        host can then answer 304, without a body.
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
        """Write the body of the answer to `file` as it arrives.

        Raises `FetchError` if the URL is refused or cannot be read, or if the body has more than `max_bytes`. The file
        may then hold a part of the body. Therefore pass a temporary file, and rename it after this call.
        """
        self._read(url, dict(self._headers), max_bytes, file.write)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send `body` to `url`, under the same rules as for reading. `headers` are added to the fetcher's own.

        Raises `FetchError` if the URL is refused or cannot be reached, or if the status is not 200 to 299.
        """
        target = self.check(url)
        host = host_in_url(target.host.decode("ascii", "replace"), target.port)
        wire = {**self._headers, **headers, "Host": host, "Content-Length": str(len(body))}
        fields = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in wire.items()]
        limits = {"timeout": {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}}
        self._deadline.begin(self._deadline_s)
        try:
            with self._pool.stream("POST", target, headers=fields, content=body, extensions=limits) as answer:
                status = answer.status
        except _FAILURES as error:
            raise FetchError(f"{url[:200]} could not be reached ({type(error).__name__}: {error})") from None
        if not 200 <= status < 300:
            raise FetchError(f"{url[:200]} answered {status}", status)

    def _read(
        self,
        url: str,
        headers: dict[str, str],
        max_bytes: int,
        keep: Callable[[bytes], object],
        within_s: float | None = None,
    ) -> FetchedAnswer:
        """Return the answer without its body. The function `keep` is called with each piece of the body."""
        target = self.check(url)
        # The header `Host` is set here, because httpcore would write an IPv6 address in it without brackets.
        headers["Host"] = host_in_url(target.host.decode("ascii", "replace"), target.port)
        seconds = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
        self._deadline.begin(seconds)
        try:
            return self._stream(url, target, headers, max_bytes, keep)
        except _FAILURES as error:
            if self._deadline.passed():
                raise FetchError(f"{url[:200]} did not arrive within {seconds:.3g} s") from None
            raise FetchError(f"{url[:200]} could not be read ({type(error).__name__}: {error})") from None

    def _stream(
        self, url: str, target: httpcore.URL, headers: dict[str, str], max_bytes: int, keep: Callable[[bytes], object]
    ) -> FetchedAnswer:
        wire = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        timeout = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}
        with self._pool.stream("GET", target, headers=wire, extensions={"timeout": timeout}) as answer:
            fields = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
            date = _moment(fields.get("date"))
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
                # The body of an answer with an error status is read to its end only if it is short. The connection can
                # then be reused.
                elif count > _SMALL:
                    break
            if not good:
                retry_after = _seconds(fields.get("retry-after"), date)
                raise FetchError(f"{url[:200]} answered {answer.status}", answer.status, date, retry_after)
            return FetchedAnswer(answer.status, b"", _tag(fields.get("etag")), _tag(fields.get("last-modified")), date)


def _moment(text: str | None) -> datetime | None:
    """Return the moment that the text of an HTTP header gives, or None if it gives no valid moment."""
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(text: str | None, now: datetime | None) -> float | None:
    """Return how many seconds a `Retry-After` header asks to wait, or None without a valid header.

    The header holds a number of seconds, or a moment by the host's clock. `now` is the time by the host's clock.
    """
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    moment = _moment(text)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()) if moment else None


def _tag(text: str | None) -> str | None:
    return text if text and len(text) <= _LONGEST_TAG else None


class _Deadline(threading.local):
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
    """A backend that opens the connections of a pool. No connection waits beyond the deadline of the request."""

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

"""Read files from allowed hosts. The rules are in the docstring of `thumblab_core.fetch`."""

import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from importlib import metadata
from typing import IO, Self
from urllib.parse import urljoin

import httpcore

from thumblab_core.fetch.answers import (
    NOT_MODIFIED,
    FetchedAnswer,
    FetchError,
    RefusedError,
    moment,
    seconds_to_wait,
    tag,
)
from thumblab_core.fetch.connections import Deadline, PublicBackend, TimedBackend
from thumblab_core.fetch.targets import ADVICE, Target, parse, refuse_control_characters
from thumblab_core.images import MAX_BYTES

CONNECT_S, READ_S, DEADLINE_S = 5.0, 20.0, 30.0
"""How many seconds a request may take: to connect, to wait for the next bytes, and from its start to its end."""

MAX_REDIRECTS = 3
"""How many redirects one request to a public host may follow."""

_OK = 200
_REDIRECTS = {301, 302, 303, 307, 308}
_LONGEST_LOCATION = 2_048
"""The longest URL, in characters, that a redirect may lead to."""
_MAX_CONNECTIONS, _MAX_IDLE, _IDLE_S = 64, 16, 5.0
_SMALL = 2**16
"""The largest body, in bytes, that is read to the end if the answer has an error status."""
_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
)


class Fetcher:
    """A client that reads files from allowed hosts over one pool of connections. Many threads may use it at the same
    time.

    Args:
        hosts: the allowed hosts, in the form of `host_in_url`. `name` allows https on port 443. `name:port` allows
            https and plain http on that port. Plain http is for the lab's emulator of YouTube.
        deadline_s: how many seconds one file may take, from the first look-up to the last byte.
        accept: the media types to request.
        any_public_host: whether to read https URLs of all other public hosts too, and to follow redirects to them.
    """

    def __init__(
        self,
        hosts: Collection[str],
        deadline_s: float = DEADLINE_S,
        accept: str = "image/*",
        any_public_host: bool = False,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._deadline_s = deadline_s
        self._deadline = Deadline()
        self._pool = _pool(TimedBackend(self._deadline))
        # Public hosts have their own pool of connections, so that they cannot occupy the connections to `hosts`.
        self._public = PublicBackend(self._deadline) if any_public_host else None
        self._public_pool = None if self._public is None else _pool(self._public, httpcore.default_ssl_context())
        self._headers = {
            "User-Agent": f"thumbnail-lab/{metadata.version('thumblab')}",
            # Compression is not requested, because pictures are compressed already. Also, only the received bytes are
            # counted, and the unpacked body could be larger than the limit.
            "Accept-Encoding": "identity",
            "Accept": accept,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.close()
        if self._public is not None and self._public_pool is not None:
            self._public_pool.close()
            self._public.close()

    def check(self, url: str) -> Target:
        """Return the target to which a request for the URL is sent. Does not look up the name of a public host.

        Raises `RefusedError` if this fetcher may not read the URL.
        """
        return self._route(url)[0]

    def _route(self, url: str) -> tuple[Target, httpcore.ConnectionPool]:
        """Return the target of the URL, and the pool with the connections to its host."""
        target = parse(url)
        if target.is_listed(self._hosts):
            return target, self._pool
        if self._public_pool is not None:
            return target.on_a_public_host(), self._public_pool
        raise RefusedError(f"{target.scheme}://{target.authority[:100]} is not among the image hosts; {ADVICE}")

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

        If `within_s` is less than the deadline of the fetcher, this request may take at most `within_s` seconds. Pass
        the `etag` or `last_modified` of the last answer for this URL. Then the host can answer 304, without a body, if
        the file has not changed since that answer.
        """
        headers = dict(self._headers)
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        body = bytearray()
        answer = self._read(url, headers, max_bytes, body.extend, within_s)
        return replace(answer, body=bytes(body))

    def download(self, url: str, file: IO[bytes], max_bytes: int, within_s: float | None = None) -> None:
        """Write the body of the answer to `file` as it arrives. `within_s` has the same meaning as in `get`.

        Raises `FetchError` if the URL is refused or cannot be read, or if the body has more than `max_bytes`. The file
        may then contain a part of the body. Therefore pass a temporary file, and rename it after this call.
        """
        self._read(url, dict(self._headers), max_bytes, file.write, within_s)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send `body` to `url`, under the same rules as for reading. `headers` are added to the headers that the
        fetcher always sends.

        Redirects are not followed. Raises `FetchError` if the URL is refused or cannot be reached, or if the status is
        not 200 to 299.
        """
        target, pool = self._route(url)
        wire = {**self._headers, **headers, "Host": target.authority, "Content-Length": str(len(body))}
        fields = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in wire.items()]
        limits = {"timeout": {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}}
        self._deadline.begin(self._deadline_s)
        try:
            with pool.stream("POST", target.url, headers=fields, content=body, extensions=limits) as answer:
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
        target, pool = self._route(url)
        seconds = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
        self._deadline.begin(seconds)
        address, name, redirected = url, url[:200], False
        try:
            for _ in range(1 + MAX_REDIRECTS):
                answer = self._stream(name, target, pool, headers, max_bytes, keep)
                if isinstance(answer, FetchedAnswer):
                    return answer
                redirected = True
                address = _redirect(address, answer)
                # The host of the new URL must be public, even if it is one of `hosts`. Otherwise the owner of a public
                # host could make the lab send requests to a host of the local network that is one of `hosts`.
                target = parse(address).on_a_public_host()
                pool, name = self._public_pool or pool, f"{url[:200]}, redirected to {address[:200]},"
        except RefusedError as error:
            if not redirected:
                raise
            raise RefusedError(f"{url[:200]} redirects to a URL that is refused: {error}") from None
        except _FAILURES as error:
            if self._deadline.passed():
                raise FetchError(f"{name} did not arrive within {seconds:.3g} s") from None
            raise FetchError(f"{name} could not be read ({type(error).__name__}: {error})") from None
        raise FetchError(f"{url[:200]} redirects more than {MAX_REDIRECTS} times")

    def _stream(
        self,
        name: str,
        target: Target,
        pool: httpcore.ConnectionPool,
        headers: dict[str, str],
        max_bytes: int,
        keep: Callable[[bytes], object],
    ) -> FetchedAnswer | str:
        """Return the answer without its body, or the URL that the host redirects to."""
        # The header `Host` is set here, because httpcore would write an IPv6 address in it without brackets.
        headers = headers | {"Host": target.authority}
        wire = [(field.encode("latin-1"), value.encode("latin-1", "replace")) for field, value in headers.items()]
        timeout = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}
        with pool.stream("GET", target.url, headers=wire, extensions={"timeout": timeout}) as answer:
            fields = {field.lower().decode("latin-1"): value.decode("latin-1") for field, value in answer.headers}
            if self._public is not None and answer.status in _REDIRECTS and "location" in fields:
                return fields["location"]
            date = moment(fields.get("date"))
            conditional = "If-None-Match" in headers or "If-Modified-Since" in headers
            good = answer.status == _OK or (answer.status == NOT_MODIFIED and conditional)
            count = 0
            for chunk in answer.iter_stream():
                count += len(chunk)
                if good and count > max_bytes:
                    raise FetchError(f"{name} is larger than {max_bytes / 2**20:.3g} MiB", answer.status, date)
                if good:
                    keep(chunk)
                # If the host answered with an error status, its body is read only up to a limit. A short body is read
                # to its end, so that the connection can be reused.
                elif count > _SMALL:
                    break
            if not good:
                retry_after = seconds_to_wait(fields.get("retry-after"), date)
                raise FetchError(f"{name} answered {answer.status}", answer.status, date, retry_after)
            return FetchedAnswer(answer.status, b"", tag(fields.get("etag")), tag(fields.get("last-modified")), date)


def _pool(backend: TimedBackend, ssl_context: ssl.SSLContext | None = None) -> httpcore.ConnectionPool:
    # The lab uses httpcore and not httpx, because httpcore connects to exactly the host and port that were checked.
    # httpcore does not follow redirects, unpack bodies or use proxies.
    return httpcore.ConnectionPool(
        ssl_context=ssl_context,
        max_connections=_MAX_CONNECTIONS,
        max_keepalive_connections=_MAX_IDLE,
        keepalive_expiry=_IDLE_S,
        network_backend=backend,
    )


def _redirect(address: str, location: str) -> str:
    """Return the URL to which `address` redirects. Raises `RefusedError` if the header `Location` contains no URL."""
    if len(location) > _LONGEST_LOCATION:
        raise RefusedError(f"the URL has more than {_LONGEST_LOCATION} characters")
    refuse_control_characters(location)
    try:
        return urljoin(address, location)
    except ValueError:
        raise RefusedError(f"this is not a URL: {location[:200]!r}") from None

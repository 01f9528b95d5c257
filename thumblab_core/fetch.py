"""The only way the lab reads a URL that came from outside: allowed hosts, no redirects, counted bytes."""

from collections.abc import Collection
from typing import Self
from urllib.parse import urlsplit

import httpx

from thumblab_core.errors import LabError
from thumblab_core.images import MAX_BYTES

_TIMEOUT = httpx.Timeout(20.0, connect=5.0)


class FetchError(LabError):
    """The URL was refused or did not give its bytes; `status` is the HTTP status where there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Fetcher:
    """Reads pictures from the hosts it is told to trust, over one pool of connections; safe to use from many threads.

    `hosts` holds `name` (https on its usual port) or `name:port` (plain http too: the emulator).
    """

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(hosts)
        # trust_env=False: a proxy named in the environment would fetch on our behalf what this class refuses.
        # Pictures are not compressed once more; a body that claims to be could swell past what was counted.
        self._client = httpx.Client(
            timeout=_TIMEOUT, follow_redirects=False, trust_env=False, headers={"Accept-Encoding": "identity"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def check(self, url: str) -> None:
        """Raise `FetchError` unless the URL is one this fetcher may read."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise FetchError(f"not a URL: {url[:200]!r}") from None
        if parts.username is not None or parts.password is not None:
            raise FetchError("URLs with credentials are refused")
        if parts.scheme == "https" and port in (None, 443) and host in self._hosts:
            return
        if parts.scheme in ("http", "https") and port is not None and f"{host}:{port}" in self._hosts:
            return
        raise FetchError(
            f"{parts.scheme}://{parts.netloc[:100]} is not among the image hosts; "
            "send the picture itself, or name the host in THUMBLAB_EXTRA_IMAGE_HOSTS"
        )

    def get(self, url: str, max_bytes: int = MAX_BYTES) -> bytes:
        """The body of `url`, at most `max_bytes`. Raises `FetchError`."""
        self.check(url)
        try:
            with self._client.stream("GET", url) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise FetchError(f"{url[:200]} answered {answer.status_code}", answer.status_code)
                body = bytearray()
                for chunk in answer.iter_raw():
                    body += chunk
                    if len(body) > max_bytes:
                        raise FetchError(f"{url[:200]} is larger than {max_bytes // 2**20} MiB")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(f"{url[:200]} could not be read ({type(error).__name__}: {error})") from None
        return bytes(body)

"""The settings of a connection: the address of the service, the API key, and the timeout."""

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpx

from thumblab_client.errors import NoAnswerError, ThumblabError

DEFAULT_URL = "http://127.0.0.1:8000"

BROKEN = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""The errors of a connection that broke. A busy service may close the connection while the body is still being sent.
The answer of the service is then lost, and the client sends the request again. A repeated request does no harm: an
experiment and a batch are stored only once, and a second import of the same exports changes nothing.
"""

_CONNECT_S = 10.0


@dataclass(frozen=True)
class Connection:
    """The address of the service, the API key, and how many seconds an answer may take. The key is never printed."""

    url: str
    key: str | None = field(repr=False)
    timeout: float

    @classmethod
    def of(cls, url: str | None, key: str | None, timeout: float) -> "Connection":
        """Return the connection. If `url` is None, the environment variable THUMBLAB_SERVING_URL is used. If `key` is
        None, THUMBLAB_API_KEY is used.

        Raises `ThumblabError` if the URL cannot be used, or if the key cannot be sent in a header.
        """
        url = (url or os.environ.get("THUMBLAB_SERVING_URL") or DEFAULT_URL).strip().rstrip("/")
        # A key that was read from a file may end with a newline, which is not a part of the key.
        key = (key or os.environ.get("THUMBLAB_API_KEY") or "").strip() or None
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ThumblabError(f"{url!r} is not a URL ({error}); give a URL such as {DEFAULT_URL}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ThumblabError(f"{url!r} is not an http or https URL; give a URL such as {DEFAULT_URL}")
        if parsed.userinfo or parsed.query or parsed.fragment:
            raise ThumblabError("the URL of the service has a user name, password, query or fragment; leave it out")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ThumblabError("the API key has characters that a key cannot have; copy the key again")
        return cls(url, key, timeout)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments for the client of httpx.

        The proxies in environment variables are used, but not for a service on this machine, because a proxy cannot
        reach this machine.
        """
        return {
            "base_url": self.url,
            "headers": {} if self.key is None else {"X-API-Key": self.key},
            "timeout": httpx.Timeout(self.timeout, connect=min(_CONNECT_S, self.timeout)),
            "trust_env": not _is_loopback(httpx.URL(self.url).host),
            "follow_redirects": False,
        }

    def no_answer(self, error: httpx.HTTPError) -> NoAnswerError:
        """Return the error for a request that got no answer."""
        return NoAnswerError(f"the service at {self.url} did not answer ({error or type(error).__name__})")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

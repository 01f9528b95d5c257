"""Parse a URL into the parts that a request needs, and refuse the forms of URLs that the lab does not read."""

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, urlsplit

import httpcore

from thumblab_core.fetch.answers import RefusedError
from thumblab_core.hosts import USUAL_PORTS, ascii_host, host_in_url, split_authority

_UNRESERVED = "/%:@!$&'()*+,;=~?"
"""Characters that are not escaped in paths and queries, besides letters and digits."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A host name in ASCII with at least two labels. A name with one label is a name of the local network."""

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""If the last label of a name has this form, the resolver reads the whole name as an IPv4 address. Examples are
`127.1`, `0x7f.1` and `2130706433`. No top-level domain has this form.
"""

_NOT_PUBLIC = (
    *("alt", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "test"),  # reserved by IANA and ICANN
    *("corp", "home", "intranet", "lan", "localdomain", "mail", "private"),  # names that local networks use
)
"""Endings that the name of a public host never has: top-level domains, and the domain `home.arpa`."""

ADVICE = "send the picture itself, or name the host in THUMBLAB_EXTRA_IMAGE_HOSTS"


@dataclass(frozen=True)
class Target:
    """The target of a request: the parts of its URL. `host` is in ASCII. `port` is None if the URL does not state it.

    Send requests to `url`, so that exactly the checked URL is read.
    """

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def url(self) -> httpcore.URL:
        return httpcore.URL(scheme=self.scheme, host=self.host, port=self.port, target=self.path)

    @property
    def authority(self) -> str:
        """The host in the form that a URL needs, followed by the port if the URL states the port."""
        return host_in_url(self.host, self.port)

    def is_listed(self, hosts: frozenset[str]) -> bool:
        """Return whether `hosts`, in the form of `host_in_url`, contains the host and the port of this target."""
        port = USUAL_PORTS.get(self.scheme) if self.port is None else self.port
        by_name = (self.scheme, port) == ("https", 443) and host_in_url(self.host) in hosts
        return by_name or (self.scheme in USUAL_PORTS and host_in_url(self.host, port) in hosts)

    def on_a_public_host(self) -> "Target":
        """Return the target, with an IPv6 address in its canonical form.

        Raises `RefusedError` if the scheme is not https or the port is not 443. Also raises `RefusedError` if the host
        cannot be a public name or address. The addresses of a name are checked later, when the name is looked up.

        Plain http is refused for two reasons. First, everybody on the way from the host to the lab can read and change
        the answer. Second, https also protects against a wrong address: a server of the local network has no
        certificate for the host in the URL.
        """
        if self.scheme != "https" or self.port not in (None, 443):
            raise RefusedError(
                f"{self.scheme}://{self.authority[:100]} does not use https on port 443, which the lab needs for "
                f"hosts that are not among the image hosts; {ADVICE}"
            )
        return replace(self, host=_public_host(self.host))


def parse(url: str) -> Target:
    """Return the target of a URL.

    Raises `RefusedError` if the text is not a URL, has control characters, or contains credentials.
    """
    refuse_control_characters(url)
    try:
        parts = urlsplit(url)
        authority = parts.netloc.rpartition("@")[2]
        host, port = split_authority(authority) if authority else ("", None)
        host = ascii_host(host)
        query = "?" + quote(parts.query, _UNRESERVED) if parts.query else ""
        path = quote(parts.path or "/", _UNRESERVED) + query
    except ValueError:
        raise RefusedError(f"this is not a URL: {_without_credentials(url)!r}") from None
    if "@" in parts.netloc:
        raise RefusedError("URLs with credentials are refused")
    return Target(parts.scheme, host, port, path)


def refuse_control_characters(url: str) -> None:
    """Raise `RefusedError` if the URL has control characters.

    Python's parser removes line breaks and tabs. Other parsers keep them, and may therefore find another host in the
    URL.
    """
    if _CONTROL.search(url):
        raise RefusedError(f"this is not a URL: {_without_credentials(url)!r}")


def _public_host(host: str) -> str:
    """Return the host if it can be a public host. Otherwise, raise `RefusedError`. The host is not looked up."""
    try:
        if ":" in host:
            address = IPv6Address(host)
            if address.scope_id is None:
                return str(address)
        else:
            if _NUMBER.fullmatch(host.rpartition(".")[2]):
                return str(IPv4Address(host))
            if _NAME.fullmatch(host) and not any(f".{host}".endswith(f".{domain}") for domain in _NOT_PUBLIC):
                return host
    except AddressValueError:
        pass
    raise RefusedError(f"{host[:100]!r} is not the name or the address of a public host; {ADVICE}")


def _without_credentials(url: str) -> str:
    return re.sub(r"//.*@", "//***@", url[:200], flags=re.DOTALL)

"""Normalise host names and addresses, so that they can be compared and written into URLs."""

import re
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import idna

_HOST = re.compile(r"[\w.-]+")

_AUTHORITY = re.compile(
    r"(?:(?P<name>[^\s/?#@:\[\]\\]+)|\[(?P<address>[0-9A-Fa-f:.]+(?:%[^\s\[\]/?#@\\]+)?)\])(?::(?P<port>[0-9]{0,5}))?",
)
_LAST_PORT = 65_535


def host_name(host: str) -> str:
    """Return the host in lower case and without its brackets. An IPv6 address gets its canonical form."""
    name = host.strip().lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    try:
        return str(ip_address(name)) if ":" in name else name
    except ValueError:
        return name


def split_authority(text: str) -> tuple[str, int | None]:
    """Return the host and the port of `host`, `host:port`, `[address]` or `[address]:port`.

    The host is normalised by `host_name`. Raises `ValueError` for any other text, and for a text with credentials. The
    standard library is not used, because it reads `[::1]evil.com` as `::1`, while other parsers find another host in
    this text.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError("this is neither a host nor a host with a port")
    host, port = match["name"] or str(IPv6Address(match["address"])), match["port"]
    if port and int(port) > _LAST_PORT:
        raise ValueError(f"{port} is not the number of a port; use 1 to {_LAST_PORT}")
    return host_name(host), int(port) if port else None


def url_host(url: str) -> str:
    """Return the normalised host of a URL, or an empty text if the URL has no host or cannot be read."""
    try:
        return split_authority(urlsplit(url).netloc.rpartition("@")[2])[0]
    except ValueError:
        return ""


def ascii_host(name: str) -> str:
    """Return a host name in ASCII, the form that name servers use. An address is returned unchanged.

    The characters are mapped as browsers map them (UTS 46). The result may be an address: `①②⑦.⓪.⓪.①` is 127.0.0.1.
    So check the result and not the given name. Raises `ValueError` if the name has characters that no host has.
    """
    return name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")


def bare_host(text: str) -> str:
    """Check that `text` is a host name or an address without a port, and return it normalised by `host_name`.

    Raises `ValueError` for any other text.
    """
    name = host_name(text)
    if ":" in name:
        if not _is_ipv6(name):
            raise ValueError(
                "this is not a host; write a name or an address without a port; the port has its own setting"
            )
    elif not _HOST.fullmatch(name):
        raise ValueError("this is not a host; write a name or an address, such as 127.0.0.1 or ::1")
    return name


def _is_ipv6(name: str) -> bool:
    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True


def host_in_url(host: str, port: int | None = None) -> str:
    """Return the host in the form that a URL needs: `name`, `name:port`, `[address]` or `[address]:port`."""
    name = host_name(host)
    return (f"[{name}]" if ":" in name else name) + (f":{port}" if port is not None else "")


def answering_host(host: str) -> str:
    """Return the host at which this machine reaches a server that listens on `host`.

    `0.0.0.0` and `::` stand for every address of the machine. For these two hosts, the result is the loopback address
    of the same family. The family matters because the lab's servers use asyncio, which binds `::` for IPv6 only.
    """
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host_name(host), host)  # noqa: S104  (no server binds them here)


USUAL_PORTS = {"https": 443, "http": 80}
"""The default port of each scheme."""


def named_host(text: str) -> str:
    """Return the host that `text` names, with its port if needed, in the form that `host_in_url` returns.

    `text` is a host, a host with a port, or a URL. Raises ValueError for any other text.

    A result without a port means https on port 443. Therefore the result leaves out the port 443 of https, but always
    states the port of http.
    """
    text = text.strip()
    try:
        return host_in_url(str(IPv6Address(text)))
    except ValueError:
        scheme, host, port = "https", "", None
        with suppress(ValueError):  # A name without an ASCII form is refused below.
            parts = urlsplit(text if "://" in text else f"{scheme}://{text.rstrip('/')}")
            if "://" in text or parts.netloc == text.rstrip("/"):
                name, port = split_authority(parts.netloc)
                scheme, host = parts.scheme, ascii_host(name)
        if not (":" in host or _HOST.fullmatch(host)):
            raise ValueError(
                "this is not a host; write name or name:port, and for an IPv6 address [address]:port"
            ) from None
        port = USUAL_PORTS.get(scheme) if port is None else port
        return host_in_url(host, None if (scheme, port) == ("https", 443) else port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on the host."""
    name = host_name(host)
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"

"""Use the facts that a reverse proxy reports about the client: its address, and the scheme and host of its request.

A proxy writes these facts into the headers X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host. Anybody can send
these headers. So the service uses them only if the connection comes from a proxy that the settings name.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from thumblab_core.hosts import split_authority

_PREFIX = b"x-forwarded-"
_FOR = b"x-forwarded-for"
_HOST = b"x-forwarded-host"
_PROTO = b"x-forwarded-proto"


class ForwardedHeaders:
    """Middleware that writes the facts from the proxy's headers into the request: client address, scheme and Host
    header.

    If the connection does not come from one of the `proxies`, this middleware removes the headers X-Forwarded-*.
    Otherwise, uvicorn's middleware reads them. As the client's address, uvicorn takes the last address in
    X-Forwarded-For that is not the address of a proxy.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[IPv4Network | IPv6Network]) -> None:
        self._proxies = proxies
        self._app = ProxyHeadersMiddleware(app, [str(network) for network in proxies])  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            is_proxy = self._is_proxy(scope["client"])
            headers = scope["headers"]
            scope["headers"] = list(_before_the_proxy(headers) if is_proxy else _without_forwarded(headers))
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    def _is_proxy(self, client: tuple[str, int] | None) -> bool:
        return client is not None and _is_address(client[0]) and any(ip_address(client[0]) in p for p in self._proxies)


def _without_forwarded(headers: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    return ((name, value) for name, value in headers if not name.startswith(_PREFIX))


def _before_the_proxy(headers: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers, with the forwarded host as the value of `Host`. A scheme other than http and https is left out.

    If there are several hosts, the last host is used, because the proxy that is nearest to this service wrote it.
    """
    hosts = [value.rpartition(b",")[2].strip() for name, value in headers if name == _HOST]
    for name, value in headers:
        if name == b"host" and hosts:
            yield name, hosts[-1]
        elif name == _PROTO and value.strip() not in (b"http", b"https"):
            continue  # uvicorn would also use `ws` and `wss`, and this service would redirect to such an address.
        # If a proxy does not set X-Forwarded-For, it passes on what the client wrote, which may be any text. So keep
        # the header only if each entry is an address.
        elif name != _FOR or all(map(_begins_with_address, value.decode("latin-1").split(","))):
            yield name, value


def _begins_with_address(entry: str) -> bool:
    """Return whether an entry of X-Forwarded-For is an address, with or without a port."""
    entry = entry.strip()
    try:
        return _is_address(entry) or _is_address(split_authority(entry)[0])
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

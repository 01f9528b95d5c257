"""What stands before every route: bodies have a limit, names are checked on a local service, pages get their headers."""

from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumblab_core.hosts import host_name
from thumblab_serving.problems import Problem, response

MAX_BODY = 64 * 2**20
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class BodyLimit:
    """413 for a body that says it is too large, and for one that does not say so but is."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "0")
        if stated.isdecimal() and int(stated) > self._limit:
            await response(self._too_large())(scope, receive, send)
            return
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._limit:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> Problem:
        detail = f"the request is larger than {self._limit // 2**20} MiB; send fewer or smaller pictures"
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, {"Connection": "close"})


class LocalNames:
    """Refuses a Host that is no name of this machine.

    A service on a loopback address can still be reached by any web page whose name its owner lets resolve to 127.0.0.1
    (DNS rebinding); such a request carries the page's own name.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _host(Headers(scope=scope).get("host", "")) not in self._names:
            detail = f"this service answers on {', '.join(sorted(self._names))} only"
            await response(Problem(HTTPStatus.MISDIRECTED_REQUEST, "unknown-host", detail))(scope, receive, send)
            return
        await self._app(scope, receive, send)


class SecurityHeaders:
    """Nothing but our own files may run in the page, and nobody may frame it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _host(header: str) -> str:
    """The name in a Host header, without its port and the brackets of an IPv6 address."""
    if header.startswith("["):
        return host_name(header.partition("]")[0])
    return header.partition(":")[0].lower()

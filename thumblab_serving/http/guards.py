"""Middleware in front of every route. It checks the Host header and adds headers that guard the answers."""

import re
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumblab_core.hosts import split_authority
from thumblab_serving.http.problems import Problem, response

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

_NEVER_STORED = re.compile(r"/api/v1/faces(/.*)?|/v1/score", re.DOTALL)
"""The paths whose answers may say who is seen in a picture. Browsers and proxies must not keep these answers, because a
kept answer would still name a person who is deleted later. Error answers must not be kept either, because an error may
name a person.
"""


class HostNames:
    """Middleware that refuses a request whose Host header is not a name of this service.

    A web page from anywhere can reach a service on a loopback address through DNS rebinding: the host name of the page
    then resolves to 127.0.0.1. Such a request has the host name of the web page in its Host header, and not a name of
    this service.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _host(Headers(scope=scope).getlist("host")) not in self._names:
            detail = (
                "this service does not answer under the name in the Host header; if the name is right, the owner of the "
                "service adds it to THUMBLAB_PUBLIC_HOSTS"
            )
            await response(Problem(HTTPStatus.MISDIRECTED_REQUEST, "unknown-host", detail))(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Framing:
    """Middleware that refuses a request of which a proxy and this service may see different ends.

    Such a request has the headers Content-Length and Transfer-Encoding, or has Transfer-Encoding in HTTP/1.0. A proxy may
    use one header and this service the other, and read a part of the body as the next request. So RFC 9112, sections
    6.1 and 6.3, wants the connection to be closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
                detail = "send either Content-Length or Transfer-Encoding, and Transfer-Encoding only in HTTP/1.1"
                problem = Problem(HTTPStatus.BAD_REQUEST, "ambiguous-length", detail, {"Connection": "close"})
                await response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class SecurityHeaders:
    """Middleware that adds headers to every answer. With these headers, a browser runs only scripts of this service.

    The headers also forbid all other pages to show the page of this service in a frame. Answers that may name a person
    who is seen in a picture get `Cache-Control: no-store`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                if _NEVER_STORED.fullmatch(scope["path"]):
                    MutableHeaders(scope=message)["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _host(headers: list[str]) -> str:
    """Return the host in the Host header, without its port. `headers` has the values of all Host headers.

    Return an empty text if there is no Host header, if there are several, or if the Host header cannot be read.
    """
    try:
        (header,) = headers
        return split_authority(header)[0]
    except ValueError:
        return ""

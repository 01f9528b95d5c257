"""Write error answers in the format `application/problem+json` of RFC 9457: type, title, status and detail."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumblab_core.niches import UnknownNicheError
from thumblab_serving.http.error_words import in_words

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
"""Status for a client that disconnected before it had sent the whole request. nginx uses this number too."""

_MAX_ERRORS = 5
"""Maximum number of errors in the answer to an invalid request."""

_RETRY_S = "30"
"""The header `Retry-After` of an answer with the status 503 whose error names no other time."""

_LONGEST_NAME = 80
"""Maximum length of a field's name in an error message, in characters."""

_log = logging.getLogger("thumblab_serving")


class ProblemOut(BaseModel):
    """An error answer, with the fields that RFC 9457 defines."""

    type: str = Field(examples=["urn:thumblab:not-ready"])
    title: str = Field(examples=["Not ready"])
    status: int = Field(examples=[503])
    detail: str = Field(description="What is wrong and what to do next, in one sentence.")


class Problem(HTTPException):
    """An error that a route, or the code behind it, may raise. `kind` is the last part of the answer's field `type`.

    An answer with the status 503 always says when to send the request again, because clients rely on it.
    """

    def __init__(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers = {"Retry-After": _RETRY_S, **(headers or {})}
        super().__init__(status, detail, headers)
        self.kind = kind


def phrase(status: HTTPStatus) -> str:
    """Return the name that RFC 9110 gives to a status. Before Python 3.13, `HTTPStatus` has two older names."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status, status.phrase)


def response(error: HTTPException) -> JSONResponse:
    """Return the answer for an HTTP error.

    If `error` is not a `Problem`, the type is `about:blank`. By RFC 9457, this type means that only the status
    describes the error.
    """
    kind = error.kind if isinstance(error, Problem) else None
    body = {
        "type": f"urn:thumblab:{kind}" if kind else "about:blank",
        "title": kind.replace("-", " ").capitalize() if kind else phrase(HTTPStatus(error.status_code)),
        "status": error.status_code,
        # The detail may repeat the name of a field. In a form whose charset is UTF-7, a name may contain a lone
        # surrogate. UTF-8 cannot encode a lone surrogate, so replace it.
        "detail": str(error.detail).encode(errors="replace").decode(),
    }
    return JSONResponse(body, error.status_code, error.headers, MEDIA_TYPE)


def invalid_request(error: ValidationError) -> Problem:
    """Return the `Problem` for a request that does not have the documented form."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", validation_message(error))


def validation_message(error: ValidationError) -> str:
    """Return a message that says what is wrong with each field, without the values that were sent."""
    errors = error.errors(include_url=False, include_input=False)
    messages = [f"{_field(e['loc'])}: {in_words(e)}" for e in errors[:_MAX_ERRORS]]
    if len(errors) > _MAX_ERRORS:
        messages.append(f"and {len(errors) - _MAX_ERRORS} more")
    return "; ".join(messages)


def _field(parts: tuple[int | str, ...]) -> str:
    """Return the path of a field as text with dots between the parts, such as `thumbnails.0.url`."""
    return ".".join(str(part)[:_LONGEST_NAME] for part in parts) or "body"


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Make the app answer every HTTP error of its routes in the format `application/problem+json`.

    An answer with the status 405 lists the methods of all routes of the path, both of `routers` and of the app.
    """

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not isinstance(error, Problem):
            # Starlette lists only the methods of the first route of the path. The path may have one route per method,
            # so collect the methods of all routes.
            routes = [*app.routes, *(route for router in routers for route in router.routes)]
            error.headers = {"Allow": ", ".join(sorted(_methods(routes, request.scope)))}
        return response(error)

    async def client_gone(_: Request, __: Exception) -> Response:
        # The client has disconnected, so nobody reads this answer. But the log and the metrics show its status.
        return Response(status_code=CLIENT_GONE)

    async def unknown_niche(_: Request, error: Exception) -> JSONResponse:
        # The niche was retired after the request had been checked.
        return response(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", str(error)))

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(UnknownNicheError, unknown_niche)
    app.add_exception_handler(ClientDisconnect, client_gone)


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> set[str]:
    """Return the methods that the path of a request allows.

    The app keeps an included router as one route without methods. So `routes` must contain the router's own routes.
    A path such as `/niches/proposals` also matches `/niches/{name}`. Only the routes with the fewest parameters count.
    """
    matching = [route for route in routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE]
    fewest = min((len(route.param_convertors) for route in matching), default=0)
    of_path = [route for route in matching if len(route.param_convertors) == fewest]
    return {method for route in of_path for method in route.methods or ()}


class UnexpectedErrors:
    """Middleware that answers an unexpected exception with an error answer of status 500.

    This middleware runs inside the middleware that adds the request id and the security headers. So error answers have
    the id and the headers too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            _log.error("an unexpected %s was raised", type(error).__name__, exc_info=error)
            detail = "something went wrong inside the service; its log has the details"
            await response(HTTPException(500, detail))(scope, receive, send)


_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate", "The scheme of the key: `Bearer`.", "string"),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", "After how many seconds to send the request again.", "integer"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After", "After how many seconds to send the request again.", "integer"),
}
"""For each status, the header that its error answers always have: the name, the description and the JSON type."""


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the part of the OpenAPI document that describes error answers with the given `statuses`."""
    return {status: _error_response(HTTPStatus(status)) for status in statuses}


def _error_response(status: HTTPStatus) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemOut"}
    described: dict[str, Any] = {"description": phrase(status), "content": {MEDIA_TYPE: {"schema": schema}}}
    if status in _HEADERS:
        name, description, kind = _HEADERS[status]
        described["headers"] = {name: {"description": description, "required": True, "schema": {"type": kind}}}
    return described

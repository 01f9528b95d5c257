"""Every error as RFC 9457 `application/problem+json`: type, title, status, detail."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
"""nginx's status for a client that left before it had sent everything."""
_MAX_ERRORS = 5
_LONGEST_NAME = 80

_log = logging.getLogger("thumblab_serving")


class ProblemOut(BaseModel):
    """An error, after RFC 9457."""

    type: str = Field(examples=["urn:thumblab:not-ready"])
    title: str = Field(examples=["Not ready"])
    status: int = Field(examples=[503])
    detail: str = Field(description="One sentence of what is wrong and what to do next.")


class Problem(HTTPException):
    """Raise it anywhere below the routes. `kind` is the last part of the problem's type."""

    def __init__(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.kind = kind


def response(error: HTTPException) -> JSONResponse:
    """The answer for any HTTP error; one without a kind of its own has the type `about:blank`, as the RFC says."""
    kind = error.kind if isinstance(error, Problem) else None
    body = {
        "type": f"urn:thumblab:{kind}" if kind else "about:blank",
        "title": kind.replace("-", " ").capitalize() if kind else HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": error.detail,
    }
    return JSONResponse(body, error.status_code, error.headers, MEDIA_TYPE)


def invalid(error: ValidationError) -> Problem:
    """A request that is not of the documented form."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", sentences(error))


def sentences(error: ValidationError) -> str:
    """What is wrong, field by field, without echoing what was sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{_place(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in found[:_MAX_ERRORS]]
    if len(found) > _MAX_ERRORS:
        said.append(f"and {len(found) - _MAX_ERRORS} more")
    return "; ".join(said)


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:_LONGEST_NAME] for part in parts) or "body"


def install(app: FastAPI) -> None:
    """Answer every error below the routes as a problem."""

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return response(error)

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)  # nobody reads it; the log and the metrics tell it apart

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientDisconnect, gone)


class Unexpected:
    """Answers what nobody expected with a problem, below what gives every answer its id and its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            _log.error("unexpected %s", type(error).__name__, exc_info=error)
            detail = "something went wrong inside the service; its log has the details"
            await response(HTTPException(500, detail))(scope, receive, send)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of these error statuses."""
    schema = {"$ref": "#/components/schemas/ProblemOut"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }

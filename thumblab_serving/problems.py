"""Every error as RFC 9457 `application/problem+json`: type, title, status, detail."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
_MAX_ERRORS = 5

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
    said = [
        f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg'].removeprefix('Value error, ')}"
        for one in found[:_MAX_ERRORS]
    ]
    if len(found) > _MAX_ERRORS:
        said.append(f"and {len(found) - _MAX_ERRORS} more")
    return "; ".join(said)


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return response(error)

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        return response(HTTPException(500, "something went wrong inside the service; its log has the details"))

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of these error statuses."""
    schema = {"$ref": "#/components/schemas/ProblemOut"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }

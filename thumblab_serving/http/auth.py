"""Check the API key. A request carries it as `X-API-Key: KEY` or `Authorization: Bearer KEY`."""

import hmac
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from thumblab_serving.http.problems import Problem

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key that `thumblab key` prints.")
_bearer = HTTPBearer(auto_error=False, description="The same key.")


def require_key(
    request: Request,
    header: Annotated[str | None, Depends(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Raise a `Problem` of status 401 unless the request carries the API key of the service."""
    key = header if header is not None else (bearer.credentials if bearer else None)
    expected: str = request.app.state.api_key
    if key is None or not hmac.compare_digest(key.encode(), expected.encode()):
        detail = "send the API key, as X-API-Key or as a bearer token; `thumblab key` prints it"
        raise Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})

"""Check API keys. A request has its key in a header, `X-API-Key: KEY` or `Authorization: Bearer KEY`.

A route names the scope that it needs: `dependencies=[Depends(require("admin"))]`.
"""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from thumblab_core.keys.named_keys import Scope
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.keys.key_ring import Grant, KeyRing
from thumblab_serving.keys.rate_limits import RateLimits

_header = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="The key that `thumblab key` or `thumblab key add` prints."
)
_bearer = HTTPBearer(auto_error=False, description="The same key, as a bearer token.")


def require(scope: Scope, account: str = "") -> Callable[..., None]:
    """Return a dependency that refuses a request unless it has a key with the scope `scope`.

    Routes with different values of `account` have separate rate limits, which are equally large.
    """

    def check(
        request: Request,
        header: Annotated[str | None, Depends(_header)],
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        """Raise a `Problem` with the status 401 (the key is missing or unknown), 403 (the key lacks the scope) or 429
        (too many requests).
        """
        ring: KeyRing = request.app.state.keys
        limits: RateLimits = request.app.state.rate_limits
        key = header if header is not None else (bearer.credentials if bearer else None)
        grant = None if key is None else ring.find(key)
        if grant is None:
            detail = "send the API key, as X-API-Key or as a bearer token; `thumblab key` prints it"
            if key:
                detail = (
                    "the service does not know this API key, or the key is not valid any more; "
                    "`thumblab key` prints the lab's own key"
                )
            raise Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
        request.state.key, request.state.scopes = grant.name, grant.scopes
        request.state.grant, request.state.key_outcome = grant, "allowed"
        if scope not in grant.scopes:
            request.state.key_outcome = "forbidden"
            detail = f"the key {grant.name} does not have the scope {scope}; `thumblab key add` makes a key that has it"
            challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            raise Problem(HTTPStatus.FORBIDDEN, "forbidden", detail, challenge)
        if grant.requests_per_minute is not None:
            wait = limits.wait(grant.name + account, grant.requests_per_minute)
            if wait > 0:
                request.state.key_outcome = "too_many"
                raise _too_many(grant.name, grant.requests_per_minute, wait)

    _scopes[check] = scope
    return check


_scopes: dict[Callable[..., Any], Scope] = {}
"""The scope that a key needs, for each dependency that `require` has made."""


def needed_scope(dependant: Dependant) -> Scope | None:
    """Return the scope that a key needs for the route of `dependant`, or None if the route needs no key."""
    return next((_scopes[d.call] for d in dependant.dependencies if d.call in _scopes), None)


require_key = require("score")
"""The FastAPI dependency of the routes that score. A route that changes the lab takes `require("admin")` instead."""


def charge(request: Request, items: int) -> None:
    """Count `items` more requests for the key of a request. Raises a 429 `Problem` if the key is over its limit."""
    grant: Grant = request.state.grant
    limits: RateLimits = request.app.state.rate_limits
    if grant.requests_per_minute is not None:
        wait = limits.charge(grant.name, grant.requests_per_minute, items)
        if wait > 0:
            request.state.key_outcome = "too_many"
            raise _too_many(grant.name, grant.requests_per_minute, wait)


def add_refusals(document: dict[str, Any]) -> None:
    """Add to each operation of an OpenAPI document the statuses with which the middleware may answer any request.

    The statuses are 400 for a body of ambiguous length, 413 for a body that is too large, 421 for an unknown host name,
    and 500 for an unexpected error. An operation that takes a key also gets the statuses of `require`.
    """
    for path in document["paths"].values():
        for operation in path.values():
            of_keys = (401, 403, 429) if "security" in operation else ()
            for status, answer in error_responses(400, 413, 421, 500, *of_keys).items():
                operation["responses"].setdefault(str(status), answer)


def _too_many(name: str, per_minute: int, wait: float) -> Problem:
    seconds = math.ceil(wait)
    # Only a key that sent a batch may have to wait longer than a minute, because each item counts as one request.
    owing = ", and each item of a batch that it sent counts as one request" if seconds > 60 else ""
    requests = "request" if per_minute == 1 else "requests"
    detail = (
        f"the key {name} may send {per_minute} {requests} per minute{owing}; send this request again in {seconds} "
        f"{'second' if seconds == 1 else 'seconds'}"
    )
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", detail, {"Retry-After": str(seconds)})

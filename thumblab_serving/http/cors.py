"""Let web pages of other origins call the service (CORS), if their origins are in a setting."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from thumblab_serving.http.problems import Problem, response

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = ("Authorization", "Idempotency-Key", "X-API-Key")
_ANSWER_HEADERS = ("Location", "Retry-After", "X-Request-ID", "X-Thumblab-Release")


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware for CORS. This class answers a refused preflight request with a `Problem`.

    Credentials of the browser (cookies) are not allowed, because the service does not use them. A page sends the API
    key in a header, so the page itself must have the key.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_ANSWER_HEADERS,
            allow_private_network=True,  # A listed origin may also call a service on this machine or its network.
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        detail = f"a page of another origin may not send this request ({bytes(answer.body).decode()})"
        return response(Problem(answer.status_code, "cross-origin", detail, {"Vary": answer.headers["Vary"]}))

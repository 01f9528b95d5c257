"""Run Dagster's webserver and keep other web pages from using it: `python -m thumblab_pipelines.lab_webserver`.

Dagster's webserver has no login. Without this module, other web pages could use it in two ways:

- A page can send a GET request or a form through the browser of a person who uses the lab. Dagster's webserver would
  start runs for such requests.
- A page can have a name that resolves to this machine (DNS rebinding). Dagster's webserver answers under every host
  name, so the page could read the runs.

The options are the same as for `dagster-webserver`.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import dagster_webserver.app
from dagster_webserver.cli import main as dagster_main
from dagster_webserver.webserver import DagsterWebserver
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from thumblab_core.errors import LabError
from thumblab_core.hosts import split_authority, url_host
from thumblab_core.niches import NicheFile
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.mlflow_links import MLFLOW_PATH

_log = logging.getLogger(__name__)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_POLICY_VIOLATION = 1008
"""The close code of a refused websocket. The client sees the HTTP status 403."""


class LabWebserver(DagsterWebserver):  # type: ignore[type-arg]
    """Dagster's webserver, restricted to requests from the lab's own pages and programs."""

    def create_asgi_app(self, **options: Any) -> Starlette:
        # Add the niches now, so that the pages offer them before the daemon runs the sensor `niches` for the first
        # time.
        instance = self._process_context.instance
        try:
            add_partitions(instance, NicheFile(settings().data_dir).names)
        except Exception:  # noqa: BLE001  the database may be down: Dagster's pages say so, and the sensor adds them later
            _log.warning("the niches could not be added to Dagster's partitions", exc_info=True)
        return super().create_asgi_app(**options)

    def build_middleware(self) -> list[Middleware]:
        return [Middleware(OwnPagesOnly, names=own_names(settings())), *super().build_middleware()]

    def make_security_headers(self) -> dict[str, str]:
        # Another web page must not show this page in a frame. Otherwise the other page could trick a person into
        # clicking a button that starts a run.
        return {**super().make_security_headers(), "X-Frame-Options": "DENY"}

    def build_routes(self) -> list[BaseRoute]:
        return [Route(MLFLOW_PATH, mlflow), *super().build_routes()]  # type: ignore[no-untyped-call]

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """Answer a GraphQL request that is sent as JSON. A browser does not let a page of another origin send JSON.

        A GET request gets only the page on which a person can try out queries.
        """
        if request.method == "GET" and "text/html" not in request.headers.get("accept", ""):
            return _refused(
                HTTPStatus.METHOD_NOT_ALLOWED, "send the query with POST, as application/json", {"Allow": "POST"}
            )
        if request.method == "POST" and _media_type(request.headers) != "application/json":
            return _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the query as application/json")
        answer: Response = await super().graphql_http_endpoint(request)
        answer.headers["X-Frame-Options"] = "DENY"
        return answer


async def mlflow(_: Request) -> Response:
    """Redirect to the present address of MLflow. The address comes from the lab's settings, never from the request.

    The links on a run's page never change, but MLflow may be started again on another port. The fragment of a link
    names the page in MLflow, and the browser keeps this fragment.
    """
    try:
        chosen = settings()
        address = chosen.mlflow_page_url or chosen.mlflow_url
    except LabError as error:
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return RedirectResponse(f"{address.rstrip('/')}/", HTTPStatus.TEMPORARY_REDIRECT, {"Cache-Control": "no-store"})


class OwnPagesOnly:
    """Middleware that refuses requests under an unknown host name, and requests from pages of another origin.

    Websockets are refused in the same cases. `names`: the host names under which this server answers.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        """Return the answer that refuses a request, or None if the request is allowed."""
        host = _authority(headers.getlist("host"))
        if host is None or host[0] not in self._names:
            return _refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server does not answer under the name in the Host header; if the name is right, add it to "
                "THUMBLAB_PUBLIC_HOSTS",
            )
        origins = headers.getlist("origin")
        # The scheme is not compared, because a reverse proxy for https calls this server with http.
        if origins and _authority([origin.partition("://")[2] for origin in origins]) != host:
            return _refused(HTTPStatus.FORBIDDEN, "a page of another origin may not use this server")
        # A browser sends no Origin with some requests, such as a request for a picture. So other headers are checked
        # too. Links to this page are allowed.
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            return _refused(HTTPStatus.FORBIDDEN, "a page of another origin may not use this server")
        return None


def own_names(chosen: Settings) -> frozenset[str]:
    """Return the host names under which the webserver answers.

    The host names are the names of this machine, the public names of the lab, and the host name under which the service
    reaches Dagster.
    """
    return _LOOPBACK | chosen.public_names | {url_host(chosen.dagster_url)} - {""}


def _authority(values: Sequence[str]) -> tuple[str, int | None] | None:
    """Return the host and the port in a header that has exactly one value. Return None if the header cannot be read."""
    try:
        (value,) = values
        return split_authority(value)
    except ValueError:
        return None


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _refused(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{detail}\n", status, headers)


def main() -> None:
    """Run Dagster's command with `LabWebserver` as its webserver."""
    # Dagster's command has no option for another webserver class. The command takes the class from
    # `dagster_webserver.app`, so the class is replaced there.
    dagster_webserver.app.DagsterWebserver = LabWebserver  # type: ignore[attr-defined]
    dagster_main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()

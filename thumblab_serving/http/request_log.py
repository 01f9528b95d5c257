"""Log each request as a line of JSON, and record its latency in the metrics.

The line has the name of the key, but not the key. Headers and queries are not logged, because they may contain keys.
"""

import json
import logging
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumblab_serving.http.metrics import Metrics
from thumblab_serving.http.problems import CLIENT_GONE
from thumblab_serving.schemas.answer import ScoreAnswer

_log = logging.getLogger("thumblab_serving.requests")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def configure() -> None:
    """Log to standard error, unless logging is already configured. uvicorn configures only the loggers of uvicorn."""
    logger = logging.getLogger("thumblab_serving")
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


class RequestLog:
    """Middleware that logs each request and gives it an id. The answer has the id in the header `X-Request-ID`."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, status, started = secrets.token_hex(8), 500, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            # All unknown paths share the label "other", and so do all unknown methods. With a label for each path and
            # method, a scanner that sends random paths and methods could add any number of metrics.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(method, route, status, seconds)
            state = scope.get("state", {})
            if "key_outcome" in state:  # `auth` sets `key_outcome` when it checks a key.
                self._metrics.key_request(state["key"], state["key_outcome"])
            level = logging.DEBUG if status == CLIENT_GONE else logging.INFO
            _log.log(level, json.dumps(_line(scope, request_id, status, seconds)))


def _line(scope: Scope, request_id: str, status: int, seconds: float) -> dict[str, object]:
    line: dict[str, object] = {
        "request": request_id,
        "method": scope["method"],
        "path": scope["path"],
        "client": scope["client"][0] if scope["client"] else None,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
    }
    state = scope.get("state", {})
    if "key" in state:
        line["key"] = state["key"]
    answer = state.get("answer")
    if isinstance(answer, ScoreAnswer):
        line |= {"niche": answer.niche, "thumbnails": len(answer.thumbnails)}
        line |= {"model": answer.releases.model, "index": answer.releases.index}
    return line

"""Test what the service reports when Dagster answers with an error instead of data."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from thumblab_core.settings import Settings
from thumblab_serving.dagster_runs.graphql import DagsterError, DagsterGraphql, NoDagsterError
from thumblab_serving.http.problems import Problem
from thumblab_serving.routes.requested_runs import explained

WITHOUT_DATABASE = {
    "message": "could not connect to postgresql://lab:secret@db/dagster",
    "locations": [{"line": 1, "column": 27}],
    "path": ["instance", "daemonHealth"],
}
"""The error that Dagster's webserver (version 1.13) returns while its database is away. The message is invented."""

UNKNOWN_FIELD = {"message": "Cannot query field 'x' on type 'Query'.", "locations": [{"line": 1, "column": 3}]}


@pytest.fixture
def answer() -> Iterator[Any]:
    """Return a function that lets a server answer each query with one body, and returns the server's address."""
    servers = []

    def answer(body: dict[str, Any]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def asked(address: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        graphql = DagsterGraphql(Settings(dagster_url=address))
        try:
            return await graphql.ask("{ version }")
        finally:
            await graphql.close()

    return asyncio.run(ask())


def test_a_dagster_without_its_database_is_not_called_another_version(answer: Any) -> None:
    with pytest.raises(NoDagsterError, match="fails to answer") as raised:
        asked(answer({"data": None, "errors": [WITHOUT_DATABASE]}))
    assert "secret" not in str(raised.value)


def test_who_asks_for_a_run_is_not_told_to_start_a_dagster_that_runs(answer: Any) -> None:
    with pytest.raises(Problem) as raised, explained():
        asked(answer({"data": None, "errors": [WITHOUT_DATABASE]}))
    assert raised.value.detail.endswith("without its database; `thumblab doctor` says what is wrong")
    assert raised.value.status_code == 503


def test_a_dagster_that_does_not_know_a_field_is_called_another_version(answer: Any) -> None:
    with pytest.raises(DagsterError, match="does not understand the query"):
        asked(answer({"errors": [UNKNOWN_FIELD]}))

"""Test the lab's clients in an environment that names a proxy. A call to this machine does not use the proxy."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from local_server import Handler, running, url_of

from thumblab_core.loopback import bypass_proxy_for_loopback

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
LISTS = ("no_proxy", "NO_PROXY", "no_grpc_proxy")

CALL = """
import sys
{entry}
import httplib2, httpx, requests
uri = sys.argv[1]
for host in ("127.0.0.1", "localhost", "LOCALHOST"):
    url = uri.replace("127.0.0.1", host)
    assert requests.get(url, timeout=9).text == httpx.get(url, timeout=9).text == "{{}}"
    assert httplib2.Http(timeout=9).request(url)[1] == b"{{}}"
assert requests.get(uri.replace("127.0.0.1", "127.1.2.3"), timeout=9).text == "{{}}"
"""

MLFLOW = """
from thumblab_pipelines.models.tracking import Tracker
assert Tracker.connect(uri)._client.search_experiments() == []
"""


class Answers(Handler):
    """A handler that answers every request with `{}`. An MLflow server without experiments gives this answer to
    a search."""

    def do_GET(self) -> None:
        self.body()
        self.reply(200, b"{}", Content_Type="application/json")

    do_POST = do_GET  # noqa: N815


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("0.0.0.0", 0), Answers) as server, running(server):
        yield url_of(server)


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [
        "from thumblab_cli.main import cli; cli(['quota', '--help'], standalone_mode=False)",
        "import thumblab_pipelines",
        "from thumblab_serving.app import create_app; create_app()",
    ],
)
def test_every_client_calls_this_machine_directly_while_a_dead_proxy_is_set(server: str, entry: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in LISTS}
    environment |= dict.fromkeys(PROXIES, "http://127.0.0.1:9") | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = subprocess.run(
        [sys.executable, "-c", CALL.format(entry=entry) + MLFLOW * ("pipelines" in entry), server],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"no_proxy": "", "NO_PROXY": ""}),
        (
            {"NO_PROXY": "corp.example, 10.0.0.0/8"},
            {"no_proxy": "corp.example,10.0.0.0/8,", "NO_PROXY": "corp.example,10.0.0.0/8,"},
        ),
        ({"no_proxy": ".a", "NO_PROXY": "b"}, {"no_proxy": ".a,", "NO_PROXY": "b,"}),
        ({"no_proxy": "", "no_grpc_proxy": "c"}, {"no_proxy": "", "NO_PROXY": "", "no_grpc_proxy": "c,"}),
    ],
)
def test_hosts_that_the_user_lists_in_no_proxy_are_kept(before: dict[str, str], after: dict[str, str]) -> None:
    environment = dict(before)
    bypass_proxy_for_loopback(environment)
    assert environment == {name: f"{kept}localhost,127.0.0.1,127.0.0.0/8,::1" for name, kept in after.items()}
    again = dict(environment)
    bypass_proxy_for_loopback(again)
    assert again == environment


def test_a_no_proxy_for_every_host_is_kept() -> None:
    environment = {"NO_PROXY": "*"}
    bypass_proxy_for_loopback(environment)
    assert environment == {"NO_PROXY": "*", "no_proxy": "*"}

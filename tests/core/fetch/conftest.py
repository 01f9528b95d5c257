"""Fixtures of the tests of `thumblab_core.fetch`: image hosts, and a simulated internet with host names and public
addresses.
"""

from collections.abc import Iterator

import pytest
from local_server import SilentServer, local_server
from picture_host import Host

from thumblab_core.fetch import Fetcher


@pytest.fixture(scope="module")
def running() -> Iterator[Host]:
    host = Host()
    # `SilentServer` prints no error when a client disconnects early, as many of these tests do.
    with local_server(host.handler, SilentServer) as host.server:
        host.name = f"127.0.0.1:{host.server.server_port}"
        yield host
        host.closing.set()


@pytest.fixture
def host(running: Host) -> Host:
    running.asked.clear()
    running.heard.clear()
    running.sent = 0
    return running


@pytest.fixture
def fetcher(host: Host) -> Iterator[Fetcher]:
    with Fetcher(["i.ytimg.com", host.name]) as made:
        yield made

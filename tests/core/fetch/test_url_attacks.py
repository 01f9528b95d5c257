"""Use URLs to attack the fetcher that reads from any public host (SSRF).

Each notation of a URL is a separate test. These tests use the real resolver and real sockets.
"""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from attacks import ADDRESSES, HOSTS, URLS

from thumblab_core.fetch import Fetcher, RefusedError

_opened: list[str] = []
"""The look-ups and connections of this process. Python's audit hook reports both, whatever library makes them."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _opened.append(f"connect {arguments[1]}")
    if event == "socket.getaddrinfo":
        _opened.append(f"look up {arguments[0]}")


sys.addaudithook(_note)


@pytest.fixture
def opened() -> list[str]:
    _opened.clear()
    return _opened


@pytest.fixture(scope="module")
def open_fetcher() -> Iterator[Fetcher]:
    with Fetcher([], any_public_host=True, deadline_s=10) as made:
        yield made


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_is_not_public_is_refused(open_fetcher: Fetcher, opened: list[str], address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(RefusedError):
        open_fetcher.get(f"https://{host}/picture")
    assert not opened


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_host_in_an_odd_form_is_refused(open_fetcher: Fetcher, opened: list[str], host: str) -> None:
    with pytest.raises(RefusedError):
        open_fetcher.get(f"https://{host}/picture")
    assert not opened


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_a_url_that_hides_its_host_or_uses_another_scheme_or_port_is_refused(
    open_fetcher: Fetcher, opened: list[str], url: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        open_fetcher.get(url)
    assert "secret" not in str(caught.value)
    assert not opened


def test_the_closed_list_is_the_default(opened: list[str]) -> None:
    with Fetcher(["i.ytimg.com"]) as fetcher, pytest.raises(RefusedError, match="not among the image hosts"):
        fetcher.get("https://pictures.example/picture")
    assert not opened

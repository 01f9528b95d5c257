"""Test the fetcher that reads from any public host.

`test_url_attacks.py` and `test_name_attacks.py` test attacks that try to make the fetcher call the local network.
"""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from picture_host import Host
from public_internet import Internet, open_internet

from thumblab_core.fetch import Fetcher, FetchError, RefusedError

PUBLIC, OTHER = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


@pytest.fixture(scope="module")
def whole_internet(tmp_path_factory: pytest.TempPathFactory, running: Host) -> Iterator[Internet]:
    with open_internet(tmp_path_factory.mktemp("internet")) as internet:
        internet.serve(running.handler, [PUBLIC], "pictures.example", "xn--mnchen-3ya.example")
        internet.serve(running.handler, [OTHER], "other.example")
        yield internet


@pytest.fixture
def internet(whole_internet: Internet, host: Host) -> Internet:
    whole_internet.looked_up.clear()
    whole_internet.connected.clear()
    return whole_internet


@pytest.fixture
def open_fetcher(internet: Internet) -> Iterator[Fetcher]:
    with Fetcher([], any_public_host=True, deadline_s=10) as made:
        yield made


def test_a_picture_of_a_public_host_is_read(open_fetcher: Fetcher, internet: Internet, host: Host) -> None:
    for _ in range(2):
        assert open_fetcher.get("https://pictures.example/picture").body == b"picture"
    assert [heard["Host"] for heard in host.heard] == ["pictures.example"] * 2
    assert (internet.looked_up, internet.connected) == (["pictures.example."] * 2, [PUBLIC] * 2)


@pytest.mark.parametrize("url", ["https://PICTURES.example:443/picture", "https://pictures.example/picture#part"])
def test_a_url_may_state_its_port_and_be_in_upper_case(open_fetcher: Fetcher, internet: Internet, url: str) -> None:
    assert open_fetcher.get(url).body == b"picture"


@pytest.mark.parametrize("name", ["münchen.example", "MÜNCHEN.example", "ｍünchen。example", "xn--mnchen-3ya.example"])
def test_a_name_in_unicode_is_looked_up_in_ascii(open_fetcher: Fetcher, internet: Internet, name: str) -> None:
    assert open_fetcher.get(f"https://{name}/picture").body == b"picture"
    assert internet.looked_up == ["xn--mnchen-3ya.example."]


def test_a_listed_host_is_still_read_by_its_own_rules(internet: Internet, host: Host) -> None:
    with Fetcher([host.name], any_public_host=True) as fetcher:
        assert fetcher.get(f"http://{host.name}/picture").body == b"picture"
    assert not internet.looked_up


def test_a_redirect_to_a_public_host_is_followed_and_checked(
    open_fetcher: Fetcher, internet: Internet, host: Host
) -> None:
    assert open_fetcher.get("https://pictures.example/moved").body == b"picture"
    assert open_fetcher.get("https://pictures.example/elsewhere").body == b"picture"
    assert host.asked == ["/moved", "/picture", "/elsewhere", "/picture"]
    assert [heard["Host"] for heard in host.heard] == ["pictures.example"] * 3 + ["other.example"]
    assert internet.looked_up[-1] == "other.example."
    assert internet.connected[-1] == OTHER


def test_a_redirect_without_a_location_is_an_error(open_fetcher: Fetcher, internet: Internet) -> None:
    with pytest.raises(FetchError, match="answered 302"):
        open_fetcher.get("https://pictures.example/nowhere")


def test_a_circle_of_redirects_ends_after_the_third(open_fetcher: Fetcher, internet: Internet, host: Host) -> None:
    with pytest.raises(FetchError, match="redirects more than 3 times"):
        open_fetcher.get("https://pictures.example/loop")
    assert host.asked == ["/loop"] * 4


def test_the_body_of_a_redirect_is_not_read(open_fetcher: Fetcher, internet: Internet, host: Host) -> None:
    assert open_fetcher.get("https://pictures.example/endless_redirect").body == b"picture"
    assert host.sent < 2**25


def test_an_error_after_a_redirect_names_both_urls(open_fetcher: Fetcher, internet: Internet) -> None:
    internet.names["other.example"] = []
    with pytest.raises(RefusedError, match=r"other\.example has no public address"):
        open_fetcher.get("https://pictures.example/elsewhere")
    internet.names["other.example"] = [PUBLIC]
    with pytest.raises(FetchError, match=r"pictures\.example/elsewhere, redirected to https://other\.example/picture,"):
        open_fetcher.get("https://pictures.example/elsewhere")
    internet.names["other.example"] = [OTHER]


def test_all_redirects_share_one_deadline(internet: Internet, host: Host) -> None:
    start = time.monotonic()
    with (
        Fetcher([], any_public_host=True, deadline_s=0.7) as fetcher,
        pytest.raises(FetchError, match=r"did not arrive within 0\.7 s"),
    ):
        fetcher.get("https://pictures.example/slow_loop")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("path", ["drip", "drip_headers", "silent"])
def test_a_slow_public_host_is_cut_off_at_the_deadline(internet: Internet, path: str) -> None:
    with Fetcher([], any_public_host=True) as fetcher:
        with pytest.raises(FetchError, match=r"did not arrive within 0\.5 s"):
            fetcher.get(f"https://pictures.example/{path}", within_s=0.5)
        assert fetcher.get("https://pictures.example/picture").body == b"picture"


def test_a_host_that_never_ends_the_tls_handshake_is_cut_off_at_the_deadline(internet: Internet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Fetcher([], any_public_host=True) as fetcher:
        internet.servers["93.184.215.16"] = silent.getsockname()[1]
        internet.names["silent.example"] = ["93.184.215.16"]
        with pytest.raises(FetchError, match=r"did not arrive within 0\.5 s"):
            fetcher.get("https://silent.example/picture", within_s=0.5)


def test_a_slow_name_server_is_cut_off_at_the_deadline_and_holds_up_no_listed_host(
    internet: Internet, host: Host
) -> None:
    ending = threading.Event()

    def never() -> list[str]:
        ending.wait(20)
        return [PUBLIC]

    internet.names["slow.example"] = never
    with Fetcher([host.name], any_public_host=True) as fetcher:
        for _ in range(9):  # Eight threads look up names, so the ninth name must wait.
            with pytest.raises(FetchError, match="did not arrive within"):
                fetcher.get("https://slow.example/picture", within_s=0.05)
        assert fetcher.get(f"http://{host.name}/picture").body == b"picture"
        ending.set()
        assert fetcher.get("https://pictures.example/picture").body == b"picture"


def test_a_body_over_the_limit_is_cut_off(open_fetcher: Fetcher, internet: Internet, host: Host) -> None:
    with pytest.raises(FetchError, match="larger than 1 MiB"):
        open_fetcher.get("https://pictures.example/endless", max_bytes=2**20)
    assert host.sent < 2**25


def test_a_compressed_answer_of_a_public_host_is_not_unpacked(open_fetcher: Fetcher, internet: Internet) -> None:
    assert len(open_fetcher.get("https://pictures.example/bomb", max_bytes=2**20).body) < 2**17


def test_a_host_without_a_certificate_for_its_name_is_not_read(
    open_fetcher: Fetcher, internet: Internet, host: Host
) -> None:
    internet.names["stranger.example"] = [PUBLIC]
    with pytest.raises(FetchError, match="certificate"):
        open_fetcher.get("https://stranger.example/picture")
    assert not host.asked


def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    internet: Internet, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with Fetcher([], any_public_host=True) as fetcher, pytest.raises(FetchError, match="certificate"):
        fetcher.get("https://pictures.example/picture")
    assert not host.asked


def test_plain_http_on_port_443_is_an_error(internet: Internet, host: Host, open_fetcher: Fetcher) -> None:
    internet.servers["93.184.215.17"] = host.server.server_port
    internet.names["plain.example"] = ["93.184.215.17"]
    with pytest.raises(FetchError, match="could not be read"):
        open_fetcher.get("https://plain.example/picture")
    assert not host.asked


def test_after_an_unreachable_address_the_next_public_address_is_tried(
    open_fetcher: Fetcher, internet: Internet
) -> None:
    internet.servers["93.184.215.18"] = 9  # Nothing listens on this address.
    internet.names["pictures.example"] = ["93.184.215.18", PUBLIC]
    assert open_fetcher.get("https://pictures.example/picture").body == b"picture"
    assert internet.connected == ["93.184.215.18", PUBLIC]
    internet.names["pictures.example"] = [PUBLIC]


def test_a_long_or_odd_name_never_raises_another_error(open_fetcher: Fetcher) -> None:
    for host in (
        "a" * 2_000,
        "é" * 2_000,
        ".".join(["ü"] * 500),
        "xn--" + "a" * 60 + ".example",
        "\udcff.example",
        "☃.x",
    ):
        with pytest.raises(FetchError):
            open_fetcher.get(f"https://{host}/picture")

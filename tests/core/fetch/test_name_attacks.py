"""Attack the fetcher that reads from any public host, with answers of name servers and with redirects (SSRF).

For these attacks, the attacker needs name servers and public hosts. `open_internet` simulates these servers and hosts.
A server of the local network has a certificate for the attacker's name, so only the fetcher's own checks stop a request
to this server.
"""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest
from attacks import ADDRESSES, LOCATIONS
from local_server import Handler
from picture_host import Host
from public_internet import Internet, open_internet

from thumblab_core.fetch import Fetcher, FetchError, RefusedError

PUBLIC, ANOTHER_PUBLIC = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Inside(Handler):
    """A server of the local network that answers every request and records it."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.reply(200, b"secret")


class Outside(Inside):
    """A public server that redirects to the URL in `location`."""

    location = ""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302)
        self.flush_headers()
        self.wfile.write(b"Location: " + self.location.encode("utf-8") + b"\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(scope="module")
def whole_internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with open_internet(tmp_path_factory.mktemp("internet")) as internet:
        inside = ["127.0.0.1", "::1", "10.0.0.5", "169.254.169.254", *ADDRESSES.values()]
        internet.serve(Inside, inside, "inside.example")
        internet.serve(Outside, [PUBLIC], "pictures.example")
        yield internet


@pytest.fixture(scope="module")
def open_fetcher(whole_internet: Internet) -> Iterator[Fetcher]:
    with Fetcher([], any_public_host=True, deadline_s=10) as made:
        yield made


@pytest.fixture
def internet(whole_internet: Internet) -> Internet:
    Inside.asked, Outside.asked = [], []
    whole_internet.names["inside.example"] = ["127.0.0.1"]
    whole_internet.looked_up.clear()
    whole_internet.connected.clear()
    return whole_internet


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_name_with_an_address_that_is_not_public_is_refused(
    open_fetcher: Fetcher, internet: Internet, address: str
) -> None:
    internet.names["inside.example"] = [address]
    with pytest.raises(RefusedError, match=r"inside\.example has no public address") as caught:
        open_fetcher.get("https://inside.example/picture")
    assert (internet.looked_up, internet.connected, Inside.asked) == (["inside.example."], [], [])
    assert address not in str(caught.value)


def test_a_client_without_these_rules_reads_from_the_local_network(internet: Internet) -> None:
    with Fetcher(["inside.example"]) as trusting:
        assert trusting.get("https://inside.example/picture").body == b"secret"
    assert Inside.asked == ["/picture"]


@pytest.mark.parametrize("address", ["fe80::1%eth0", "::1%lo", "2606:4700::1111%eth0", "not an address", ""])
def test_an_answer_of_a_name_server_that_is_not_a_plain_address_is_refused(
    open_fetcher: Fetcher, internet: Internet, address: str
) -> None:
    internet.names["inside.example"] = [address]
    with pytest.raises(RefusedError, match="no public address"):
        open_fetcher.get("https://inside.example/picture")
    assert not internet.connected


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_a_redirect_into_the_local_network_is_refused(
    open_fetcher: Fetcher, internet: Internet, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.setattr(Outside, "location", location)
    with pytest.raises(RefusedError, match=r"pictures\.example/picture redirects to a URL that is refused") as caught:
        open_fetcher.get("https://pictures.example/picture")
    assert (internet.connected, Outside.asked, Inside.asked) == ([PUBLIC], ["/picture"], [])
    assert "secret" not in str(caught.value)


def test_a_redirect_cannot_lead_to_a_listed_host_of_the_local_network(
    internet: Internet, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outside, "location", f"http://{host.name}/picture")
    with Fetcher([host.name], any_public_host=True) as fetcher:
        with pytest.raises(RefusedError, match="redirects to a URL that is refused"):
            fetcher.get("https://pictures.example/picture")
        assert not host.asked
        assert fetcher.get(f"http://{host.name}/picture").body == b"picture"


def test_a_listed_host_redirects_only_to_public_hosts_and_only_if_public_hosts_are_read(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outside, "location", "https://inside.example/picture")
    with Fetcher(["pictures.example"], any_public_host=True) as fetcher:
        with pytest.raises(RefusedError, match=r"redirects to a URL that is refused: .+ has no public address"):
            fetcher.get("https://pictures.example/picture")
        assert Inside.asked == []
        monkeypatch.setattr(Outside, "location", "https://pictures.example/picture")
        with pytest.raises(FetchError, match="redirects more than 3 times"):
            fetcher.get("https://pictures.example/picture")
    with Fetcher(["pictures.example"]) as fetcher, pytest.raises(FetchError, match="answered 302"):
        fetcher.get("https://pictures.example/picture")


def test_backslashes_in_a_redirect_are_a_path_of_the_same_host(
    open_fetcher: Fetcher, internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check how the fetcher reads backslashes in the target of a redirect.

    A browser reads backslashes as slashes, and connects to the host that follows the backslashes. The fetcher must not
    connect to this host.
    """
    monkeypatch.setattr(Outside, "location", "\\\\127.0.0.1\\picture")
    with pytest.raises(FetchError, match="redirects more than 3 times"):
        open_fetcher.get("https://pictures.example/picture")
    assert (set(internet.connected), Inside.asked) == ({PUBLIC}, [])
    assert Outside.asked == ["/picture"] + ["/%5C%5C127.0.0.1%5Cpicture"] * 3


def test_a_name_server_that_changes_its_answer_after_the_check_gains_nothing(
    open_fetcher: Fetcher, internet: Internet
) -> None:
    """Attack with DNS rebinding.

    The first answer of the name server is a public address. All later answers are addresses of the local network.
    """
    answers = itertools.chain([[PUBLIC]], itertools.repeat(["127.0.0.1"]))
    internet.names["rebind.example"] = lambda: next(answers)
    with pytest.raises(FetchError) as caught:
        open_fetcher.get("https://rebind.example/picture")
    # The public server has no certificate for this name, so the request ended after the connection was made.
    assert "certificate" in str(caught.value).lower()
    assert (internet.looked_up, internet.connected) == (["rebind.example."], [PUBLIC])
    with pytest.raises(RefusedError, match="no public address"):
        open_fetcher.get("https://rebind.example/picture")
    assert internet.connected == [PUBLIC]
    assert not Inside.asked


def test_only_public_addresses_of_a_name_are_tried(open_fetcher: Fetcher, internet: Internet) -> None:
    closed = "93.184.215.15"
    # Nothing listens on the port of the public address `closed`, so a careless client would next try the addresses that
    # are not public.
    internet.servers[closed] = 9
    internet.names["mixed.example"] = ["127.0.0.1", closed, "10.0.0.5", "::1", "169.254.169.254"]
    with pytest.raises(FetchError, match="could not be read"):
        open_fetcher.get("https://mixed.example/picture")
    assert internet.connected == [closed]


def test_a_name_with_very_many_addresses_does_not_make_the_fetcher_scan_all_of_them(
    open_fetcher: Fetcher, internet: Internet
) -> None:
    many = [f"93.184.215.{last}" for last in range(20, 220)]
    internet.servers |= dict.fromkeys(many, 9)
    internet.names["many.example"] = many
    with pytest.raises(FetchError, match="could not be read"):
        open_fetcher.get("https://many.example/picture")
    assert internet.connected == many[:4]


def test_a_public_address_of_this_machine_or_of_its_network_is_refused(
    open_fetcher: Fetcher, internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [
        SimpleNamespace(address=PUBLIC, netmask="255.255.255.0"),
        SimpleNamespace(address="2606:2800:21f:cb07::1%eth0", netmask="ffff:ffff:ffff:ffff::"),
        SimpleNamespace(address="02:42:ac:11:00:02", netmask=None),
        SimpleNamespace(address="203.0.114.1", netmask="0.0.0.0"),
    ]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": own})
    for near in (PUBLIC, "93.184.215.200", ANOTHER_PUBLIC):
        internet.names["near.example"] = [near]
        with pytest.raises(RefusedError, match="no public address"):
            open_fetcher.get("https://near.example/picture")
    assert not internet.connected
    internet.names["near.example"] = ["93.184.216.1"]
    internet.servers["93.184.216.1"] = 9
    with pytest.raises(FetchError, match="could not be read"):
        open_fetcher.get("https://near.example/picture")
    assert internet.connected == ["93.184.216.1"]


def test_the_error_is_the_same_for_a_private_name_and_for_a_missing_name(
    open_fetcher: Fetcher, internet: Internet
) -> None:
    def error() -> str:
        with pytest.raises(RefusedError) as caught:
            open_fetcher.get("https://inside.example/picture")
        return str(caught.value)

    private = error()
    internet.names["inside.example"] = []
    assert error() == private


def test_a_name_is_looked_up_as_an_absolute_name(open_fetcher: Fetcher, internet: Internet) -> None:
    """Check that the fetcher adds a final dot to a name.

    Without the dot, the resolver may also try the name in the search domains of the local network.
    """
    with pytest.raises(RefusedError):
        open_fetcher.get("https://inside.example/picture")
    assert internet.looked_up == ["inside.example."]


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_in_the_environment_does_not_bypass_these_rules(
    internet: Internet, host: Host, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://{host.name}")
    monkeypatch.setenv("no_proxy", "")
    with Fetcher([], any_public_host=True) as fetcher, pytest.raises(RefusedError):
        fetcher.get("https://inside.example/picture")
    assert not internet.connected
    assert not host.heard

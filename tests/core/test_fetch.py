"""Promises of the guarded client: each rule has the attack that it stops."""

import gzip
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from thumblab_core import fetch
from thumblab_core.fetch import Fetcher, FetchError
from thumblab_core.settings import Settings


class Host:
    """An image host that does as its path says; `asked` has the paths it was asked for."""

    def __init__(self) -> None:
        host = self
        self.asked: list[str] = []
        self.sent = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                getattr(self, self.path.strip("/"))()

            def picture(self) -> None:
                self._answer(200, b"picture")

            def gone(self) -> None:
                self._answer(404, b"a valid JPEG, but not the one that was asked for")

            def moved(self) -> None:
                self.send_response(302)
                self.send_header("Location", "/picture")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def endless(self) -> None:
                """More than anybody wants, without a length."""
                self.send_response(200)
                self.end_headers()
                for _ in range(2_000):
                    self.wfile.write(b"x" * 2**16)
                    host.sent += 2**16

            def bomb(self) -> None:
                self._answer(200, gzip.compress(b"\0" * 2**25), ("Content-Encoding", "gzip"))

            def silent(self) -> None:
                time.sleep(2)

            def cut(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
                self.close_connection = True

            def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
                self.send_response(status)
                for name, value in (("Content-Length", str(len(body))), *headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:  # clients that hang up are what is tested
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture(scope="module")
def running() -> Iterator[Host]:
    host = Host()
    yield host
    host.server.shutdown()
    host.server.server_close()


@pytest.fixture
def host(running: Host) -> Host:
    running.asked.clear()
    running.sent = 0
    return running


@pytest.fixture
def fetcher(host: Host) -> Iterator[Fetcher]:
    with Fetcher(["i.ytimg.com", host.name]) as made:
        yield made


def test_a_picture_of_a_trusted_host_is_read(host: Host, fetcher: Fetcher) -> None:
    assert fetcher.get(f"http://{host.name}/picture") == b"picture"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.jpg",
        "https://i.ytimg.com.example.com/a.jpg",
        "https://example.com/i.ytimg.com",
        "https://example.com#@i.ytimg.com/",
        "https://xi.ytimg.com/a.jpg",
        "https://i.ytimg.com./a.jpg",
        "http://i.ytimg.com/vi/a/mqdefault.jpg",
        "http://i.ytimg.com:80/vi/a/mqdefault.jpg",
        "https://i.ytimg.com:8443/a.jpg",
        "https://i.ytimg.com:22/a.jpg",
        "ftp://i.ytimg.com/a.jpg",
        "file:///etc/passwd",
        "file://i.ytimg.com/etc/passwd",
        "data:image/png;base64,AAAA",
        "//i.ytimg.com/a.jpg",
        "i.ytimg.com/a.jpg",
        "http://127.0.0.1/a.jpg",
        "http://127.0.0.1:1/a.jpg",
        "http://localhost:{port}/picture",
        "http://[::ffff:127.0.0.1]:{port}/picture",
        "http://[::ffff:7f00:1]:{port}/picture",
        "http://2130706433:{port}/picture",
        "http://0x7f.1:{port}/picture",
        "http://127.1:{port}/picture",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:{port}/picture",
        "",
    ],
)
def test_any_other_host_scheme_or_port_is_refused_before_a_byte_is_sent(host: Host, fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchError, match="is not among the image hosts"):
        fetcher.get(url.format(port=host.server.server_port))
    assert not host.asked


@pytest.mark.parametrize("credentials", ["user@", "user:password@", ":@", "@", "i.ytimg.com%2F@", "a\\@"])
def test_credentials_are_refused(host: Host, fetcher: Fetcher, credentials: str) -> None:
    with pytest.raises(FetchError, match="credentials"):
        fetcher.get(f"http://{credentials}{host.name}/picture")
    assert not host.asked


@pytest.mark.parametrize("url", ["https://[i.ytimg.com/a", "https://i.ytimg.com:port/a", "https://i.ytimg.com:99999/a"])
def test_what_is_no_url_is_a_fetch_error(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchError, match="not a URL"):
        fetcher.get(url)


@pytest.mark.parametrize("path", ["\x00", "a b\x7f", "picture\r\nX-Injected: 1"])
def test_a_url_with_control_characters_is_a_fetch_error_or_a_harmless_path(
    host: Host, fetcher: Fetcher, path: str
) -> None:
    with pytest.raises(FetchError):
        fetcher.get(f"http://{host.name}/{path}")


def test_a_redirect_is_not_followed(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="answered 302") as caught:
        fetcher.get(f"http://{host.name}/moved")
    assert caught.value.status == 302
    assert host.asked == ["/moved"]


def test_a_missing_picture_says_its_status_and_its_body_is_not_a_picture(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError) as caught:
        fetcher.get(f"http://{host.name}/gone")
    assert caught.value.status == 404


def test_a_server_that_never_stops_is_left_at_the_limit(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="larger than 1 MiB"):
        fetcher.get(f"http://{host.name}/endless", max_bytes=2**20)
    assert host.sent < 2**25  # what the sockets' buffers hold may be on its way


def test_a_compressed_bomb_is_not_unpacked(host: Host, fetcher: Fetcher) -> None:
    assert len(fetcher.get(f"http://{host.name}/bomb", max_bytes=2**20)) < 2**17


def test_a_server_that_falls_silent_is_an_error_in_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_TIMEOUT", httpx.Timeout(0.2))
    start = time.monotonic()
    with Fetcher([host.name]) as fetcher, pytest.raises(FetchError, match="ReadTimeout") as caught:
        fetcher.get(f"http://{host.name}/silent")
    assert time.monotonic() - start < 1.5
    assert caught.value.status is None


def test_every_fetcher_has_a_timeout() -> None:
    assert all(seconds and seconds <= 30 for seconds in fetch._TIMEOUT.as_dict().values())


def test_a_body_that_ends_early_is_an_error_and_not_half_a_picture(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="could not be read"):
        fetcher.get(f"http://{host.name}/cut")


def test_a_port_where_nobody_listens_is_an_error_without_a_status() -> None:
    with Fetcher(["127.0.0.1:9"]) as fetcher, pytest.raises(FetchError, match="could not be read") as caught:
        fetcher.get("http://127.0.0.1:9/a.jpg")
    assert caught.value.status is None


def test_a_proxy_in_the_environment_is_not_asked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with Fetcher([host.name]) as fetcher:
        assert fetcher.get(f"http://{host.name}/picture") == b"picture"


def test_the_settings_trust_youtube_the_emulator_and_what_the_user_names() -> None:
    hosts = Settings(
        youtube_endpoint="http://127.0.0.1:8090/", extra_image_hosts=" cdn.example , 10.0.0.1:81,"
    ).image_hosts
    assert {"i.ytimg.com", "127.0.0.1:8090", "cdn.example", "10.0.0.1:81"} <= hosts
    assert "" not in hosts
    assert "127.0.0.1" not in hosts

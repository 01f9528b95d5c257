"""Test the client that fetches pictures from listed hosts. The tests try to break each rule of the client."""

import time
from datetime import UTC, datetime

import pytest
from picture_host import Host

from thumblab_core.fetch import Fetcher, FetchError
from thumblab_core.fetch import fetcher as fetching
from thumblab_core.settings import Settings


def test_a_picture_of_a_trusted_host_is_read(host: Host, fetcher: Fetcher) -> None:
    answer = fetcher.get(f"http://{host.name}/picture")
    assert (answer.status, answer.body, answer.unchanged) == (200, b"picture", False)


def test_a_request_names_its_client(host: Host, fetcher: Fetcher) -> None:
    fetcher.get(f"http://{host.name}/picture")
    assert host.heard[0]["User-Agent"].startswith("thumbnail-lab/")


def test_an_answer_has_the_hosts_date_and_its_etag(host: Host, fetcher: Fetcher) -> None:
    answer = fetcher.get(f"http://{host.name}/tagged")
    assert (answer.etag, answer.last_modified) == ('"v1"', "Fri, 20 Nov 2026 10:00:00 GMT")
    assert answer.date == datetime(2026, 11, 20, 12, tzinfo=UTC)
    plain = fetcher.get(f"http://{host.name}/picture")
    assert (plain.etag, plain.last_modified) == (None, None)


@pytest.mark.parametrize("known", [{"etag": '"v1"'}, {"last_modified": "Fri, 20 Nov 2026 10:00:00 GMT"}])
def test_an_unchanged_picture_is_not_sent_again(host: Host, fetcher: Fetcher, known: dict[str, str]) -> None:
    answer = fetcher.get(f"http://{host.name}/tagged", **known)
    assert (answer.status, answer.body, answer.unchanged, answer.etag) == (304, b"", True, '"v1"')
    assert fetcher.get(f"http://{host.name}/tagged", etag='"v0"').body == b"picture"


def test_status_304_is_an_error_when_no_version_was_sent(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="answered 304"):
        fetcher.get(f"http://{host.name}/unasked")


@pytest.mark.parametrize(("path", "seconds"), [("busy", 7), ("busy_until", 90), ("oddly_busy", None)])
def test_the_error_of_a_busy_host_has_its_retry_after(
    host: Host, fetcher: Fetcher, path: str, seconds: float | None
) -> None:
    with pytest.raises(FetchError) as caught:
        fetcher.get(f"http://{host.name}/{path}")
    assert caught.value.retry_after == seconds
    assert caught.value.date == datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize("tag", ['"a"\r\nX-Injected: 1', "\x00", "\n"])
def test_a_stored_etag_cannot_add_a_header(host: Host, fetcher: Fetcher, tag: str) -> None:
    with pytest.raises(FetchError, match="could not be read"):
        fetcher.get(f"http://{host.name}/tagged", etag=tag)
    assert not host.asked


@pytest.mark.parametrize("path", ["drip", "drip_headers"])
def test_a_slowly_dripping_server_is_cut_off_at_the_deadline(host: Host, path: str) -> None:
    with Fetcher([host.name], deadline_s=0.4) as fetcher:
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(FetchError, match=r"did not arrive within 0\.4 s"):
                fetcher.get(f"http://{host.name}/{path}")
            assert 0.3 < time.monotonic() - start < 10  # The whole answer would take 2,000 * 0.02 = 40 s or more.
        assert fetcher.get(f"http://{host.name}/picture").body == b"picture"


def test_a_silent_server_is_cut_off_at_the_deadline(host: Host) -> None:
    start = time.monotonic()
    with Fetcher([host.name], deadline_s=0.3) as fetcher, pytest.raises(FetchError, match="did not arrive within"):
        fetcher.get(f"http://{host.name}/silent")
    assert time.monotonic() - start < 10


def test_a_deadline_applies_to_one_request_only(host: Host) -> None:
    with Fetcher([host.name], deadline_s=1) as fetcher:
        for _ in range(4):
            assert fetcher.get(f"http://{host.name}/picture").body == b"picture"
            time.sleep(0.4)


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
def test_an_invalid_url_is_a_fetch_error(fetcher: Fetcher, url: str) -> None:
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


def test_the_error_of_a_missing_picture_has_its_status(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError) as caught:
        fetcher.get(f"http://{host.name}/gone")
    assert caught.value.status == 404


def test_an_endless_body_is_cut_off_at_the_size_limit(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="larger than 1 MiB"):
        fetcher.get(f"http://{host.name}/endless", max_bytes=2**20)
    assert host.sent < 2**25  # The host sent only the part of its 125 MiB that fits into the buffers of the sockets.


def test_a_compression_bomb_is_not_decompressed(host: Host, fetcher: Fetcher) -> None:
    assert len(fetcher.get(f"http://{host.name}/bomb", max_bytes=2**20).body) < 2**17


def test_a_server_that_stops_sending_is_an_error_after_the_timeout(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "READ_S", 0.2)
    start = time.monotonic()
    with Fetcher([host.name]) as fetcher, pytest.raises(FetchError, match="ReadTimeout") as caught:
        fetcher.get(f"http://{host.name}/silent")
    assert time.monotonic() - start < 10
    assert caught.value.status is None


def test_every_fetcher_has_a_timeout() -> None:
    assert all(0 < seconds <= 30 for seconds in (fetching.CONNECT_S, fetching.READ_S, fetching.DEADLINE_S))


def test_a_truncated_body_is_an_error(host: Host, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="could not be read"):
        fetcher.get(f"http://{host.name}/cut")


def test_a_closed_port_is_an_error_without_a_status() -> None:
    with Fetcher(["127.0.0.1:9"]) as fetcher, pytest.raises(FetchError, match="could not be read") as caught:
        fetcher.get("http://127.0.0.1:9/a.jpg")
    assert caught.value.status is None


def test_a_proxy_in_the_environment_is_not_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with Fetcher([host.name]) as fetcher:
        assert fetcher.get(f"http://{host.name}/picture").body == b"picture"


def test_the_trusted_hosts_are_youtubes_the_emulators_and_the_users() -> None:
    hosts = Settings(
        youtube_endpoint="http://127.0.0.1:8090/", extra_image_hosts=" cdn.example , 10.0.0.1:81,"
    ).image_hosts
    assert {"i.ytimg.com", "127.0.0.1:8090", "cdn.example", "10.0.0.1:81"} <= hosts
    assert "" not in hosts
    assert "127.0.0.1" not in hosts

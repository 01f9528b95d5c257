"""Attack the service with bodies that are huge, slow, or have very many parts."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.settings import Settings

pytestmark = pytest.mark.heavy

KEY = "key-of-the-tests-0123456789"
MIB = 2**20
FORM = "multipart/form-data; boundary=x"
TITLE = b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nt\r\n'


def head(length: int | None, key: str = KEY, kind: str = "application/json") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = ["POST /v1/score HTTP/1.1", "Host: localhost", f"X-API-Key: {key}", f"Content-Type: {kind}", size]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(65536).split()[1])


def part(name: str, body: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + body + b"\r\n"


def test_a_body_of_two_gigabytes_is_refused_before_it_is_sent(under_attack):
    with under_attack.connection(head(2 * 2**30)) as connection:
        assert status_of(connection) == 413


@pytest.mark.parametrize("kind", ["application/json", FORM])
def test_a_body_of_two_gigabytes_without_its_length_is_refused_at_the_limit(under_attack, kind):
    piece = b"40000\r\n" + b"A" * 0x40000 + b"\r\n"
    start = part("thumbnails", b"", "a")[:-2] if kind == FORM else b'{"title":"'
    with under_attack.connection(head(None, kind=kind), b"%x\r\n%b\r\n" % (len(start), start)) as connection:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 2 * 2**30:
                connection.sendall(piece)
                sent += 0x40000
        assert sent < 200 * MIB
        with contextlib.suppress(ConnectionError):  # The system may drop the answer when the connection is reset.
            assert status_of(connection) == 413


# Each value is a function that makes the body of a request, so that a huge body is in memory only during its test.
FORMS = {
    "5,000 files": lambda: TITLE + part("thumbnails", b"x", "a") * 5_000,
    "5,000 fields": lambda: TITLE + part("category", b"tech") * 5_000,
    "200,000 empty files": lambda: TITLE + part("thumbnails", b"", "a") * 200_000,
    "5,000 boundaries": lambda: TITLE + b"--x\r\n" * 5_000,
    "a million headers": lambda: TITLE + b"--x\r\n" + b"X: y\r\n" * 1_000_000,
    "a long header": lambda: TITLE + b"--x\r\nX: " + b"y" * 60 * MIB,
    "a long header name": lambda: TITLE + b"--x\r\n" + b"X" * 60 * MIB,
    "many options": lambda: TITLE + b"--x\r\nContent-Disposition: form-data; " + b"a=b; " * 2_000_000,
    "a long field": lambda: part("title", b"t" * 60 * MIB),
    "near boundaries": lambda: part("thumbnails", b"\r\n--" * 10 * MIB, "a"),
    "line ends": lambda: b"\r\n" * 20 * MIB,
    "a long name": lambda: part("x" * 5 * MIB, b"t"),
}


@pytest.mark.parametrize("kind", list(FORMS))
def test_a_form_of_very_many_or_very_long_parts_is_refused(under_attack, kind):
    reply = under_attack.post(FORMS[kind]() + b"--x--\r\n", FORM)
    assert 400 <= reply.status_code < 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(reply.content) < 2_000


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/cron.d/x",
        "..\\..\\x.jpg",
        "/etc/passwd",
        "C:\\x.jpg",
        "a\0b.jpg",
        "%2e%2e%2fx",
        "~/.ssh/x",
        "-rf",
    ],
)
def test_a_file_name_is_an_id_and_never_a_path(under_attack, attack_lab, draw, name):
    before = {path for path in Path(attack_lab).rglob("*") if "metrics" not in str(path)}
    reply = under_attack.upload(draw(1), draw(2), names=[name, "b"])
    assert reply.status_code == 200
    assert all(thumbnail["error"] is None for thumbnail in reply.json()["thumbnails"])
    assert {path for path in Path(attack_lab).rglob("*") if "metrics" not in str(path)} == before


def test_two_hundred_slow_headers_and_slow_bodies_stop_no_other_key(under_attack, attack_lab, draw):
    others = {"X-API-Key": NamedKeys(Settings(data_dir=attack_lab)).add("other", ["score"])}
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(under_attack.connection(b"POST /v1/score HTTP/1.1\r\nX-")) for _ in range(200)]
        bodies = [opened.enter_context(under_attack.connection(head(1_000), b"{")) for _ in range(64)]
        for _ in range(10):
            for connection in (*slow, *bodies):
                with contextlib.suppress(OSError):
                    connection.sendall(b" ")
            time.sleep(0.1)
        files = [("thumbnails", ("a", draw(1))), ("thumbnails", ("b", draw(2)))]
        url = f"{under_attack.url}/v1/score"
        assert under_attack.client.post(url, data={"title": "t"}, files=files, headers=others).status_code == 200


def test_requests_beyond_the_limit_get_503_with_retry_after_and_the_others_are_answered(start, draw):
    with start(serving_requests=16) as service, service.watched(), contextlib.ExitStack() as opened:
        held = [opened.enter_context(service.connection(head(1_000), b"{")) for _ in range(3)]
        time.sleep(0.5)  # The three requests are admitted, and the key may send one more request at the same time.
        assert service.upload(draw(1)).status_code == 200
        opened.enter_context(service.connection(head(1_000), b"{"))
        time.sleep(0.5)
        reply = service.upload(draw(1))
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
        assert reply.json()["type"] == "urn:thumblab:busy"
        for connection in held:
            connection.close()
        time.sleep(0.5)
        assert service.upload(draw(1)).status_code == 200


def test_eighty_clients_at_once_all_get_an_answer_or_a_retry_time(under_attack, draw):
    def ask(number: int) -> httpx.Response:
        with httpx.Client(timeout=120, trust_env=False, headers={"X-API-Key": KEY}) as client:
            files = [("thumbnails", ("a", draw(number % 8))), ("thumbnails", ("b", draw(50)))]
            return client.post(f"{under_attack.url}/v1/score", data={"title": "t"}, files=files)

    with ThreadPoolExecutor(80) as clients:
        replies = list(clients.map(ask, range(80)))
    statuses = {reply.status_code for reply in replies}
    assert 200 in statuses
    assert statuses <= {200, 503}
    assert all("retry-after" in reply.headers for reply in replies if reply.status_code == 503)


def test_wrong_keys_are_refused_before_a_body_is_read(under_attack):
    def ask(key: bytes) -> int:
        headers = head(100 * MIB, key="KEY").replace(b"KEY", key)
        with under_attack.connection(headers) as connection:
            return status_of(connection)

    keys = [b"", b"x", b"'; DROP TABLE keys; --", b"\xff\xfe", b"a" * 10_000, KEY[:-1].encode(), KEY.encode() + b"0"]
    with ThreadPoolExecutor(20) as clients:
        assert set(clients.map(ask, keys * 40)) == {401}

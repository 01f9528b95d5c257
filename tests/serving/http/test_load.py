"""Test that the service still answers while other clients send huge, incomplete or very many requests."""

import base64
import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from thumblab_core.images import MAX_BYTES
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_serving.http import connections
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.scoring import intake

KEY = "key-of-the-tests-0123456789"


@contextlib.contextmanager
def sending(service, *parts: bytes):
    """Open a connection to the service, send `parts`, and close the connection after the `with` block."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"".join(parts))
        yield connection


def head(length: int | None = None, key: str = KEY, kind: str = "application/json") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = ["POST /v1/score HTTP/1.1", "Host: localhost", f"X-API-Key: {key}", f"Content-Type: {kind}", size]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status(connection) -> int:
    return int(connection.recv(65536).split()[1])


@pytest.fixture(scope="module")
def hasty(lab_at, tmp_path_factory, run):
    """A service without releases and with short timeouts."""
    lab = lab_at(
        tmp_path_factory.mktemp("hasty"),
        serving_header_s=0.3,
        serving_idle_s=0.3,
        serving_body_s=1,
        serving_bodies_mib=128,
    )
    with run(lab.settings, wait=False) as service:
        service.app.state.scorer.load()
        # Every request uses a new connection. An idle connection could time out just when the next request begins.
        service.client.headers["Connection"] = "close"
        yield service


START, END = b'{"title":"t","thumbnails":[{"id":"a","url":"u"}]', b"}"

# Each value is a function that makes the body of a request. The bodies are large, so each is made only for its test.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "unknown keys": lambda: START + b"".join(b',"k%d":0' % n for n in range(700_000)) + END,
    "unknown keys of a thumbnail": lambda: (
        b'{"title":"t","thumbnails":[{"id":"a"' + b"".join(b',"k%d":0' % n for n in range(90_000)) + b"}]}"
    ),
    "thumbnails": lambda: b'{"title":"t","thumbnails":[' + b",".join([b"{}"] * 45_000) + b"]}",
    "depth": lambda: b'{"title":' + b"[" * 90_000 + b"]" * 90_000 + END,
    "numbers": lambda: b'{"title":[' + b",".join([b"1"] * 90_000) + b"]}",
    "a long number": lambda: b'{"title":' + b"1" * 4_000_000 + END,
    "a long name": lambda: START + b',"' + b"k" * 9_000_000 + b'":0' + END,
}
"""JSON bodies with so many fields that processing each field would need much memory and time."""


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_with_very_many_fields_costs_little_and_gives_one_short_problem(hasty, kind):
    body = HOSTILE[kind]()
    tracemalloc.start()
    reply = hasty.client.post("/v1/score", content=body, headers={"content-type": "application/json"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reply.status_code == 422
    assert len(reply.content) < 2_000
    # Making an error object for each of the 700,000 fields would take 700 MiB.
    assert peak < 8 * len(body) + 60 * 2**20


def test_a_request_that_does_not_arrive_times_out_and_others_are_answered(hasty):
    with sending(hasty, head(1_000), b"{") as idle, sending(hasty, head(None), b"1\r\n{\r\n") as chunked:
        assert hasty.client.get("/health").status_code == 200
        assert (status(idle), status(chunked)) == (408, 408)
        assert hasty.app.state.budget.used == 0
    with sending(hasty, head(1_000)) as dripping:
        dripping.settimeout(0.05)
        answer = b""
        while not answer:  # The request times out, although the client sends a byte from time to time.
            try:
                dripping.sendall(b" ")
                answer = dripping.recv(65536)
            except TimeoutError:
                continue
        assert answer.split()[1] == b"408"


def test_a_body_beyond_the_shared_memory_limit_gets_503_with_retry_after(hasty):
    with sending(hasty, head(100 * 2**20), b"{") as first:
        deadline = time.monotonic() + 60
        while hasty.app.state.budget.used == 0:
            assert time.monotonic() < deadline
        with sending(hasty, head(60 * 2**20), b"{") as second:
            answer = second.recv(65536).decode()
        assert answer.startswith("HTTP/1.1 503 ")
        assert "retry-after: 5" in answer.lower()
        assert hasty.client.get("/health").status_code == 200
        # This small body is accepted. The status is 503 only because no release is promoted.
        assert hasty.upload(b"small").status_code == 503
        assert status(first) == 408
    assert hasty.app.state.budget.used == 0


def test_the_bodies_of_one_key_leave_half_of_the_memory_to_other_keys(lab_at, tmp_path, run):
    lab = lab_at(tmp_path, serving_idle_s=5, serving_body_s=10, serving_bodies_mib=256)
    other = NamedKeys(lab.settings).add("other", ["score"])
    with run(lab.settings, wait=False) as service, contextlib.ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(sending(service, head(60 * 2**20), b"{"))
        deadline = time.monotonic() + 60
        while service.app.state.budget.used < 120 * 2**20:
            assert time.monotonic() < deadline
        with sending(service, head(60 * 2**20), b"{") as beyond_the_share:
            assert status(beyond_the_share) == 503
        opened.enter_context(sending(service, head(100 * 2**20, key=other), b"{"))
        while service.app.state.budget.used < 220 * 2**20:
            assert time.monotonic() < deadline
    assert service.app.state.budget.used == 0


def test_without_the_key_no_body_is_read(hasty):
    with sending(hasty, head(MAX_BODY, key="wrong")) as stranger:
        assert status(stranger) == 401
        assert hasty.app.state.budget.used == 0
        assert stranger.recv(1) == b""  # The service closed the connection without reading the body.


def test_incomplete_requests_are_closed_to_make_room_for_others(new_lab, run, monkeypatch):
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 20)
    with run(new_lab(serving_header_s=3600).settings, wait=False) as service:
        address = urlsplit(service.url)
        half = [socket.create_connection((address.hostname, address.port)) for _ in range(60)]
        for connection in half:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-")
        for _ in range(3):  # Each request uses a new connection.
            assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 200
        for connection in half:
            connection.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health HTTP/1.1\r\nX-", b"GET /page/0/page.css HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"]
)
def test_a_connection_without_a_complete_request_is_closed(hasty, sent):
    with sending(hasty, sent) as connection, contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):  # If the service kept the connection open, this call would time out and raise.
            pass


def test_the_limit_of_open_files_is_raised_as_far_as_allowed(monkeypatch):
    limits = [(256, 4096)]
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    assert connections.open_descriptors() == 1024
    assert limits[-1] == (4096, 4096)
    limits.append((256, 256))
    assert connections.open_descriptors() == 128


def test_a_client_that_disconnects_is_not_logged_as_an_error(hasty, caplog):
    with caplog.at_level(logging.DEBUG, "thumblab_serving.requests"):
        for kind in ("application/json", "multipart/form-data; boundary=x"):
            with sending(hasty, head(1_000, kind=kind), b"--x\r\n"):
                pass
        deadline = time.monotonic() + 60
        while len(lines := [r for r in caplog.records if '"status": 499' in r.getMessage()]) < 2:
            assert time.monotonic() < deadline
    assert {line.levelno for line in lines} == {logging.DEBUG}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []
    assert 'status="500"' not in hasty.client.get("/metrics").text


def test_an_unexpected_error_is_answered_with_request_id_and_security_headers(hasty, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("the scorer is broken")

    monkeypatch.setattr(hasty.app.state.scorer, "score", fail)
    reply = hasty.upload(b"x")
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert re.fullmatch("[0-9a-f]{16}", reply.headers["x-request-id"])
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("way", ["json", "form"])
def test_a_picture_over_the_limit_gets_an_error_with_its_size(service, draw, way):
    large = MAX_BYTES + 3 * 2**20
    if way == "json":
        text = base64.b64encode(draw(1)).decode()
        body = {"title": "t", "thumbnails": [{"id": "a", "image_base64": text}, {"id": "b", "image_base64": ""}]}
        long = json.dumps(body).replace('""', f'"{"A" * (large // 3 * 4)}"')
        reply = service.client.post("/v1/score", content=long, headers={"content-type": "application/json"})
        answer = reply.json()
    else:
        answer = service.score(draw(1), bytes(large))
    good, bad = answer["thumbnails"]
    assert (good["error"], good["rank"]) == (None, 1)
    assert f"{large / 2**20:.1f} MiB" in bad["error"]
    assert "at most" in bad["error"]


def test_the_limits_allow_the_largest_picture_and_are_in_the_openapi_document(service):
    assert MAX_BODY > 50_000_000 * 4 / 3 + 2**20
    document = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()
    body = document["paths"]["/v1/score"]["post"]["requestBody"]
    assert f"{MAX_BODY // 2**20} MiB" in body["description"]
    assert str(MAX_BYTES) in json.dumps(document["components"]["schemas"]["ThumbnailIn"])
    assert {"408", "413", "503"} <= set(document["paths"]["/v1/score"]["post"]["responses"])


def test_hanging_urls_of_one_request_share_one_deadline(new_lab, run, draw, monkeypatch):
    monkeypatch.setattr(intake, "_FETCHES", 1)  # The service fetches one URL after the other.
    with socket.create_server(("127.0.0.1", 0)) as silent:  # This server accepts connections and never answers.
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        lab = new_lab(extra_image_hosts=host, serving_fetch_s=1)
        lab.promote(lab.index())
        lab.promote(lab.model())
        good = base64.b64encode(draw(1)).decode()
        hanging = [{"id": str(n), "url": f"http://{host}/{n}.jpg"} for n in range(19)]
        with run(lab.settings) as service:
            start = time.monotonic()
            reply = service.ask([*hanging, {"id": "good", "image_base64": good}])
            took = time.monotonic() - start
    *bad, fine = reply.json()["thumbnails"]
    assert fine["rank"] == 1
    assert all("did not arrive within" in thumbnail["error"] for thumbnail in bad)
    assert took < 19  # If each of the 19 URLs had its own deadline of 1 s, the answer would take this long.


@pytest.mark.parametrize(
    ("parts", "good"),
    [
        (["UCown"], True),
        (["a" * 64], True),
        ([""], True),
        ([], True),
        (["https://www.youtube.com/channel/UCown/videos"], True),
        (["a title with blanks"], True),
        (["ü"], True),
        (["\x00UCown"], False),
        ([" "], False),
        (["UCown", "UCother"], False),
    ],
)
def test_a_form_accepts_exactly_the_channels_of_the_openapi_document(hasty, draw, parts, good):
    document = httpx.get(f"{hasty.url}/openapi.json", trust_env=False).json()
    body = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    channel = body["properties"]["channel_id"]
    assert channel["type"] == "string"
    if len(parts) == 1:
        assert bool(re.search(channel["pattern"], parts[0])) is good
    files = [("thumbnails", ("a.jpg", draw(1), "image/jpeg")), *[("channel_id", (None, part)) for part in parts]]
    reply = hasty.client.post("/v1/score", data={"title": "t"}, files=files)
    # A service without a promoted release answers a valid form with the status 503.
    assert reply.status_code == (503 if good else 422), reply.text


def test_a_link_that_does_not_lead_to_a_channel_is_refused(hasty, draw):
    # The link has the form of a link to a channel, but on another host. The pattern in the OpenAPI document does not
    # exclude such a link.
    files = [("thumbnails", ("a.jpg", draw(1))), ("channel_id", (None, "https://evil.example/channel/UCown"))]
    assert hasty.client.post("/v1/score", data={"title": "t"}, files=files).status_code == 422


def test_a_file_in_the_field_of_the_channel_is_refused(hasty, draw):
    files = [("thumbnails", ("a.jpg", draw(1))), ("channel_id", ("a.txt", b"UCown"))]
    assert hasty.client.post("/v1/score", data={"title": "t"}, files=files).status_code == 422


FIRST = """
import sys, threading, time
import httpx, uvicorn
from thumblab_serving.__main__ import config
from thumblab_serving.app import create_app

server = uvicorn.Server(config(create_app(), host="127.0.0.1", port=0, log_level="warning"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.01)
url = "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1]
with httpx.Client(base_url=url, trust_env=False, timeout=60, headers={"X-API-Key": "key-of-the-tests-0123456789"}) as client:
    while client.get("/ready").status_code != 200:
        time.sleep(0.05)
    from thumblab_core.sub_scores import Meter, text
    opened, real, loaded = [], Meter._opened, text._loaded
    Meter._opened = lambda self: opened.append("a set of engines") or real(self)
    text._loaded = lambda side: opened.append("a text reader") or loaded(side)
    before = set(sys.modules)
    with open(sys.argv[1], "rb") as file:
        reply = client.post("/v1/score", data={"title": "t"}, files={"thumbnails": file})
    assert reply.status_code == 200, reply.text
    print(sorted(set(sys.modules) - before), opened)
server.should_exit = True
"""


@pytest.mark.slow
def test_the_first_request_after_ready_imports_nothing_and_loads_nothing(lab, draw, tmp_path):
    (tmp_path / "a.jpg").write_bytes(draw(3))
    environment = {"THUMBLAB_DATA_DIR": str(lab.settings.data_dir), "THUMBLAB_API_KEY": KEY}
    done = subprocess.run(
        [sys.executable, "-c", FIRST, str(tmp_path / "a.jpg")],
        env={**os.environ, **environment, "THUMBLAB_IMAGE_ENCODER": "builtin"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[] []\n", done.stderr[-2000:]

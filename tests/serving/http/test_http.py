"""Test the HTTP interface of the service. The tests cover keys, limits, error answers, OpenAPI and logs."""

import json
import logging
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_serving.http.bodies import MAX_BODY
from thumblab_serving.schemas.request import ScoreForm

KEY = "key-of-the-tests-0123456789"


def problem(reply, status):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": KEY + "x"},
        {"X-API-Key": "schlüssel".encode()},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
    ],
)
def test_a_request_without_the_key_is_refused(service, headers):
    reply = httpx.post(f"{service.url}/v1/score", headers=headers, json={"title": "t", "thumbnails": []})
    assert problem(reply, 401)["type"] == "urn:thumblab:unauthorized"
    assert reply.headers["www-authenticate"] == "Bearer"


def test_the_key_also_works_as_a_bearer_token(service, draw):
    files = [("thumbnails", ("a.jpg", draw(1), "image/jpeg"))]
    headers = {"Authorization": f"Bearer {KEY}"}
    assert httpx.post(f"{service.url}/v1/score", headers=headers, data={"title": "t"}, files=files).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/health", "/ready", "/metrics", "/openapi.json", "/page/0/main.js", "/page/0/page.css"]
)
def test_pages_health_and_documents_need_no_key(service, path):
    assert httpx.get(service.url + path).status_code == 200


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": None}, "title"),
        ({"category": "knitting"}, "category"),
        ({"thumbnails": []}, "thumbnails"),
        ({"thumbnails": [{"id": str(n), "url": "https://i.ytimg.com/a"} for n in range(21)]}, "thumbnails"),
        ({"thumbnails": [{"id": "a"}]}, "url or image_base64"),
        ({"thumbnails": [{"id": "a", "url": "https://i.ytimg.com/a", "image_base64": "aaaa"}]}, "url or image_base64"),
        ({"thumbnails": [{"id": "a", "url": "u"}, {"id": "a", "url": "u"}]}, "same id"),
        (
            {"colour": "red"},
            "colour: there is no such field; the fields are title, category, channel_id, titles, categories, thumbnails",
        ),
        ({"niche": "tech"}, "niche: there is no such field; use category"),
        ({"Channel": "UCx"}, "Channel: there is no such field; use channel_id"),
        (
            {"thumbnails": [{"id": "a", "image": "aaaa"}]},
            "thumbnails.0.image: there is no such field; use image_base64",
        ),
    ],
)
def test_an_invalid_field_is_a_problem_that_names_the_field(service, change, expected):
    body = {"title": "t", "category": "tech", "thumbnails": [{"id": "a", "url": "https://i.ytimg.com/a"}]} | change
    assert expected in problem(service.client.post("/v1/score", json=body), 422)["detail"]


def test_an_unknown_field_of_a_form_is_answered_with_the_field_that_is_meant(service, draw):
    detail = problem(service.upload(draw(1), niche="tech"), 422)["detail"]
    fields = "title, category, channel_id, titles, categories, thumbnails"
    assert detail == f"niche: there is no such field; use category; the fields are {fields}"
    reply = service.client.post("/v1/score", data={"title": "t"}, files={"thumbnail": ("a.jpg", draw(1))})
    assert "thumbnail: there is no such field; use thumbnails" in problem(reply, 422)["detail"]


UNSEEN = {
    "zero width": "\u200b",
    "marks of direction": " \u200f\u202e\u2066 ",
    "controls": "\x00\x07\x1b",
    "combining marks alone": "\u0301\u0308\ufe0f",
    "a joiner": "\u200d",
    "fillers": "\u3164 \u2800",
    "a byte order mark": "\ufeff",
    "tags": "\U000e0041",
    "private": "\ue000",
}


@pytest.mark.parametrize("title", UNSEEN.values(), ids=UNSEEN)
def test_an_invisible_title_is_refused_in_json_and_in_a_form(service, draw, title):
    for reply in (service.ask([{"id": "a", "url": "u"}], title=title), service.upload(draw(1), title=title)):
        assert "title: give a title that can be seen" in problem(reply, 422)["detail"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("\u200bI tried\u200b it\ufeff", "I tried it"),
        ("one\ntwo\tthree\x00", "one two three"),
        ("\u202eevil\u202c", "evil"),
        ("\u05d0\u05d1\u200f 5", "\u05d0\u05d1 5"),
        ("e\u0301te\u0301 \u2764\ufe0f", "e\u0301te\u0301 \u2764\ufe0f"),
        ("\U0001f468\u200d\U0001f4bb codes", "\U0001f468\u200d\U0001f4bb codes"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f won",) * 2,
        ("\U0001f3f4 won\U000e0067\U000e0062\U000e007f", "\U0001f3f4 won"),
        ("?!", "?!"),
        ("\U0001fae8", "\U0001fae8"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
    ],
)
def test_a_title_loses_its_invisible_characters_only(given, kept):
    assert ScoreForm(title=given).title == kept


@pytest.mark.parametrize(
    "start", ["", "https://www.youtube.com/channel/", "http://youtube.com/channel/", "m.youtube.com/channel/"]
)
@pytest.mark.parametrize("end", ["", "/videos", "?view=0", "#x"])
def test_a_channel_is_accepted_as_an_id_or_as_a_url_with_the_id(start, end):
    given = f" {start}UCBJycsmduvYEL83R_U4JriQ{end if start else ''} "
    assert ScoreForm(title="t", channel_id=given).channel_id == "UCBJycsmduvYEL83R_U4JriQ"


@pytest.mark.parametrize("given", ["@handle", "https://www.youtube.com/@handle/videos", " youtube.com/@handle "])
def test_a_handle_is_accepted_also_in_a_link(given):
    assert ScoreForm(title="t", channel_id=given).channel_id == "@handle"


@pytest.mark.parametrize(
    "given",
    [
        "https://youtube.com/c/name",
        "https://evil.example/channel/UCx",
        " \u200b ",
        "",
        "a\0b",
        "a\nb",
        "https://www.youtube.com/channel/../x",
        "https://www.youtube.com/channel/",
    ],
)
def test_an_invalid_channel_is_refused(given):
    with pytest.raises(ValueError, match=r"give its id \(UC\.\.\.\)"):
        ScoreForm(title="t", channel_id=given)


def test_the_error_for_an_unknown_category_lists_the_niches(service, draw):
    for reply in (service.ask([{"id": "a", "url": "u"}], category="knitting"), service.upload(draw(1), category="x")):
        detail = problem(reply, 422)["detail"]
        assert all(niche in detail for niche in DEFAULT_NAMES)


def test_invalid_json_is_a_problem(service):
    headers = {"content-type": "application/json"}
    problem(service.client.post("/v1/score", content=b"{", headers=headers), 422)


def test_another_content_type_is_a_problem(service):
    assert "multipart" in problem(service.client.post("/v1/score", content=b"x"), 415)["detail"]


def test_an_invalid_form_is_a_problem(service):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    problem(service.client.post("/v1/score", content=b"garbage", headers=headers), 400)


def test_an_upload_without_files_or_with_too_many_files_is_a_problem(service, draw):
    problem(service.client.post("/v1/score", data={"title": "t"}, files={"other": ("a", b"x")}), 422)
    problem(service.upload(*[b"x"] * 21), 422)


def test_a_form_may_have_as_many_fields_as_the_documentation_says(service, draw):
    page = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")
    most = int(re.findall(r"^\| parts of a form \| 21 files, (\d+) fields", page, re.MULTILINE)[0])

    def send(count):
        fields = {"titles": [f"title {number}" for number in range(count)]}
        return service.client.post("/v1/score", data=fields, files={"thumbnails": ("a", draw(1))})

    assert problem(send(most), 422)["detail"].startswith("titles: ")
    assert str(most) in problem(send(most + 1), 400)["detail"]


def test_unknown_paths_and_methods_are_problems(service):
    problem(service.client.get("/nothing"), 404)
    problem(service.client.get("/v1/score"), 405)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/score", "POST"),
        ("/v1/batches", "GET, POST"),
        ("/v1/batches/" + "0" * 32 + "/cancel", "POST"),
        ("/v1/batches/" + "0" * 32, "DELETE, GET"),
        ("/v1/experiments", "GET, POST"),
        ("/health", "GET, HEAD"),
        ("/page/0/main.js", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/internal/index-stats", "GET"),
        ("/internal/clear-cache", "POST"),
        ("/api/v1/niches/proposals", "POST"),
        ("/api/v1/niches/tech", "PUT"),
    ],
)
def test_a_405_names_the_methods_that_the_path_has(service, path, allowed):
    reply = service.client.patch(path)
    problem(reply, 405)
    assert reply.headers["allow"] == allowed


def test_a_body_with_a_too_large_content_length_is_refused_before_it_is_sent(service):
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/score HTTP/1.1\r\nHost: {address.netloc}\r\nX-API-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_a_content_length_is_limited_as_it_arrives(service):
    def endless():
        for _ in range(MAX_BODY // 2**20 + 1):
            yield b" " * 2**20

    headers = {"content-type": "application/json"}
    assert problem(service.client.post("/v1/score", content=endless(), headers=headers), 413)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "",
        "[::1]evil.example",
        "[::1]:8000evil",
    ],
)
def test_a_host_name_rebound_to_this_machine_is_refused(service, host):
    for path in ("/", "/health", "/v1/score"):
        assert problem(httpx.get(service.url + path, headers={"Host": host}), 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_local_host_names_are_accepted(service, host):
    assert httpx.get(f"{service.url}/health", headers={"Host": host}).status_code == 200


def test_no_other_origin_is_allowed(service):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for reply in (httpx.options(f"{service.url}/v1/score", headers=headers), httpx.get(service.url, headers=headers)):
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_the_page_runs_only_its_own_script_and_cannot_be_framed(service):
    reply = httpx.get(service.url)
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in reply.text
    assert " style=" not in reply.text
    assert "http" not in reply.text.replace("http://www.w3.org/2000/svg", "")


def test_metrics_count_requests_thumbnails_and_releases(service, lab, draw):
    def count():
        text = httpx.get(f"{service.url}/metrics").text
        lines = [line for line in text.splitlines() if line.startswith('thumblab_thumbnails_total{niche="tech",')]
        return text, {line.split("outcome=")[1].split('"')[1]: float(line.split()[-1]) for line in lines}

    service.score(draw(1), b"bad")
    _, before = count()
    service.score(draw(1), draw(2), b"bad")
    text, after = count()
    assert after["scored"] - before["scored"] == 2
    assert after["error"] - before["error"] == 1
    assert f'release="{lab.store.serving.current_id("model", "all")}"' in text
    httpx.get(f"{service.url}/some/scan")
    assert "/some/scan" not in httpx.get(f"{service.url}/metrics").text


def test_a_request_is_logged_as_one_line_of_json_without_the_key(service, draw, caplog):
    with caplog.at_level(logging.INFO):
        reply = service.upload(draw(1), draw(2))
        httpx.get(f"{service.url}/health?key={KEY}", headers={"X-API-Key": KEY})
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "thumblab_serving.requests"]
    line = next(line for line in lines if line["request"] == reply.headers["x-request-id"])
    assert line["thumbnails"] == 2
    assert line["status"] == 200
    assert line["model"] == reply.json()["releases"]["model"]
    assert line["milliseconds"] > 0
    messages = [r.getMessage() for r in caplog.records if r.name.startswith("thumblab")]
    assert KEY not in "".join(messages)

"""Test how long a browser keeps the files of the page."""

import re

import pytest

from thumblab_serving.routes.page import VERSION


def test_the_browser_keeps_the_files_of_the_page_but_not_those_of_another_version(service):
    page = service.client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    folder = f"page/{VERSION}"
    loaded = re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)
    assert {f"{folder}/main.js", f"{folder}/page.css"} <= set(loaded)
    assert [path for path in loaded if not path.startswith(f"{folder}/")] == []
    for path in loaded:
        kept, other = (service.client.get(f"/{at}") for at in (path, path.replace(VERSION, "0")))
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert other.headers["cache-control"] == "no-cache"
        assert kept.text == other.text


@pytest.mark.parametrize("path", ["/", "/library", "/people"])
def test_every_page_has_the_head_that_all_pages_share(service, path):
    head = service.client.get(path).text.partition("</head>")[0]
    assert "head.html" not in head
    for shared in ('<meta charset="utf-8">', '<meta name="viewport"', 'rel="icon"', f'"page/{VERSION}/page.css"'):
        assert head.count(shared) == 1


@pytest.mark.parametrize(
    "path", ["/", "/library", "/people", f"/page/{VERSION}/main.js", "/health", "/ready", "/metrics"]
)
def test_a_monitor_that_sends_head_gets_the_status_and_the_headers_of_get(service, path):
    whole, head = service.client.get(path), service.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert service.client.head("/page/0/none.js").status_code == 404


def test_a_service_that_cannot_score_answers_head_of_ready_with_a_503(new_lab, run):
    with run(new_lab().settings, wait=False) as service:
        assert [service.client.head(path).status_code for path in ("/ready", "/health")] == [503, 200]


def test_the_answers_to_head_are_documented_without_a_body(service):
    paths = service.client.get("/openapi.json").json()["paths"]
    documented = {path: operations["head"] for path, operations in paths.items() if "head" in operations}
    assert set(documented) == {"/health", "/ready", "/metrics"}
    for path, head in documented.items():
        assert set(head["responses"]) == set(paths[path]["get"]["responses"])
        assert not any("content" in answer for answer in head["responses"].values())


def test_a_long_name_of_a_file_is_an_unknown_file(service):
    reply = service.client.get(f"/page/{'a' * 500}/{'b' * 500}.js")
    assert (reply.status_code, reply.headers["content-type"]) == (404, "application/problem+json")

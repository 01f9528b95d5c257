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

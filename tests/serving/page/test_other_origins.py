"""Test in a real browser which web pages of other origins may call the service."""

import json

import pytest
from local_server import Handler, local_server

KEY = "key-of-the-tests-0123456789"


@pytest.fixture
def port(tmp_path):
    """The port of a web server with an empty page. The page has two origins: http://127.0.0.1 and http://localhost."""

    class Page(Handler):
        def do_GET(self):
            self.reply(200, b"<!doctype html><title>other</title><form id=form></form>", Content_Type="text/html")

    with local_server(Page) as server:
        yield server.server_port


def call(browser, service, key):
    """Call the service with a script of the opened page. Return the status and the detail, or the error of the browser."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    return browser.evaluate(
        f"fetch({json.dumps(service.url)} + '/v1/score', {{method: 'POST', body: '{{}}', headers: {json.dumps(headers)}}})"
        ".then(async (reply) => `${reply.status} ${(await reply.json()).detail} ${reply.headers.get('x-request-id')}`)"
        ".catch((error) => String(error))"
    )


def test_a_browser_lets_only_pages_of_listed_origins_call_the_service(browser, run, new_lab, port):
    with run(new_lab(cors_origins=f"http://127.0.0.1:{port}").settings, wait=False) as service:
        browser.open(f"http://127.0.0.1:{port}/")
        assert call(browser, service, KEY).startswith("422 ")
        assert call(browser, service, "guess").startswith("401 the service does not know this API key")
        assert not call(browser, service, KEY).endswith("null")
        browser.open(f"http://localhost:{port}/")
        assert call(browser, service, KEY) == "TypeError: Failed to fetch"


def test_a_browser_lets_no_page_call_the_service_by_default(browser, run, new_lab, port):
    with run(new_lab().settings, wait=False) as service:
        browser.open(f"http://127.0.0.1:{port}/")
        assert call(browser, service, KEY) == "TypeError: Failed to fetch"

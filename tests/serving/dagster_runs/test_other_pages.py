"""Test that web pages of other origins cannot use the lab's Dagster, and that Dagster's own pages and programs can."""

from contextlib import closing

import httpx
import pytest
from browser import CHROMIUM, Browser, wait_for
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from thumblab_core.running import Running, announced

START = (
    'mutation { launchRun(executionParams: {mode: "default", runConfigData: "{}", selector: {jobName: "rebuild_index", '
    'repositoryName: "__repository__", repositoryLocationName: "thumblab"}}) { __typename } }'
)
RUNS = "{ runsOrError { ... on Runs { results { runId runConfigYaml } } } }"
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def dagster(settings):
    with httpx.Client(base_url=settings.dagster_url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def no_new_run(dagster):
    """Check after a test that the test has started no run."""

    def count():
        return len(dagster.post("/graphql", json={"query": RUNS}).json()["data"]["runsOrError"]["results"])

    before = count()
    yield
    assert count() == before


@pytest.mark.usefixtures("no_new_run")
@pytest.mark.parametrize("query", [START, RUNS])
def test_graphql_by_get_is_refused(dagster, query):
    for headers in ({}, {"Origin": EVIL}, {"Accept": "image/*", "Sec-Fetch-Site": "cross-site"}):
        answer = dagster.get("/graphql", params={"query": query}, headers=headers)
        assert answer.status_code in (403, 405), headers
        assert "data" not in answer.text


@pytest.mark.usefixtures("no_new_run")
@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", ""]
)
def test_graphql_that_is_not_json_is_refused(dagster, content_type):
    headers = {"Content-Type": content_type}
    body = httpx.Response(200, json={"query": START}).content
    assert dagster.post("/graphql", params={"query": START}, content=b"x", headers=headers).status_code == 415
    assert dagster.post("/graphql", content=body, headers=headers).status_code == 415


@pytest.mark.usefixtures("no_new_run")
@pytest.mark.parametrize("origin", [EVIL, "null", "", "http://127.0.0.1:1", "http://localhost", "http://[::1"])
def test_a_page_of_another_origin_is_refused(dagster, origin):
    headers = {"Origin": origin}
    assert dagster.post("/graphql", json={"query": START}, headers=headers).status_code == 403
    path = "/report_asset_materialization/made_up"
    assert dagster.post(path, json={}, headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "x@127.0.0.1", ""])
def test_an_unknown_host_name_is_refused(dagster, host):
    headers = {"Host": host.format(port=dagster.base_url.port)}
    for answer in (
        dagster.post("/graphql", json={"query": RUNS}, headers=headers),
        dagster.get("/", headers=headers),
        dagster.get("/logs/a.out", headers=headers),
    ):
        assert answer.status_code == 421
        assert "THUMBLAB_PUBLIC_HOSTS" in answer.text


def websocket(dagster, **headers):
    url = f"ws://127.0.0.1:{dagster.base_url.port}/graphql"
    return connect(url, subprotocols=["graphql-ws"], proxy=None, additional_headers=headers)


def test_a_websocket_of_another_page_is_refused(dagster):
    for origin in (EVIL, "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus, match="403"):
            websocket(dagster, Origin=origin)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "lab.example.com"])
def test_the_lab_s_own_pages_and_programs_are_answered(dagster, host):
    host = host.format(port=dagster.base_url.port)
    for origin in ({}, {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}):
        answer = dagster.post("/graphql", json={"query": "mutation { setNuxSeen }"}, headers={"Host": host, **origin})
        assert (answer.status_code, answer.json()) == (200, {"data": {"setNuxSeen": True}})


def test_a_link_of_another_page_opens_dagster_and_no_other_page_shows_it_in_a_frame(dagster):
    link = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for path in ("/", "/runs", "/graphql"):
        answer = dagster.get(path, headers=link)
        assert answer.status_code == 200
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_a_websocket_of_the_own_page_is_answered(dagster):
    with websocket(dagster, Origin=str(dagster.base_url).rstrip("/")) as socket:
        socket.send('{"type": "connection_init"}')
        assert "connection_ack" in socket.recv(30)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium")
def test_the_pages_of_dagster_work_in_a_browser(dagster, tmp_path):
    with closing(Browser(tmp_path)) as browser:
        browser.call("Page.navigate", url=f"{dagster.base_url}/jobs")
        wait_for(lambda: "rebuild_index" in (browser.evaluate("document.body?.innerText") or ""), 60)
        answers = [event["params"] for event in browser.events if event["method"] == "Network.responseReceived"]
        refused = [answer["response"]["url"] for answer in answers if answer["response"]["status"] >= 400]
        assert refused == []
        assert any("/graphql" in answer["response"]["url"] for answer in answers)


def test_a_link_to_mlflow_leads_only_to_its_current_address(dagster, settings):
    for port in (5_001, 5_002):
        now = Running(settings.dagster_url, f"http://127.0.0.1:{port}", "http://127.0.0.1:1")
        with announced(settings.data_dir, now):  # Announce the address of MLflow, as `thumblab up` does at each start.
            for path in ("/mlflow", "/mlflow?url=https://evil.example", "/mlflow?next=//evil.example"):
                answer = dagster.get(path, headers={"X-Forwarded-Host": "evil.example"})
                assert (answer.status_code, answer.headers["location"]) == (307, f"http://127.0.0.1:{port}/")
    assert dagster.get("/mlflow", headers={"Host": "evil.example"}).status_code == 421

"""Test which web pages may call the service from a browser (CORS)."""

import httpx
import pytest

KEY = "key-of-the-tests-0123456789"
ORIGIN = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key, content-type"}


@pytest.fixture(scope="module")
def opened(lab_at, run, tmp_path_factory):
    lab = lab_at(tmp_path_factory.mktemp("lab"), cors_origins=f"{ORIGIN},http://127.0.0.1:5173")
    with run(lab.settings, wait=False) as service:
        yield service


def allowed(reply):
    return {name for name in reply.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [ORIGIN, "http://127.0.0.1:5173"])
def test_a_page_of_a_listed_origin_may_ask_and_read_the_answer(opened, origin):
    asked = httpx.options(f"{opened.url}/v1/score", headers={"Origin": origin, **PREFLIGHT}, trust_env=False)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == origin
    assert {"x-api-key", "authorization", "content-type"} <= {
        name.strip().lower() for name in asked.headers["access-control-allow-headers"].split(",")
    }
    assert "access-control-allow-credentials" not in asked.headers
    answer = httpx.get(f"{opened.url}/health", headers={"Origin": origin}, trust_env=False)
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "Origin"
    assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_only_a_listed_page_of_the_internet_may_ask_a_service_on_this_machine(opened):
    headers = PREFLIGHT | {"Access-Control-Request-Private-Network": "true"}
    asked, other = (
        httpx.options(f"{opened.url}/v1/score", headers={"Origin": origin, **headers}, trust_env=False)
        for origin in (ORIGIN, "https://evil.example")
    )
    assert (asked.status_code, asked.headers["access-control-allow-private-network"]) == (200, "true")
    assert other.status_code == 400
    assert not {name for name in other.headers if name.startswith("access-control-allow")}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        f"{ORIGIN}.evil.example",
        "http://app.example.com",
        f"{ORIGIN}:444",
        ORIGIN.upper(),
        "*",
    ],
)
def test_a_page_of_another_origin_may_not_ask(opened, origin):
    asked = httpx.options(f"{opened.url}/v1/score", headers={"Origin": origin, **PREFLIGHT}, trust_env=False)
    assert asked.status_code == 400
    assert asked.json()["type"] == "urn:thumblab:cross-origin"
    answer = httpx.get(f"{opened.url}/health", headers={"Origin": origin}, trust_env=False)
    for reply in (asked, answer):
        assert "access-control-allow-origin" not in reply.headers
        assert "Origin" in reply.headers["vary"]


def test_a_page_of_a_listed_origin_still_needs_a_key_and_can_read_why(opened):
    reply = httpx.post(f"{opened.url}/v1/score", headers={"Origin": ORIGIN}, json={}, trust_env=False)
    assert reply.status_code == 401
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    headers = {"Origin": ORIGIN, "X-API-Key": KEY}
    assert httpx.post(f"{opened.url}/v1/score", headers=headers, json={}, trust_env=False).status_code == 422


def test_other_methods_and_headers_are_refused_before_they_are_sent(opened):
    for change in ({"Access-Control-Request-Method": "TRACE"}, {"Access-Control-Request-Headers": "x-other"}):
        headers = {"Origin": ORIGIN, **PREFLIGHT, **change}
        assert httpx.options(f"{opened.url}/v1/score", headers=headers, trust_env=False).status_code == 400


def test_a_listed_origin_does_not_open_an_unknown_host_name(opened):
    headers = {"Origin": ORIGIN, "Host": "evil.example"}
    assert httpx.get(f"{opened.url}/health", headers=headers, trust_env=False).status_code == 421


def test_by_default_no_page_of_another_origin_may_ask(run, new_lab):
    with run(new_lab().settings, wait=False) as service:
        headers = {"Origin": ORIGIN, **PREFLIGHT}
        for reply in (
            httpx.options(f"{service.url}/v1/score", headers=headers, trust_env=False),
            httpx.get(f"{service.url}/health", headers=headers, trust_env=False),
        ):
            assert not allowed(reply)

"""Test over HTTP which requests each API key allows, and how many requests a key may send.

Also test which facts about a key are in the logs and the metrics.
"""

import json
import logging
import re
import tempfile
import time

import httpx
import pytest
from fastapi import Depends

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_serving.http.auth import require

KEY = "key-of-the-tests-0123456789"

INVALID = {"title": "t", "thumbnails": []}
"""A request that gets status 422 if its key is accepted. The tests use this request because it needs no model."""


@pytest.fixture
def open_service(new_lab, run):
    with run(new_lab().settings, wait=False) as service:
        service.app.add_api_route(
            "/operate", lambda: "done", methods=["POST"], dependencies=[Depends(require("admin"))]
        )
        yield service


@pytest.fixture
def keys(open_service):
    return NamedKeys(open_service.app.state.settings)


def ask(service, key, path="/v1/score"):
    return httpx.post(service.url + path, headers={"X-API-Key": key}, json=INVALID, trust_env=False)


def problem(reply, status, kind):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == f"urn:thumblab:{kind}"
    return reply.json()["detail"]


def test_keys_are_made_rotated_and_revoked_while_the_service_runs(open_service, keys):
    first = keys.add("laptop", ["score"])
    assert ask(open_service, first).status_code == 422
    second = keys.rotate("laptop")
    problem(ask(open_service, first), 401, "unauthorized")
    assert ask(open_service, second).status_code == 422
    keys.revoke("laptop")
    problem(ask(open_service, second), 401, "unauthorized")
    assert ask(open_service, KEY).status_code == 422


def test_a_route_takes_only_keys_with_its_scope(open_service, keys):
    scorer, operator, both = (
        keys.add(name, scopes)
        for name, scopes in (("scorer", ["score"]), ("operator", ["admin"]), ("both", ["score", "admin"]))
    )
    assert ask(open_service, operator, "/operate").json() == "done"
    assert ask(open_service, both, "/operate").json() == "done"
    assert ask(open_service, KEY, "/operate").json() == "done"
    assert ask(open_service, both).status_code == 422
    refused = ask(open_service, scorer, "/operate")
    assert "the key scorer does not have the scope admin" in problem(refused, 403, "forbidden")
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="admin"'
    assert "the key operator does not have the scope score" in problem(ask(open_service, operator), 403, "forbidden")
    problem(httpx.post(f"{open_service.url}/operate", trust_env=False), 401, "unauthorized")


def test_a_key_over_its_limit_gets_a_retry_time_and_other_keys_continue(open_service, keys):
    limited, other = keys.add("limited", ["score"], 2), keys.add("other", ["score"])
    assert [ask(open_service, limited).status_code for _ in range(3)] == [422, 422, 429]
    refused = ask(open_service, limited)
    detail = problem(refused, 429, "too-many-requests")
    assert re.search(
        r"the key limited may send 2 requests per minute; send this request again in (29|30) seconds", detail
    )
    assert 28 <= int(refused.headers["retry-after"]) <= 30
    assert [ask(open_service, other).status_code for _ in range(5)] == [422] * 5


def test_the_setting_limits_every_key_without_a_limit_of_its_own(new_lab, run):
    with run(new_lab(requests_per_minute=1).settings, wait=False) as service:
        more = NamedKeys(service.app.state.settings).add("more", ["score"], 3)
        assert [ask(service, KEY).status_code for _ in range(2)] == [422, 429]
        assert [ask(service, more).status_code for _ in range(4)] == [422] * 3 + [429]
        assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 200


def test_metrics_count_the_requests_of_each_key_by_name(open_service, keys):
    limited = keys.add("limited", ["score"], 1)
    for path in ("/v1/score", "/v1/score", "/operate"):
        ask(open_service, limited, path)
    ask(open_service, KEY)
    ask(open_service, "guess")
    text = httpx.get(f"{open_service.url}/metrics", trust_env=False).text
    counted = dict(re.findall(r'^thumblab_key_requests_total\{key="(\w+",outcome="\w+)"\} (\S+)$', text, re.M))
    assert counted == {
        'limited",outcome="allowed': "1.0",
        'limited",outcome="too_many': "1.0",
        'limited",outcome="forbidden': "1.0",
        'default",outcome="allowed': "1.0",
    }
    used = re.findall(r'^thumblab_key_last_used_timestamp_seconds\{key="(\w+)"\} (\S+)$', text, re.M)
    assert {name for name, _ in used} == {"limited", "default"}
    assert all(time.time() - 60 < float(moment) <= time.time() for _, moment in used)
    assert limited not in text


def test_the_log_has_the_name_of_a_key_and_never_the_key(open_service, keys, caplog):
    key = keys.add("laptop", ["score"])
    with caplog.at_level(logging.INFO):
        reply = ask(open_service, key)
        ask(open_service, key + "x")
        # The service writes the log line of a request after it has sent the answer, so the test waits for the line.
        while sum(record.name == "thumblab_serving.requests" for record in caplog.records) < 2:
            time.sleep(0.01)
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "thumblab_serving.requests"]
    line = next(line for line in lines if line["request"] == reply.headers["x-request-id"])
    assert (line["key"], line["client"], line["status"]) == ("laptop", "127.0.0.1", 422)
    assert "key" not in next(line for line in lines if line["status"] == 401)
    assert key not in caplog.text


def test_health_says_that_a_key_file_is_damaged_and_keys_still_work(open_service, keys):
    key = keys.add("laptop", ["score"])
    assert ask(open_service, key).status_code == 422
    assert open_service.health()["keys"] == {"state": "fine", "reason": None}
    whole = keys.path.read_text()
    keys.path.write_text("{")
    assert ask(open_service, key).status_code == 422
    state = open_service.health()["keys"]
    assert state["state"] == "failed"
    assert "api-keys.json cannot be read or is damaged" in state["reason"]
    assert str(keys.path.parent) not in state["reason"]
    keys.path.write_text(whole)
    assert open_service.health()["keys"]["state"] == "fine"


def test_the_openapi_document_has_every_status_with_which_a_request_is_refused(open_service):
    paths = httpx.get(f"{open_service.url}/openapi.json", trust_env=False).json()["paths"]
    for path in ("/v1/score", "/v1/experiments", "/operate"):
        assert {"401", "403", "421", "429"} <= set(paths[path]["post"]["responses"])
    assert "421" in paths["/health"]["get"]["responses"]
    assert "429" not in paths["/health"]["get"]["responses"]


@pytest.mark.parametrize(
    ("path", "field"), [("score", "thumbnails"), ("channels", "exports"), ("experiments", "pictures")]
)
def test_an_upload_that_cannot_be_stored_gets_503_with_a_retry_time(
    open_service, keys, tmp_path, monkeypatch, path, field
):
    keys_of_all = keys.add(f"uploader-{path}", ["score"])
    gone = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "tempdir", str(gone))
    files = [(field, ("a.csv", b"a,b\n" * 700_000))]
    reply = httpx.post(
        f"{open_service.url}/v1/{path}", files=files, headers={"X-API-Key": keys_of_all}, trust_env=False
    )
    problem(reply, 503, "not-stored")
    assert str(gone) in reply.json()["detail"]
    assert reply.headers["Retry-After"] == "60"

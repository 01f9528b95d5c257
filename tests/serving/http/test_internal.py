"""Test the routes below `/internal` and `/admin` without a Dagster. tests/e2e tests these routes with a real Dagster."""

import logging
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx
import pytest
from test_http import problem

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_serving.routes.requested_runs import WAITING

STARTING = {
    "/internal/refresh-library": None,
    "/internal/rebuild-indices": None,
    "/admin/faiss/rebuild": {"dim": 384, "factory": "IDMap,IVF100,Flat"},
    "/internal/embed": None,
    "/admin/embed/full": {"niches": ["tech"]},
    "/internal/upsert-item": {"id": "v1"},
    "/admin/embed/item": {"id": 550, "media_type": "movie"},
    "/admin/faiss/upsert-item": {"ids": ["v1", "v2"], "niche": "tech"},
    "/internal/delete-item": {"id": "v1"},
    "/admin/faiss/delete-item": {"id": "v1"},
}
"""The paths that start runs of Dagster, each with a request body that the service accepts."""

CHANGING = [*STARTING, "/internal/clear-cache", "/admin/faiss/clear-cache"]
READING = ["/internal/index-stats", "/internal/index-status", "/admin/faiss/status"]
REFUSALS = {"400", "401", "403", "413", "421", "429", "500"}
"""The statuses with which a request is refused before its route runs."""

RUN = "/internal/runs/6f1c2b9e-0d3a-4c57-8a51-2f7e9d0c4b13"


@pytest.mark.parametrize("path", [*CHANGING, *READING, RUN])
def test_every_path_needs_the_key(service, path):
    method = "POST" if path in CHANGING else "GET"
    for headers in ({}, {"X-API-Key": "wrong"}):
        assert problem(httpx.request(method, service.url + path, headers=headers), 401)


def test_every_path_needs_the_scope_admin(new_lab, run):
    lab = new_lab()
    keys = NamedKeys(lab.settings)
    scorer, operator = keys.add("scorer", ["score"]), keys.add("operator", ["admin"])
    with run(lab.settings, wait=False) as service:
        for path in [*CHANGING, *READING, RUN]:
            method = "POST" if path in CHANGING else "GET"
            reply = httpx.request(method, service.url + path, headers={"X-API-Key": scorer}, trust_env=False)
            assert "the key scorer does not have the scope admin" in problem(reply, 403)["detail"]
            allowed = httpx.request(method, service.url + path, headers={"X-API-Key": operator}, trust_env=False)
            assert allowed.status_code in (200, 422, 503), allowed.text


@pytest.mark.parametrize("path", CHANGING)
def test_a_get_of_a_path_that_changes_something_says_how_to_call_it(service, path):
    reply = service.client.get(path)
    body = problem(reply, 405)
    assert reply.headers["allow"] == "POST"
    assert body["type"] == "urn:thumblab:use-post"
    assert f"curl -X POST -H 'X-API-Key: KEY' {path}" in body["detail"]


@pytest.mark.parametrize("path", STARTING)
def test_without_dagster_the_answer_says_how_to_start_it(service, path):
    reply = service.client.post(path, json=STARTING[path]) if STARTING[path] else service.client.post(path)
    body = problem(reply, 503)
    assert body["type"] == "urn:thumblab:no-dagster"
    assert "start the lab with `thumblab up`" in body["detail"]
    assert reply.headers["retry-after"] == "30"


@pytest.mark.parametrize("wait", ["", "?wait=true&timeout_s=60"])
def test_an_address_where_no_dagster_listens_is_a_problem_that_shows_no_password(new_lab, run, caplog, wait):
    lab = new_lab(dagster_url="http://user:hunter2-secret@127.0.0.1:9")
    with run(lab.settings, wait=False) as service, caplog.at_level(logging.DEBUG, "thumblab_serving"):
        started = time.monotonic()
        reply = service.client.post(f"/internal/rebuild-indices{wait}")
        assert time.monotonic() - started < 10
        assert "Dagster does not answer (ConnectError)" in problem(reply, 503)["detail"]
        health = service.client.get("/health")
    assert health.json()["scheduler"]["state"] == "unknown"
    assert "hunter2" not in reply.text + health.text + caplog.text


def test_requests_that_wait_are_limited_before_their_runs_are_started(new_lab, run):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # This server accepts connections, and never answers.
        lab = new_lab(dagster_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with run(lab.settings, wait=False) as service, ThreadPoolExecutor(WAITING + 1) as threads:
            ask = [
                threads.submit(service.client.post, "/internal/rebuild-indices?wait=true") for _ in range(WAITING + 1)
            ]
            refused = next(as_completed(ask, 20)).result()
            connection, _ = silent.accept()
            silent.close()
            connection.close()
            kinds = Counter(problem(each.result(), 503)["type"] for each in ask)
    assert problem(refused, 503)["type"] == "urn:thumblab:too-many-waiting"
    assert kinds == {"urn:thumblab:too-many-waiting": 1, "urn:thumblab:no-dagster": WAITING}


def test_a_server_that_is_not_dagster_is_a_problem(new_lab, run, images):
    with run(new_lab(dagster_url=f"http://{images['host']}").settings, wait=False) as service:
        assert problem(service.client.post("/internal/refresh-library"), 503)["detail"].startswith("Dagster ")
        assert service.health()["scheduler"]["state"] == "unknown"


def test_a_run_is_looked_up_only_by_an_id_and_only_in_dagster(service):
    assert problem(service.client.get(RUN), 503)["type"] == "urn:thumblab:no-dagster"
    for name in ("1", "6F1C2B9E-0d3a-4c57-8a51-2f7e9d0c4b13", "..%2F..", RUN[15:] + "0"):
        assert problem(service.client.get(f"/internal/runs/{name}"), 422 if "%2F" not in name else 404)


def test_without_dagster_health_says_that_the_scheduler_is_unknown(service):
    scheduler = service.health()["scheduler"]
    assert (scheduler["state"], scheduler["schedules"]) == ("unknown", [])
    assert scheduler["reason"] == "the Dagster of this lab is not running"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/internal/rebuild-indices", {"niches": []}, "niches"),
        ("/internal/rebuild-indices", {"niches": ["knitting"]}, "niches.0"),
        ("/internal/rebuild-indices", {"niches": ["tech", "tech"]}, "named twice"),
        ("/internal/rebuild-indices", {"niche": "tech"}, "niche: there is no such field"),
        ("/internal/rebuild-indices", {"factory": "Flat; rm -rf /"}, "factory"),
        ("/internal/rebuild-indices", {"niches": ["tech"], "factory": "RR100000000,Flat"}, "a number of 1 to 1024"),
        ("/internal/rebuild-indices", {"factory": "HNSW999999999"}, "a number of 2 to 256"),
        ("/internal/rebuild-indices", {"dim": 0}, "dim"),
        ("/internal/rebuild-indices", [], "body"),
        ("/internal/refresh-library", {"factory": "Flat"}, "factory: there is no such field"),
        ("/internal/upsert-item", {}, "give either id or ids"),
        ("/internal/upsert-item", {"id": "a", "ids": ["b"]}, "give either id or ids"),
        ("/internal/upsert-item", {"id": ""}, "id"),
        ("/internal/upsert-item", {"id": "a\u0000b"}, "id"),
        ("/internal/upsert-item", {"id": True}, "id"),
        ("/internal/upsert-item", {"ids": []}, "ids"),
        ("/internal/upsert-item", {"ids": [str(n) for n in range(1_001)]}, "ids"),
        ("/internal/upsert-item", {"id": "a", "niche": "knitting"}, "niche"),
    ],
)
def test_a_bad_body_is_a_problem_that_names_the_field(service, path, body, expected):
    assert expected in problem(service.client.post(path, json=body), 422)["detail"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("wait=perhaps", "wait"),
        ("timeout_s=0", "timeout_s"),
        ("timeout_s=1e9", "timeout_s"),
        ("timeout_s=nan", "timeout_s"),
        ("wait=true&wait=false", "wait: the field is given twice"),
        ("Wait=true", "Wait: there is no such field; use wait"),
    ],
)
def test_a_bad_query_is_a_problem_that_names_the_field(service, query, expected):
    assert expected in problem(service.client.post(f"/internal/refresh-library?{query}"), 422)["detail"]


def test_a_body_that_is_not_json_is_a_problem(service):
    reply = service.client.post("/internal/rebuild-indices", content=b"niches=tech")
    assert problem(reply, 415)["detail"] == "send application/json"
    json = {"content-type": "application/json"}
    problem(service.client.post("/internal/rebuild-indices", content=b"{", headers=json), 422)
    problem(service.client.post("/internal/rebuild-indices", content=b"[" * 100_001, headers=json), 422)


def test_index_stats_have_the_fields_of_the_document(service, lab):
    stats = service.client.get("/internal/index-stats").json()
    assert set(stats) == {"status", "index_info", "cache_stats", "timestamp"}
    assert (stats["status"], set(stats["index_info"])) == ("ok", set(DEFAULT_NAMES))
    tech, gaming = stats["index_info"]["tech"], stats["index_info"]["gaming"]
    release = lab.store.serving.current("index", "tech")
    assert (tech["exists"], tech["cached"], tech["release"]) == (True, True, release.release_id)
    assert (tech["num_vectors"], tech["dimension"]) == (30, release.info["dimension"])
    assert tech["model"] == release.info["encoder"]
    assert tech["last_modified"][:16] == release.created_at[:16]
    on_disk = sum((release.path / name).stat().st_size for name in release.files)
    assert tech["file_size_mb"] == pytest.approx(on_disk / 1e6, abs=0.001)
    assert (gaming["exists"], gaming["num_vectors"], gaming["cached"]) == (False, 0, False)
    assert "no index of gaming is served yet" in gaming["reason"]
    assert stats["cache_stats"] == {"cached_niches": 1, "niches": ["tech"]}


def test_the_index_status_says_what_the_vectors_are(service, lab):
    first, second = (service.client.get(path).json() for path in READING[1:])
    assert first | {"timestamp": ""} == second | {"timestamp": ""}
    release = lab.store.serving.current("index", "tech")
    expected = {"model": release.info["encoder"], "dims": release.info["dimension"], "num_vectors": 30}
    assert (first["present"], first["cached"]) == (True, True)
    assert expected.items() <= first["sidecar_meta"].items()
    assert first["indices"]["tech"]["sidecar_meta"] == first["sidecar_meta"]
    assert first["indices"]["gaming"]["sidecar_meta"] is None


@pytest.fixture
def own(new_lab, run):
    """A running service whose lab a test may change."""
    lab = new_lab()
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    with run(lab.settings) as service:
        service.lab = lab
        yield service


def status_of_tech(service):
    return service.client.get("/admin/faiss/status").json()["indices"]["tech"]


@pytest.mark.parametrize("path", ["/internal/clear-cache", "/admin/faiss/clear-cache"])
def test_a_cleared_index_is_read_again_by_the_next_request(own, draw, path):
    before = own.score(draw(1), draw(2))
    reply = own.client.post(path)
    assert reply.status_code == 200, reply.text
    assert (reply.json()["cleared"], reply.json()["cache_stats"]) == (["tech"], {"cached_niches": 0, "niches": []})
    assert status_of_tech(own)["cached"] is False
    after = own.score(draw(1), draw(2))
    assert after["releases"] == before["releases"]
    assert {t["similarity_source"] for t in after["thumbnails"]} == {"faiss"}
    assert status_of_tech(own)["cached"] is True
    assert own.client.post(path).json()["cleared"] == ["tech"]
    assert own.client.post(path).json()["cleared"] == []


def test_a_cleared_index_that_cannot_be_read_again_serves_on_and_says_why(own, draw):
    release = own.lab.store.serving.current("index", "tech")
    file: Path = release.path / "index.faiss"
    good = file.read_bytes()
    own.client.post("/internal/clear-cache")
    file.write_bytes(good[:-1])
    answer = own.score(draw(1), draw(2))
    assert answer["releases"]["index"] == release.release_id
    assert {t["similarity_source"] for t in answer["thumbnails"]} == {"faiss"}
    refused = own.health()["indices"]["tech"]
    assert (refused["state"], refused["release"]) == ("serving", release.release_id)
    assert refused["refused"]["release"] == release.release_id
    assert status_of_tech(own)["reason"] == refused["refused"]["reason"]
    file.write_bytes(good)
    own.client.post("/internal/clear-cache")
    own.score(draw(1), draw(2))
    assert own.health()["indices"]["tech"]["refused"] is None


def test_openapi_describes_every_path_with_its_answers(service):
    document = httpx.get(f"{service.url}/openapi.json").json()
    for path in STARTING:
        post = document["paths"][path]["post"]
        assert set(post["responses"]) == REFUSALS | {"200", "202", "408", "413", "415", "422", "503"}, path
        assert [parameter["name"] for parameter in post["parameters"]] == ["wait", "timeout_s"]
        assert len(post["security"]) == 2
        name = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert name in document["components"]["schemas"]
    for path in READING:
        assert set(document["paths"][path]["get"]["responses"]) == REFUSALS | {"200"}
    run = document["paths"]["/internal/runs/{run_id}"]["get"]
    assert set(run["responses"]) == REFUSALS | {"200", "404", "422", "503"}
    for path in CHANGING:
        assert "get" not in document["paths"][path]

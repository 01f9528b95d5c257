"""Test `/v1/batches` over HTTP."""

import csv
import io

import httpx
import pytest

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_serving.schemas.batches import MAX_ITEMS, MAX_PICTURES

URL_ITEM = {"id": "a", "title": "t", "thumbnails": [{"id": "p", "url": "https://i.ytimg.com/a"}]}


def problem(reply, status, kind):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == f"urn:thumblab:{kind}"
    return reply.json()["detail"]


def test_each_item_gets_the_answer_that_it_gets_alone(service, item, send, ended, results, alike):
    items = [item(n, pictures=n) for n in (1, 2, 3)]
    batch = send(service, items)
    assert batch["items"] == 3
    done = ended(service, batch["id"])
    assert (done["state"], done["done"], done["failed"]) == ("done", 3, 0)
    found = results(service, batch["id"])
    assert [(r["item"], r["id"]) for r in found] == [(1, "item-1"), (2, "item-2"), (3, "item-3")]
    for result, sent in zip(found, items, strict=True):
        alone = service.client.post("/v1/score", json={k: v for k, v in sent.items() if k != "id"}).json()
        assert alike(result["answer"], alone)


def test_an_item_may_have_several_titles_and_niches(service, item, send, ended, results):
    batch = send(service, [{**item(1), "titles": ["One", "Two"], "title": None, "categories": ["tech", "news"]}])
    ended(service, batch["id"])
    [result] = results(service, batch["id"])
    assert len(result["answer"]["packages"]["grid"]) == 4
    assert [other["niche"] for other in result["answer"]["other_niches"]] == ["news"]


def test_the_answer_leads_to_the_batch(service, item):
    reply = service.client.post("/v1/batches", json={"items": [item(1)]})
    assert reply.status_code == 202
    assert service.client.get(reply.headers["location"]).json()["id"] == reply.json()["id"]


def test_unreadable_pictures_fail_their_item_and_stop_no_other(service, item, send, ended, results):
    bad = {"id": "bad", "title": "t", "thumbnails": [{"id": "p", "image_base64": "bm8gcGljdHVyZQ=="}]}
    batch = send(service, [bad, item(1)])
    done = ended(service, batch["id"])
    assert (done["state"], done["done"], done["failed"]) == ("done", 2, 1)
    first, second = results(service, batch["id"])
    assert first["answer"]["thumbnails"][0]["error"]
    assert second["answer"]["winner"]


def test_the_same_request_with_the_same_key_is_stored_once(service, item, send, ended):
    first = send(service, [item(1)], key="key-1")
    assert send(service, [item(1)], key="key-1")["id"] == first["id"]
    ended(service, first["id"])
    again = send(service, [item(1)], key="key-1")
    assert (again["id"], again["state"]) == (first["id"], "done")
    assert send(service, [item(1)], key="key-2")["id"] != first["id"]
    assert send(service, [item(1)])["id"] != send(service, [item(1)])["id"]
    other = service.client.post("/v1/batches", json={"items": [item(2)]}, headers={"Idempotency-Key": "key-1"})
    assert "use a new key" in problem(other, 409, "idempotency-key-reused")


def test_a_cancelled_batch_keeps_its_results_and_loses_its_pictures(service, item, send, ended, results):
    batch = send(service, [item(n, pictures=3) for n in range(20, 60)])
    cancelled = service.client.post(f"/v1/batches/{batch['id']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] in ("cancelling", "cancelled")
    end = ended(service, batch["id"])
    assert end["state"] == "cancelled"
    assert end["done"] < 40
    assert len(results(service, batch["id"])) == end["done"]
    folder = service.app.state.settings.data_dir / "batches" / batch["id"]
    assert not (folder / "items.jsonl").exists()
    assert service.client.post(f"/v1/batches/{batch['id']}/cancel").json()["state"] == "cancelled"


def test_after_the_deadline_no_item_is_scored(service, item, send, ended, results):
    batch = send(service, [item(n, pictures=10) for n in range(60, 90)], deadline_s=1)
    end = ended(service, batch["id"])
    assert end["state"] == "deadline_passed"
    assert len(results(service, batch["id"])) == end["done"] < 30


def test_results_as_a_table_have_a_row_for_each_thumbnail_and_package(service, item, send, ended):
    items = [item(1, pictures=2), {**item(2, pictures=2), "id": "=1+1", "titles": ["One", "@Two"], "title": None}]
    batch = send(service, items)
    ended(service, batch["id"])
    reply = service.client.get(f"/v1/batches/{batch['id']}/results", params={"format": "csv"})
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [row["kind"] for row in rows] == ["thumbnail"] * 4 + ["package"] * 4
    assert {row["id"] for row in rows[2:]} == {"'=1+1"}
    assert {row["title"] for row in rows[4:]} == {"One", "'@Two"}
    assert [row["winner"] for row in rows].count("true") == 3
    assert all(0 <= float(row["score"]) <= 100 for row in rows)


def test_each_row_of_a_table_has_its_title_also_if_it_has_an_error(service, item, send, ended, monkeypatch):
    bad = {"id": "p9", "image_base64": "bm8gcGljdHVyZQ=="}
    unreadable = item(3, pictures=1)
    unreadable["thumbnails"] += [bad, {**bad, "id": "p10", "title": "A title of its own"}]
    broken = {**item(4), "title": None, "titles": ["The broken one", "Another"]}
    score = service.app.state.scorer.score

    def broken_score(sources, form, **options):
        if form.all_titles[0] == "The broken one":
            raise RuntimeError("broken")
        return score(sources, form, **options)

    monkeypatch.setattr(service.app.state.scorer, "score", broken_score)
    batch = send(service, [unreadable, broken])
    ended(service, batch["id"])
    reply = service.client.get(f"/v1/batches/{batch['id']}/results", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    titles = [item(3)["title"], item(3)["title"], "A title of its own", "The broken one"]
    assert [row["title"] for row in rows] == titles
    assert [bool(row["error"]) for row in rows] == [False, True, True, True]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"items": []}, "items"),
        ({"items": [URL_ITEM, URL_ITEM]}, "two items have the same id"),
        ({"items": [{**URL_ITEM, "title": ""}]}, "items.0.title"),
        ({"items": [{**URL_ITEM, "colour": "red"}]}, "items.0.colour: there is no such field"),
        ({"items": [{k: v for k, v in URL_ITEM.items() if k != "id"}]}, "items.0.id"),
        ({"items": [{**URL_ITEM, "id": str(n)} for n in range(MAX_ITEMS + 1)]}, "at most 1000"),
        ({"items": [URL_ITEM], "deadline_s": 0}, "deadline_s"),
        ({"items": [URL_ITEM], "webhook": "https://example.com/"}, "webhook: this service sends no webhooks"),
    ],
)
def test_an_invalid_batch_is_refused_as_a_whole(service, body, expected):
    assert expected in problem(service.client.post("/v1/batches", json=body), 422, "invalid-request")


def test_a_batch_of_the_largest_size_is_taken_and_a_larger_one_is_not(service, send):
    def items(count):
        thumbnails = [{"id": str(n), "url": "https://i.ytimg.com/vi/dQw4w9WgXcQ/a.jpg", "title": "t"} for n in range(4)]
        titled = {
            "titles": [f"{n}, and more" for n in range(10)],
            "categories": list(DEFAULT_NAMES),
            "channel_id": "UCown",
            "thumbnails": thumbnails,
        }
        return [{"id": str(n), **titled} for n in range(count)]

    assert MAX_ITEMS * 4 == MAX_PICTURES
    batch = send(service, items(MAX_ITEMS))
    service.client.delete(f"/v1/batches/{batch['id']}")
    assert batch["items"] == MAX_ITEMS
    larger = items(MAX_ITEMS)
    larger[0]["thumbnails"] = [*larger[0]["thumbnails"], {"id": "more", "url": "u"}]
    assert "4001 thumbnails" in problem(
        service.client.post("/v1/batches", json={"items": larger}), 422, "invalid-request"
    )


def test_only_json_is_taken(service):
    reply = service.client.post("/v1/batches", data={"items": "a"})
    problem(reply, 415, "unsupported-media-type")


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel".encode()])
def test_a_strange_idempotency_key_is_refused(service, key):
    reply = service.client.post("/v1/batches", json={"items": [URL_ITEM]}, headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in problem(reply, 422, "invalid-request")


@pytest.mark.parametrize("batch_id", ["0" * 32, "x", "..%2f..%2fapi-key", "%2e%2e", "0" * 32 + "%0a", ".new-0"])
@pytest.mark.parametrize("path", ["", "/results"])
def test_an_unknown_batch_is_not_found(service, batch_id, path):
    assert service.client.get(f"/v1/batches/{batch_id}{path}").status_code == 404


def test_an_unknown_format_is_refused(service, item, send):
    batch = send(service, [item(1)])
    reply = service.client.get(f"/v1/batches/{batch['id']}/results", params={"format": "xml"})
    assert "format" in problem(reply, 422, "invalid-request")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_batch_is_shown_only_with_the_key(service, item, send, method):
    batch = send(service, [item(1)])
    for path in ("", f"/{batch['id']}", f"/{batch['id']}/results"):
        if method == "GET" or path == f"/{batch['id']}":
            assert httpx.request(method, f"{service.url}/v1/batches{path}").status_code == 401
    for path in ("", f"/{batch['id']}/cancel"):
        assert httpx.post(f"{service.url}/v1/batches{path}", json={"items": [URL_ITEM]}).status_code == 401


def test_every_field_of_a_batch_and_of_a_result_is_documented(service, item, send, ended, results):
    document = service.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    refusals = {"400", "401", "403", "413", "421", "429", "500"}  # All routes can answer with these statuses.
    of_state, of_post = (document["paths"][f"/v1/batches{path}"] for path in ("/{batch_id}", ""))
    assert set(of_state["get"]["responses"]) - refusals == {"200", "404", "410"}
    assert set(of_post["post"]["responses"]) - refusals == {"202", "408", "409", "415", "422", "503"}
    batch = ended(service, send(service, [item(1)])["id"])
    assert set(batch) == set(schemas["BatchOut"]["properties"])
    assert set(results(service, batch["id"])[0]) == set(schemas["ItemResult"]["properties"])
    assert {"items", "deadline_s", "webhook"} == set(schemas["BatchRequest"]["properties"])

"""Test the effect of API keys on batches: revoked keys, lists of batches, deletion, and rate limits."""

import re
import time

import httpx
import pytest

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_serving.batches import batch_store
from thumblab_serving.schemas.batches import BatchRequest

UNREADABLE = {"title": "t", "thumbnails": [{"id": "p", "image_base64": "bm8gcGljdHVyZQ=="}]}
"""An item that is finished immediately, because its picture cannot be read."""


@pytest.fixture
def keys(lab):
    """The named keys of the shared service. Each test uses different names."""
    return NamedKeys(lab.settings)


@pytest.fixture
def holder(service, keys):
    """Return a function that makes a named key, and returns a client that uses this key."""
    clients = []

    def make(name, per_minute=None):
        key = keys.add(name, ["score"], per_minute)
        clients.append(httpx.Client(base_url=service.url, trust_env=False, headers={"X-API-Key": key}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def stored_by(client, *items, **headers):
    reply = client.post("/v1/batches", json={"items": list(items)}, headers=headers)
    assert reply.status_code == 202, reply.text
    return reply.json()["id"]


def unreadable(*names):
    return [{"id": name, **UNREADABLE} for name in names]


def when(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_batches_of_a_revoked_key_are_cancelled_and_other_batches_continue(
    service, keys, holder, item, send, ended
):
    store = service.app.state.batches
    # While this request is open, each picture of a batch waits for five seconds.
    with service.app.state.foreground.request():
        leaving = holder("leaving")
        running, waiting = (stored_by(leaving, item(n), item(n + 1)) for n in (1, 3))
        when(lambda: store.find(running).progress.attempts)
        keys.revoke("leaving")
        mine = send(service, [item(5, pictures=1)])
        when(lambda: all(store.find(batch).has_ended for batch in (running, waiting)))
    for batch in map(store.find, (running, waiting)):
        described = store.describe(batch)
        assert (described.state, described.done) == ("cancelled", 0)
        items = batch.folder / "items.jsonl"
        # The worker stores that the batch has ended, and then deletes the file.
        when(lambda items=items: not items.exists())
    assert ended(service, mine["id"])["state"] == "done"
    again = holder("leaving")
    assert again.get("/v1/batches").json() == {"batches": [], "next_cursor": None}
    assert again.get(f"/v1/batches/{running}").status_code == 404


def test_a_rotated_key_keeps_its_batches_and_an_unreadable_key_file_cancels_no_batch(service, keys, holder):
    first = holder("turning")
    batch = stored_by(first, *unreadable("a"))
    first.headers["X-API-Key"] = keys.rotate("turning")
    assert first.get(f"/v1/batches/{batch}").status_code == 200
    whole = keys.path.read_text()
    keys.path.write_text("{")
    assert not service.app.state.keys.is_revoked("unknown#0123456789abcdef")
    keys.path.write_text(whole)
    assert service.app.state.keys.is_revoked("unknown#0123456789abcdef")
    assert not service.app.state.keys.is_revoked("default")


def test_the_list_has_the_batches_of_the_key_by_pages_with_the_newest_first(service, holder):
    client = holder("lister")
    stored = [stored_by(client, *unreadable("a")) for _ in range(5)]
    found, cursor = [], None
    while cursor is not None or not found:
        page = client.get("/v1/batches", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [batch["id"] for batch in page["batches"]]
        cursor = page["next_cursor"]
    assert found == stored[::-1]
    assert set(page["batches"][0]) == set(
        service.client.get("/openapi.json").json()["components"]["schemas"]["BatchOut"]["properties"]
    )
    for query, problem in (
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"cursor": "x"}, "cursor: give the next_cursor"),
    ):
        reply = client.get("/v1/batches", params=query)
        assert reply.status_code == 422
        assert problem in reply.json()["detail"]


def test_a_deleted_batch_is_gone_whether_it_has_ended_or_not(service, lab, holder, item, ended):
    client = holder("deleter")
    folder = lab.settings.data_dir / "batches"
    done = stored_by(client, *unreadable("a"), **{"Idempotency-Key": "one"})
    when(lambda: client.get(f"/v1/batches/{done}").json()["state"] == "done")
    # While this request is open, each picture of a batch waits for five seconds.
    with service.app.state.foreground.request():
        running = stored_by(client, item(1), item(2), **{"Idempotency-Key": "two"})
        when(lambda: client.get(f"/v1/batches/{running}").json()["state"] == "running")
        for batch in (done, running):
            reply = client.delete(f"/v1/batches/{batch}")
            assert (reply.status_code, reply.content) == (204, b"")
            assert client.get(f"/v1/batches/{batch}").status_code == 404
            assert client.get(f"/v1/batches/{batch}/results").status_code == 404
            assert client.delete(f"/v1/batches/{batch}").status_code == 404
        assert client.get("/v1/batches").json()["batches"] == []
        when(lambda: not (folder / running).exists() and not (folder / done).exists())
    again = stored_by(client, *unreadable("b"), **{"Idempotency-Key": "one"})
    when(lambda: client.get(f"/v1/batches/{again}").json()["state"] == "done")


def test_a_key_keeps_a_bounded_number_of_batches(new_lab, monkeypatch):
    monkeypatch.setattr(batch_store, "MOST_KEPT", 2)
    store = batch_store.BatchStore(new_lab().settings)
    request = BatchRequest.model_validate({"items": unreadable("a")})
    first, _ = (store.add(request, "one", None)[0] for _ in range(2))
    with pytest.raises(batch_store.FullError, match="2 batches of this key are kept; delete some"):
        store.add(request, "one", None)
    store.add(request, "two", None)
    store.delete(store.find(first.id))
    store.add(request, "one", None)


def test_each_item_of_a_batch_counts_as_a_request_and_the_batch_can_still_be_read(holder):
    client = holder("limited", per_minute=6)
    # The batch counts as 13 requests. 6 requests are allowed now, and the key must wait for the other 7 requests.
    batch = stored_by(client, *unreadable(*"abcdefghijklm"))
    for path in ("/v1/batches", "/v1/score"):
        refused = client.post(path, json={"items": unreadable("a")})
        assert refused.status_code == 429
        assert "each item of a batch that it sent counts as one request" in refused.json()["detail"]
        assert 70 <= int(refused.headers["retry-after"]) <= 80
    assert client.get(f"/v1/batches/{batch}").status_code == 200
    assert client.get("/v1/batches").status_code == 200
    assert client.delete(f"/v1/batches/{batch}").status_code == 204


def test_a_batch_that_is_sent_again_is_counted_once(holder):
    client = holder("repeating", per_minute=10)
    for _ in range(5):  # The first call counts as 6 requests, and each later call as 1 request.
        stored_by(client, *unreadable(*"abcdef"), **{"Idempotency-Key": "same"})
    assert client.post("/v1/batches", json={"items": unreadable("a")}).status_code == 429


def test_a_batch_that_is_refused_for_its_items_does_not_count_as_allowed(service, holder, monkeypatch):
    client = holder("charged", per_minute=2)
    stored_by(client, *unreadable("a"))
    charge = service.app.state.rate_limits.charge

    def charge_later(name, per_minute, items):  # Another request of the same key was counted in the meantime.
        charge(name, per_minute, 10)
        return charge(name, per_minute, items)

    monkeypatch.setattr(service.app.state.rate_limits, "charge", charge_later)
    assert client.post("/v1/batches", json={"items": unreadable("b", "c")}).status_code == 429
    text = client.get("/metrics").text
    counted = re.findall(r'^thumblab_key_requests_total\{key="charged",outcome="(\w+)"\} (\S+)$', text, re.M)
    assert dict(counted) == {"allowed": "1.0", "too_many": "1.0"}

"""Test that a batch does not affect other batches.

Only the key that sent a batch can read the batch. A damaged, long or too large batch stops no other batch.
"""

import csv
import fcntl
import json
import os
import threading
import time

import httpx
import pytest

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_serving.batches import worker
from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.records import Progress
from thumblab_serving.batches.stored_batch import FullError
from thumblab_serving.schemas.batches import BatchRequest, BatchState, ItemResult
from thumblab_serving.scoring.intake import Source
from thumblab_serving.scoring.scorer import InterruptedScoringError


def request_of(*items):
    return BatchRequest.model_validate({"items": list(items)})


def test_a_batch_belongs_to_the_key_that_sent_it(own, own_lab, item, send, ended):
    mine = send(own, [item(1)], key="same")
    ended(own, mine["id"])
    laptop = NamedKeys(own_lab.settings).add("laptop", ["score"])
    with httpx.Client(base_url=own.url, trust_env=False, headers={"X-API-Key": laptop}) as other:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results")):
            assert other.request(method, f"/v1/batches/{mine['id']}{path}").status_code == 404
        reply = other.post("/v1/batches", json={"items": [item(2)]}, headers={"Idempotency-Key": "same"})
        assert reply.status_code == 202
        assert reply.json()["id"] != mine["id"]
        assert own.client.get(reply.headers["location"]).status_code == 404
        assert other.get(reply.headers["location"]).status_code == 200
        assert [batch["id"] for batch in other.get("/v1/batches").json()["batches"]] == [reply.json()["id"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("facts.json", b""),
        ("facts.json", b'{"id": "x"}'),
        ("progress.json", b""),
        ("progress.json", b"\0\0\0"),
        ("progress.json", b'{"done": -1}'),
        ("progress.json", b'{"done": 1, "failed": 0, "size": 10}'),
        ("items.jsonl", None),
        ("items.jsonl", b""),
    ],
)
def test_a_damaged_batch_is_named_and_stops_no_other(own, own_lab, item, send, ended, file, content):
    with own.app.state.foreground.request():
        # While a scoring request is in progress, the worker waits before each item. The first batch therefore occupies
        # the worker until the test has damaged the second batch.
        send(own, [item(0, pictures=1)])
        damaged = send(own, [item(1, pictures=1), item(2, pictures=1)], key=f"{file} {content!r}")
        path = own_lab.settings.data_dir / "batches" / damaged["id"] / file
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        sound = send(own, [item(3, pictures=1)])
    assert ended(own, sound["id"])["state"] == "done"
    deadline = time.monotonic() + 60
    while (reply := own.client.get(f"/v1/batches/{damaged['id']}")).status_code == 200:
        assert time.monotonic() < deadline, reply.text
        time.sleep(0.05)
    assert reply.status_code == 410
    assert "send it again" in reply.json()["detail"]
    assert own.client.get(f"/v1/batches/{damaged['id']}/results").status_code == 410
    again = send(own, [item(1, pictures=1), item(2, pictures=1)], key=f"{file} {content!r}")
    assert ended(own, again["id"])["state"] == "done"


@pytest.mark.parametrize("file", ["end.json", "webhook.json", "progress.json"])
def test_a_batch_that_cannot_be_read_is_logged_once_and_stops_no_other(new_lab, item, caplog, file):
    store = BatchStore(new_lab(serving_batch_kept_h=1e-6).settings)
    requests = [BatchRequest.model_validate({"items": [item(n)], "webhook": "https://h/"}) for n in range(3)]
    ids = [store.add(request, "default", None)[0].id for request in requests]
    for batch_id in ids:
        store.find(batch_id).finish(BatchState.DONE)
    unreadable = store.find(ids[1]).folder / file
    unreadable.unlink(missing_ok=True)
    unreadable.mkdir()  # The path is now a folder. Reading a folder as a file fails for every user, even for root.
    for _ in range(2):
        listed, undelivered = store.page("default", 10, None)[0], store.undelivered()
        assert {ids[0], ids[2]} <= {batch.id for batch in listed}
        assert {ids[0], ids[2]} <= {batch.folder.name for batch in undelivered}
    store.sweep()
    assert store.find(ids[0]) is store.find(ids[2]) is None
    (record,) = [record for record in caplog.records if ids[1] in record.message]
    assert "cannot be used (IsADirectoryError" in record.message


def test_results_without_an_end_do_not_make_an_endless_answer(own, own_lab, item, send, ended):
    batch = send(own, [item(1)])
    ended(own, batch["id"])
    os.truncate(own_lab.settings.data_dir / "batches" / batch["id"] / "results.jsonl", 10)
    assert own.client.get(f"/v1/batches/{batch['id']}/results", timeout=10).status_code == 410


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe not UTF-8 \xff\n",
        b'{"item":2,"id":"item-2","ans\n',
        b'{"item":2,"id":"item-2","answer":{}}\n',
        b"\0" * 40,
    ],
)
def test_a_damaged_result_is_named_and_the_others_are_answered(own, ended, damage):
    store = own.app.state.batches
    items = [{"id": f"item-{n}", "title": "t", "thumbnails": [{"id": "p", "url": "https://h/"}]} for n in (1, 2, 3)]
    batch = store.find(store.add(request_of(*items), "default", None)[0].id)
    batch.cancel()
    ended(own, batch.folder.name)  # The worker has ended this batch, so it no longer writes progress.
    lines = [ItemResult(item=n, id=f"item-{n}", error="an error").model_dump_json().encode() + b"\n" for n in (1, 3)]
    content = lines[0] + damage + lines[1]
    (batch.folder / "results.jsonl").write_bytes(content)
    Progress(done=3, failed=3, size=len(content)).write(batch.folder / "progress.json")
    path = f"/v1/batches/{batch.folder.name}/results"
    rows = list(csv.DictReader(own.client.get(path, params={"format": "csv"}).text.splitlines()))
    assert [row["item"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["error"] == "an error"
    assert "damaged on the disk" in rows[1]["error"]
    results = [json.loads(line) for line in own.client.get(path).text.splitlines()]
    assert [result["item"] for result in results] == [1, 2, 3]
    # The service sends any JSON object unchanged, because another version of the lab may have written the object.
    assert damage.startswith(b'{"item":2,"id":"item-2","answer":{}}') or "damaged" in results[1]["error"]


@pytest.mark.slow
def test_a_long_batch_does_not_delay_the_end_of_others(own, item, send, ended):
    # While this request is open, each picture of a batch waits for five seconds.
    with own.app.state.foreground.request():
        long = send(own, [item(1, pictures=10)])
        cancelled, late = send(own, [item(2)]), send(own, [item(3)], deadline_s=1)
        own.client.post(f"/v1/batches/{cancelled['id']}/cancel")
        assert ended(own, cancelled["id"])["state"] == "cancelled"
        assert ended(own, late["id"])["state"] == "deadline_passed"
        assert own.client.get(f"/v1/batches/{long['id']}").json()["done"] == 0
    assert ended(own, long["id"])["state"] == "done"


def test_a_batch_waits_while_the_service_is_broken(own, item, send, ended, results, monkeypatch):
    monkeypatch.setattr(worker, "_NOT_READY_S", 0.5)
    canary = own.app.state.scorer.canary
    canary.failure = "a drawn picture could not be scored"
    try:
        batch = send(own, [item(1, pictures=1)])
        time.sleep(1)
        assert own.client.get(f"/v1/batches/{batch['id']}").json()["done"] == 0
    finally:
        canary.failure = None
    ended(own, batch["id"])
    assert results(own, batch["id"])[0]["answer"]["winner"]


def test_an_interrupted_item_raises_no_alarm(own, draw, item):
    def interrupt():
        raise InterruptedScoringError

    scorer = own.app.state.scorer
    before = scorer.canary.checks, scorer.canary.state
    form = request_of(item(1)).items[0]
    with pytest.raises(InterruptedScoringError):
        scorer.score([Source("a", data=draw(1))], form, pace=interrupt, owner=None)
    assert (scorer.canary.checks, scorer.canary.state) == before


def test_more_batches_at_once_than_are_admitted_are_refused_before_their_bodies(own):
    begun, refused = threading.Event(), threading.Event()

    def slow():
        yield b'{"items": ['
        begun.set()
        refused.wait(10)
        yield b"]}"

    def post():
        own.client.post("/v1/batches", content=slow(), headers={"Content-Type": "application/json"})

    waiting = [threading.Thread(target=post) for _ in range(2)]
    for thread in waiting:
        thread.start()
    begun.wait(5)
    time.sleep(0.5)
    reply = own.client.post("/v1/batches", json={"items": []})
    refused.set()
    for thread in waiting:
        thread.join()
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:thumblab:busy")
    assert "limit" in reply.json()["detail"]


def test_results_are_not_stored_beyond_the_limit_of_the_disk(new_lab, item):
    store = BatchStore(new_lab(serving_batch_disk_mib=1).settings)
    batch = store.find(store.add(request_of(item(1)), "default", None)[0].id)
    store.record(batch, ItemResult(item=1, id="item-1", error="a short error"))
    with pytest.raises(FullError, match="THUMBLAB_SERVING_BATCH_DISK_MIB"):
        store.record(batch, ItemResult(item=1, id="item-1", error="a long error" * 100_000))
    assert batch.progress.done == 1


def test_two_processes_do_not_add_at_the_same_time(new_lab, item):
    lab = new_lab()
    store = BatchStore(lab.settings)
    store.add(request_of(item(1)), "default", None)
    handle = os.open(lab.settings.data_dir / "batches", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    adding = threading.Thread(target=store.add, args=(request_of(item(2)), "default", None))
    adding.start()
    adding.join(0.5)
    assert adding.is_alive()
    os.close(handle)
    adding.join(10)
    assert len(store.unfinished()) == 2

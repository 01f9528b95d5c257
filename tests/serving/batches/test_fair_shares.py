"""Test that one key cannot use up what all keys share.

One key cannot fill the disk space of all batches, keep the worker for itself, or take all parallel requests.
"""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_serving.batches import worker
from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.records import Facts
from thumblab_serving.batches.stored_batch import FullError, Passed
from thumblab_serving.batches.webhooks import Webhooks
from thumblab_serving.schemas.batches import BatchRequest, BatchState, ItemResult


@pytest.fixture(scope="module")
def other(own, own_lab):
    """A client whose key differs from the key of `own.client`."""
    key = NamedKeys(own_lab.settings).add("other", ["score"])
    with httpx.Client(base_url=own.url, trust_env=False, headers={"X-API-Key": key}) as client:
        yield client


def request_of(*items):
    return BatchRequest.model_validate({"items": list(items)})


def test_slow_bodies_of_one_key_shut_out_only_this_key(own, other, draw):
    address, key = urlsplit(own.url), own.client.headers["X-API-Key"]
    head = "\r\n".join(
        ("POST /v1/score HTTP/1.1", "Host: localhost", f"X-API-Key: {key}", "Content-Type: application/json")
    )
    with ExitStack() as stack:
        for _ in range(2):
            slow = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
            slow.sendall(f"{head}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        stack.enter_context(own.app.state.foreground.request())
        while own.app.state.admission.used < 2:
            assert own.client.get("/health").status_code in (200, 503)
        refused = own.client.post("/v1/score", json={})
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:thumblab:busy")
        assert "2 requests of the key" in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) > 0
        assert other.post("/v1/score", json={}).status_code == 422, "the request of a different key must be read"


def test_a_batch_of_one_item_does_not_wait_for_all_items_of_another_key(own, other, item, send, ended, monkeypatch):
    begun = []
    result = worker.BatchWorker._result

    def noted(self, batch, number, line, tries):
        begun.append(batch.facts.id)
        return result(self, batch, number, line, tries)

    monkeypatch.setattr(worker.BatchWorker, "_result", noted)
    # While this request is open, the first picture of the long batch waits for five seconds.
    with own.app.state.foreground.request():
        long = [send(own, [item(10 * n + k, pictures=1) for k in range(5)])["id"] for n in range(2)]
        short = other.post("/v1/batches", json={"items": [item(99, pictures=1)]}).json()["id"]
    for batch in long:
        assert ended(own, batch)["state"] == "done"
    assert begun.index(short) <= 2, "the key must get its turn after the item that was already begun"
    assert [batch for batch in begun if batch != short] == [long[0]] * 5 + [long[1]] * 5
    assert other.get(f"/v1/batches/{short}").json()["state"] == "done"


def test_one_key_does_not_fill_the_disk_of_all_batches(new_lab, item):
    store = BatchStore(new_lab(serving_batch_disk_mib=1).settings)
    size = len(request_of(item(1)).items[0].model_dump_json())
    large = request_of(*[item(n) for n in range(int(0.2 * 2**20 / size))])
    store.add(large, "first", None)
    with pytest.raises(FullError, match=r"the batches of this key, .* of 0\.25 MiB") as refused:
        store.add(large, "first", None)
    assert "THUMBLAB_SERVING_BATCH_DISK_MIB" in str(refused.value)
    for owner in ("second", "third", "fourth"):
        assert store.add(large, owner, None)[1]


def test_items_that_take_the_share_of_their_key_leave_room_for_their_results(new_lab, item):
    store = BatchStore(new_lab(serving_batch_disk_mib=1).settings)
    size = len(request_of(item(1)).items[0].model_dump_json())
    large = request_of(*[item(n) for n in range(int(0.24 * 2**20 / size))])
    batch = store.find(store.add(large, "first", None)[0].id)
    store.record(batch, ItemResult(item=1, id="item-0", error="x" * 100_000))
    assert batch.progress.done == 1


def test_a_batch_that_is_larger_than_the_share_of_its_key_is_refused_for_good(own, item, monkeypatch):
    monkeypatch.setattr(own.app.state.batches, "_limit_of_key", 100)
    refused = own.client.post("/v1/batches", json={"items": [item(1)]})
    assert (refused.status_code, refused.json()["type"]) == (413, "urn:thumblab:too-large")
    assert "THUMBLAB_SERVING_BATCH_DISK_MIB" in refused.json()["detail"]
    assert "Retry-After" not in refused.headers


@pytest.mark.parametrize("file", ["facts.json", "items.jsonl"])
def test_a_batch_that_cannot_be_read_slows_no_other_and_is_logged_once(new_lab, item, monkeypatch, caplog, file):
    store = BatchStore(new_lab().settings)
    bad, good = (store.find(store.add(request_of(item(n)), f"key {n}", None)[0].id) for n in range(2))
    if file == "items.jsonl":
        (bad.folder / file).unlink()
        # The path is now a folder. Reading a folder as a file fails for every user, even for root.
        (bad.folder / file).mkdir()
    else:
        read = Facts.read

        def unreadable(path):
            if path.parent == bad.folder:
                raise PermissionError(13, "Permission denied", str(path))
            return read(path)

        monkeypatch.setattr(Facts, "read", unreadable)
    working = worker.BatchWorker(store, None, None, Webhooks(new_lab().settings), lambda answer: None, lambda key: None)

    def work(batch):
        number, _ = next(batch.unfinished_items())
        if len(worked) == 2:
            store.record(batch, ItemResult(item=number, id="item-1", error="no picture"))
            batch.finish(BatchState.DONE)
        worked.append(batch.folder)
        return True

    worked = []
    monkeypatch.setattr(working, "_work", work)
    monkeypatch.setattr(worker, "_LOOK_S", 0.0)
    assert [working._round() for _ in range(3)] == [True] * 3, "the thread must continue without a wait"
    assert worked == [good.folder] * 3
    assert good.has_ended
    assert len([message for message in caplog.messages if bad.folder.name in message]) == 1


def test_a_key_without_room_gets_one_attempt_in_each_turn(new_lab, item, monkeypatch):
    store = BatchStore(new_lab().settings)
    for n in range(3):
        store.add(request_of(item(n)), "key", None)
    working = worker.BatchWorker(store, None, None, Webhooks(new_lab().settings), lambda answer: None, lambda key: None)
    tried = []

    def work(batch):
        tried.append(batch)
        return False

    monkeypatch.setattr(working, "_work", work)
    assert working._round() is False
    assert len(tried) == 1


def test_a_key_without_room_for_its_results_holds_up_no_other_key(own, other, item, send, ended, monkeypatch):
    record, blocked = BatchStore.record, []

    def full(self, batch, result):
        if batch.facts.id in blocked:
            raise FullError("this key has no room")
        record(self, batch, result)

    monkeypatch.setattr(BatchStore, "record", full)
    with own.app.state.foreground.request():
        waiting = other.post("/v1/batches", json={"items": [item(1, pictures=1)]}).json()["id"]
        blocked.append(waiting)
        batch = send(own, [item(2, pictures=1), item(3, pictures=1)])
    assert ended(own, batch["id"])["state"] == "done"
    assert other.get(f"/v1/batches/{waiting}").json()["done"] == 0
    other.delete(f"/v1/batches/{waiting}")


def test_items_that_were_read_are_not_read_again(new_lab, item):
    store = BatchStore(new_lab().settings)
    batch = store.find(store.add(request_of(*map(item, range(3))), "key", None)[0].id)
    passed = Passed()
    for number in (1, 2, 3):
        found, line = next(batch.unfinished_items(passed))
        assert (found, passed.items) == (number, number - 1)
        assert passed.size == sum(
            map(len, (batch.folder / "items.jsonl").read_bytes().splitlines(keepends=True)[: number - 1])
        )
        assert f'"item-{number - 1}"'.encode() in line
        batch.record(ItemResult(item=number, id=f"item-{number - 1}", error="no picture"))
    assert list(batch.unfinished_items(passed)) == []
    fresh = store.find(store.add(request_of(item(7)), "key", None)[0].id)
    assert [number for number, _ in fresh.unfinished_items(passed)] == [1], (
        "a position in a different file must not be used"
    )


def test_a_new_batch_in_the_place_of_a_deleted_one_is_read_from_its_own_beginning(new_lab, item):
    store = BatchStore(new_lab().settings)
    old, new = (
        store.find(store.add(request_of(*(item(n, pictures=count) for n in range(3))), f"key {count}", None)[0].id)
        for count in (1, 2)
    )
    passed = Passed()
    for number in (1, 2):
        next(old.unfinished_items(passed))
        old.record(ItemResult(item=number, id=f"item-{number - 1}", error="no picture"))
    next(old.unfinished_items(passed))
    expected = (new.folder / "items.jsonl").read_bytes().splitlines(keepends=True)
    for file in ("facts.json", "items.jsonl"):  # The files keep their inodes, as a file system may give them out again.
        (old.folder / file).write_bytes((new.folder / file).read_bytes())
    assert list(old.unfinished_items(passed)) == [(3, expected[2])]

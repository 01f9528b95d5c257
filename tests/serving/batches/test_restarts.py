"""Test that batches survive restarts, kills and damaged writes, and that old results are deleted."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from thumblab_serving.batches.batch_store import MOST_UNFINISHED, BatchStore, TooLargeBatchError
from thumblab_serving.batches.records import Progress
from thumblab_serving.batches.stored_batch import FullError, StoredBatch
from thumblab_serving.schemas.batches import BatchRequest, BatchState, ItemResult

KEY = "key-of-the-tests-0123456789"
OWNER = "default"


@pytest.fixture
def own_lab(new_lab):
    lab = new_lab()
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    return lab


@pytest.fixture
def store(new_lab):
    return BatchStore(new_lab().settings)


@pytest.fixture
def stored(store, item):
    """A stored batch of three items that no worker processes."""
    batch, _ = store.add(BatchRequest.model_validate({"items": [item(n, pictures=1) for n in range(3)]}), OWNER, None)
    return store.find(batch.id)


def test_a_batch_continues_after_a_restart(own_lab, run, item, send, ended, results):
    with run(own_lab.settings) as service:
        batch = send(service, [item(n, pictures=1) for n in range(8)])
        while service.client.get(f"/v1/batches/{batch['id']}").json()["done"] < 2:
            time.sleep(0.01)
    with run(own_lab.settings) as service:
        end = ended(service, batch["id"])
        assert (end["state"], end["done"], end["failed"]) == ("done", 8, 0)
        assert [result["item"] for result in results(service, batch["id"])] == list(range(1, 9))


@pytest.mark.slow
def test_a_batch_continues_after_the_process_was_killed(own_lab, run, item, send, ended, results):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THUMBLAB_")} | {
        "THUMBLAB_DATA_DIR": str(own_lab.settings.data_dir),
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_API_KEY": KEY,
        "THUMBLAB_SERVING_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "thumblab_serving"], env=environment)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEY}, trust_env=False, timeout=60
        ) as client:
            _wait_until(lambda: _status(client, "/ready") == 200, process)
            items = [item(n, pictures=1) for n in range(12)]
            batch = client.post("/v1/batches", json={"items": items}).json()
            _wait_until(lambda: client.get(f"/v1/batches/{batch['id']}").json()["done"] >= 1, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with run(own_lab.settings) as service:
        end = ended(service, batch["id"])
        assert (end["state"], end["done"]) == ("done", 12)
        assert [result["item"] for result in results(service, batch["id"])] == list(range(1, 13))


def test_the_rest_of_an_interrupted_write_does_not_count_as_a_result(stored):
    stored.record(ItemResult(item=1, id="item-0", error="an error"))
    with (stored.folder / "results.jsonl").open("ab") as file:
        file.write(b'{"item": 2, "id": "ite')
    assert [json.loads(line)["item"] for line in stored.results()] == [1]
    assert [number for number, _ in stored.unfinished_items()] == [2, 3]
    stored.record(ItemResult(item=2, id="item-1", error="another error"))
    assert [json.loads(line)["error"] for line in stored.results()] == ["an error", "another error"]


@pytest.mark.slow
def test_an_item_that_ends_the_process_twice_gets_an_error_and_the_others_continue(own_lab, run, item, ended, results):
    store = BatchStore(own_lab.settings)
    batch, _ = store.add(BatchRequest.model_validate({"items": [item(n, pictures=1) for n in range(3)]}), OWNER, None)
    poisoned = StoredBatch(store.find(batch.id).folder)
    assert [poisoned.begin_item(), poisoned.begin_item()] == [1, 2]
    with run(own_lab.settings) as service:
        ended(service, batch.id)
        first, *others = results(service, batch.id)
    assert "the service stopped 2 times" in first["error"]
    assert [other["error"] for other in others] == [None, None]


def test_only_one_process_works_on_a_batch(stored):
    with stored.claim() as first, stored.claim() as second:
        assert (first, second) == (True, False)
    with stored.claim() as again:
        assert again


def test_the_results_are_deleted_after_their_time(store, stored):
    stored.record(ItemResult(item=1, id="item-0", error="an error"))
    stored.finish(BatchState.CANCELLED)
    store.sweep()
    assert store.find(stored.folder.name) is not None
    end = stored.folder / "end.json"
    long_ago = datetime.now(UTC) - timedelta(hours=49)
    end.write_text(json.dumps(json.loads(end.read_text()) | {"finished_at": long_ago.isoformat()}))
    assert store.describe(stored).expires_at < datetime.now(UTC)
    store.sweep()
    assert store.find(stored.folder.name) is None
    assert list(stored.folder.parent.iterdir()) == []


def test_the_rest_of_a_batch_that_was_never_stored_is_deleted(store, stored):
    left = stored.folder.parent / ".new-0123"
    left.mkdir()
    store.sweep()
    assert left.exists()
    os.utime(left, (0, 0))
    store.sweep()
    assert not left.exists()
    assert store.find(stored.folder.name) is not None


def test_too_many_batches_and_too_many_bytes_are_refused(new_lab, item):
    store = BatchStore(new_lab(serving_batch_disk_mib=1).settings)
    small, large = ({"items": [item(1, pictures=1)]}, {"items": [item(n, pictures=20) for n in range(20)]})
    with pytest.raises(
        TooLargeBatchError, match=r"a key may take 0\.25 MiB, a quarter of THUMBLAB_SERVING_BATCH_DISK_MIB"
    ):
        store.add(BatchRequest.model_validate(large), OWNER, None)
    for _ in range(MOST_UNFINISHED):
        store.add(BatchRequest.model_validate(small), OWNER, None)
    with pytest.raises(FullError, match="20 batches of this key"):
        store.add(BatchRequest.model_validate(small), OWNER, None)
    assert store.add(BatchRequest.model_validate(small), "laptop", None)[1]


def test_files_of_a_batch_are_only_readable_for_their_owner(stored):
    assert stored.folder.stat().st_mode & 0o077 == 0
    assert stored.folder.parent.stat().st_mode & 0o077 == 0
    assert Progress.read(stored.folder / "nothing.json") is None


def _status(client, path):
    try:
        return client.get(path).status_code
    except httpx.HTTPError:
        return None


def _wait_until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the service ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)

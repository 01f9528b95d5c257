"""Test that a worker loads newly served releases by itself. A release that loads slowly must not delay requests."""

import threading
import time

import pytest

from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading import served_release
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.served_release import Loaded, ServedRelease
from thumblab_serving.workers.registry import WorkerRegistry


class Slow:
    """A scope whose releases load only when the test allows it."""

    def __init__(self, folder):
        self.store = ReleaseStore(folder)
        self.may_load = threading.Event()
        self.may_load.set()
        self.begun = threading.Event()
        self.loads = []
        self.slot = ServedRelease(self.store, "index", "tech", self._load)

    def _load(self, release):
        self.begun.set()
        assert self.may_load.wait(30)
        self.loads.append(release.release_id)
        return Loaded(release.release_id, release, None)

    def promote(self):
        release = self.store.publish("index", "tech", lambda folder: None, {"number": time.monotonic()})
        self.store.serving.promote(release)
        return release.release_id

    def wait_until_loaded(self, release_id):
        deadline = time.monotonic() + 60
        while self.slot.loaded is None or self.slot.loaded.release_id != release_id:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def slow(tmp_path, monkeypatch):
    monkeypatch.setattr(served_release, "PATIENCE_S", 0.05)
    made = Slow(tmp_path)
    yield made
    made.may_load.set()


def test_requests_get_the_old_release_while_the_new_one_takes_long(slow):
    old = slow.promote()
    assert slow.slot.current().release_id == old
    slow.may_load.clear()
    new = slow.promote()
    assert slow.slot.current().release_id == old
    assert slow.slot.loading
    slow.may_load.set()
    slow.wait_until_loaded(new)
    assert slow.slot.current().release_id == new
    assert slow.loads == [old, new]


def test_the_first_release_is_waited_for_however_long_it_takes(slow):
    slow.may_load.clear()
    first = slow.promote()
    # The release takes several times longer to load than a request usually waits for a release.
    threading.Timer(0.3, slow.may_load.set).start()
    assert slow.slot.current().release_id == first


def test_a_withdrawn_release_is_not_served_while_another_one_loads(slow):
    slow.promote()
    slow.slot.current()
    slow.may_load.clear()
    slow.promote()
    slow.slot.watch_pointer()
    assert slow.begun.wait(30)
    slow.store.serving.withdraw("index", "tech")
    assert slow.slot.current() is None


def test_a_release_that_was_promoted_while_another_one_loaded_is_loaded_next(slow, monkeypatch):
    monkeypatch.setattr(served_release, "PATIENCE_S", 30)
    slow.promote()
    slow.slot.current()
    slow.begun.clear()
    slow.may_load.clear()
    slow.promote()
    slow.slot.watch_pointer()
    assert slow.begun.wait(30)
    newest = slow.promote()
    threading.Timer(0.05, slow.may_load.set).start()
    assert slow.slot.current().release_id == newest


def test_a_forgotten_release_is_read_again_by_a_request_and_not_by_the_watch(slow):
    release = slow.promote()
    slow.slot.current()
    assert slow.slot.forget()
    slow.slot.watch_pointer()
    assert not slow.slot.loading
    assert slow.slot.can_serve
    assert slow.slot.current().release_id == release
    assert slow.loads == [release, release]


def test_a_request_keeps_its_release_if_the_cache_is_cleared_meanwhile(slow, monkeypatch):
    release, is_settled = slow.promote(), slow.slot._is_settled
    slow.slot.current()

    def then_forgotten(target):
        result = is_settled(target)
        slow.slot.forget()
        return result

    monkeypatch.setattr(slow.slot, "_is_settled", then_forgotten)
    assert slow.slot.current().release_id == release


def test_a_worker_without_requests_follows_a_promotion_also_after_an_unexpected_error(new_lab, run, monkeypatch):
    failures = [RuntimeError("an unexpected error")]

    def update(registry, real=WorkerRegistry.update):
        if promoted and failures:
            raise failures.pop()
        real(registry)

    promoted = []
    monkeypatch.setattr(WorkerRegistry, "update", update)

    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        slots = service.app.state.scorer.releases
        promoted.append(True)
        while failures:
            time.sleep(0.02)
        index, model = lab.promote(lab.index(seed=1)), lab.promote(lab.model(seed=1))
        deadline = time.monotonic() + 60
        while (slots.indices["tech"].loaded.release_id, slots.model.loaded.release_id) != (
            index.release_id,
            model.release_id,
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        [worker] = service.health()["workers"]
        assert (worker["answers"], worker["ready"], worker["model"]) == (True, True, model.release_id)
        assert worker["indices"] == {"tech": index.release_id}
        assert service.health()["shared_cache"] == {"state": "one_worker", "reason": None}


def test_encoders_of_two_niches_load_at_the_same_time():
    both = threading.Barrier(2, timeout=30)

    class Encoder:
        def __init__(self, name):
            self.fingerprint = name

        def encode_images(self, images):
            both.wait()  # This call raises an error if the other encoder is not loaded at the same time.

    encoders, loaded = Encoders(None, Encoder), []
    threads = [threading.Thread(target=lambda name=name: loaded.append(encoders.image(name))) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoders.fingerprints == ["a", "b"]
    loaded.clear()
    encoders.drop_unused()
    assert encoders.fingerprints == []

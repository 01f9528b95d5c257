"""Test a release store in an object store: its conditional writes, its locks, its deletions, and uploads that were
abandoned.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from object_store_server import SECRET, S3Server, object_store, running_s3, url_at
from release_helpers import KIND, SCOPE, publish, serve, text_of

from thumblab_core.errors import LabError
from thumblab_core.object_store.bucket import Bucket
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.releases import changing_lock, uploads
from thumblab_core.releases.moves import end_hold, serve_older
from thumblab_core.releases.release import Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope_objects import ScopeObjects
from thumblab_core.releases.uploads import MARK


@pytest.fixture
def bucket(url: str) -> Bucket:
    return open_bucket(parse_store_url(url))


@pytest.fixture
def elsewhere(url: str, tmp_path: Path) -> ReleaseStore:
    """The release store as a second host sees it. The second host has its own cache."""
    return object_store(url, tmp_path / "elsewhere")


def test_another_host_serves_rolls_back_and_ends_the_hold(objects: ReleaseStore, elsewhere: ReleaseStore) -> None:
    old, new = serve(objects, "old"), serve(objects, "new")
    assert text_of(served_by(elsewhere)) == "new"
    serve_older(elsewhere, KIND, SCOPE, None, Release.verify)
    held = objects.serving.held(KIND, SCOPE)
    assert held is not None
    assert held.displaced == new.release_id
    assert text_of(served_by(objects)) == "old"
    end_hold(objects, KIND, SCOPE)
    assert elsewhere.serving.held(KIND, SCOPE) is None
    assert elsewhere.serving.promoted(KIND, SCOPE) == [r.release_id for r in (old, new, old, new)]
    elsewhere.serving.withdraw(KIND, SCOPE)
    assert objects.serving.withdrawn(KIND, SCOPE)


def test_a_file_that_a_release_shares_is_copied_inside_the_store(
    objects: ReleaseStore, elsewhere: ReleaseStore
) -> None:
    base = publish(objects, "base")
    changed = objects.publish(KIND, SCOPE, lambda folder: (folder / "c.txt").write_text("c") and None, {}, sharing=base)
    objects.remove(base)
    assert sorted(elsewhere.get(KIND, SCOPE, changed.release_id).files) == ["a.bin", "c.txt", "sub/b.txt"]
    assert text_of(elsewhere.get(KIND, SCOPE, changed.release_id)) == "base"


KILLED = """
import os, pathlib, signal, sys
from object_store_server import object_store
from release_helpers import KIND, SCOPE, writer
from thumblab_core.object_store.bucket import Bucket

calls = {}

def die_at(name, time):
    real = getattr(Bucket, name)
    def counted(*given):
        calls[name] = calls.get(name, 0) + 1
        if calls[name] == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    setattr(Bucket, name, counted)

url, cache, name, time = sys.argv[1:]
store = object_store(url, pathlib.Path(cache))
store.serving.current_id(KIND, SCOPE)
store._places.bucket.require_conditional_writes()
die_at(name, int(time))
release = store.publish(KIND, SCOPE, writer("killed"), {})
store.serving.promote(release)
store.remove(store.all(KIND, SCOPE)[0])
"""


@pytest.mark.parametrize(
    ("point", "published", "promoted"),
    [
        ("upload 1", False, False),
        ("upload 2", False, False),
        ("create 1", False, False),  # The release has its number, but no manifest.
        ("replace 2", True, False),
        ("delete 3", True, True),  # Only a part of an older release is deleted. Its manifest is deleted first.
    ],
)
def test_a_crash_leaves_a_whole_release_served_and_the_next_sweep_finishes(
    objects: ReleaseStore,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    published: bool,
    promoted: bool,
) -> None:
    oldest, good = serve(objects, "oldest"), serve(objects, "good")
    script, given = tmp_path / "killed.py", [url, str(tmp_path / "dying"), *point.split()]
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, str(script), *given], env=environment).returncode == -signal.SIGKILL
    served = served_by(objects)
    assert text_of(served) == ("killed" if promoted else "good")
    assert {text_of(release) for release in objects.all(KIND, SCOPE)} <= {"oldest", "good", "killed"}
    assert len(objects.all(KIND, SCOPE)) == 2 + published - (point == "delete 3")
    monkeypatch.setattr(uploads, "GRACE", timedelta(0))
    time.sleep(1.1)  # The emulated object store gives times in whole seconds.
    objects.prune(KIND, SCOPE, keep=5)
    left = {release.release_id for release in objects.all(KIND, SCOPE)}
    names = [
        entry.key.split("/")[2] for entry in objects._places.bucket.entries(f"{KIND}/{SCOPE}") if not is_mark(entry)
    ]
    assert set(names) == left | {"state.json"}
    assert (oldest.release_id in left) == (point != "delete 3")
    assert good.release_id in left


@pytest.mark.parametrize(("step", "at"), [("upload", 2), ("create", 1)], ids=["between files", "before the manifest"])
def test_an_upload_is_given_up_only_after_the_grace_and_then_cannot_be_completed(
    objects: ReleaseStore, elsewhere: ReleaseStore, monkeypatch: pytest.MonkeyPatch, step: str, at: int
) -> None:
    good = serve(objects, "good")
    paused = Pause(monkeypatch, Bucket, step, at)
    failures: list[ReleaseError] = []

    def late() -> None:
        try:
            publish(objects, "late")
        except ReleaseError as error:
            failures.append(error)

    publishing = threading.Thread(target=late)
    publishing.start()
    paused.wait()
    elsewhere.prune(KIND, SCOPE, keep=5)
    assert "a.bin" in unfinished(elsewhere), "an upload within the grace was deleted"
    monkeypatch.setattr(uploads, "GRACE", timedelta(0))
    time.sleep(1.1)  # The emulated object store gives times in whole seconds.
    elsewhere.prune(KIND, SCOPE, keep=5)
    assert unfinished(elsewhere) == ["manifest.json"], "only the mark is left"
    paused.end()
    publishing.join()
    assert "abandoned; publish the release again" in str(failures[0])
    assert elsewhere.all(KIND, SCOPE) == [elsewhere.get(KIND, SCOPE, good.release_id)]


def test_a_release_that_is_being_deleted_cannot_be_promoted(
    objects: ReleaseStore, elsewhere: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, good = publish(objects, "old"), serve(objects, "good")
    paused = Pause(monkeypatch, ScopeObjects, "_delete", at=1)
    removing = threading.Thread(target=objects.remove, args=(old,))
    removing.start()
    paused.wait()
    with pytest.raises(ReleaseError, match="is being deleted; promote another release"):
        elsewhere.serving.promote(old)
    paused.end()
    removing.join()
    assert served_by(elsewhere).release_id == good.release_id


def test_a_release_that_was_promoted_meanwhile_is_not_pruned(
    objects: ReleaseStore, elsewhere: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish(objects, "old")
    serve(objects, "good")
    paused = Pause(monkeypatch, ScopeObjects, "delete", at=1)
    deleted: list[list[str]] = []
    pruning = threading.Thread(target=lambda: deleted.append(objects.prune(KIND, SCOPE, keep=1)))
    pruning.start()
    paused.wait()
    elsewhere.serving.promote(elsewhere.get(KIND, SCOPE, old.release_id))
    paused.end()
    pruning.join()
    assert deleted == [[]]
    assert text_of(served_by(elsewhere)) == "old"


def test_a_served_release_is_not_removed(objects: ReleaseStore) -> None:
    served = serve(objects, "served")
    with pytest.raises(ReleaseError, match="is served; promote another release"):
        objects.remove(served)
    served_by(objects).verify()


def test_a_silent_owner_loses_the_lock_and_cannot_promote(
    objects: ReleaseStore, elsewhere: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, new = serve(objects, "good"), publish(objects, "new")
    monkeypatch.setattr(
        changing_lock, "BEAT_SECONDS", 60.0
    )  # The owner does not renew the lock, as if its machine slept.
    elsewhere._places.locks._silent_s = 0.5  # type: ignore[attr-defined]
    with objects.serving.changing(KIND, SCOPE):
        with elsewhere.serving.changing(KIND, SCOPE, patience=20):
            with pytest.raises(ReleaseError, match="another process has taken over the lock"):
                objects.serving.promote(new)
            elsewhere.serving.promote(elsewhere.get(KIND, SCOPE, new.release_id))
        elsewhere.serving.promote(elsewhere.get(KIND, SCOPE, good.release_id))
    assert objects.serving.promoted(KIND, SCOPE) == [good.release_id, new.release_id, good.release_id]
    with objects.serving.changing(KIND, SCOPE, patience=0):
        pass


def test_a_living_owner_keeps_the_lock(
    objects: ReleaseStore, elsewhere: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing_lock, "BEAT_SECONDS", 0.1)
    elsewhere._places.locks._silent_s = 1.0  # type: ignore[attr-defined]
    with (
        objects.serving.changing(KIND, SCOPE),
        pytest.raises(ReleaseError, match="another process has been changing"),
        elsewhere.serving.changing(KIND, SCOPE, patience=3),
    ):
        pass


def test_a_damaged_state_is_named_and_not_taken_for_an_empty_scope(objects: ReleaseStore, bucket: Bucket) -> None:
    serve(objects, "good")
    for damage in (b"", b"{", b'{"format": 1}', b'{"format": 9}'):
        bucket.write(f"{KIND}/{SCOPE}/state.json", damage)
        with pytest.raises(ReleaseError, match=r"state\.json in s3://.* (is damaged|newer version)"):
            objects.serving.current_id(KIND, SCOPE)


def test_a_manifest_cannot_name_a_file_outside_of_its_folder(objects: ReleaseStore, bucket: Bucket) -> None:
    release = publish(objects)
    key = f"{KIND}/{SCOPE}/{release.release_id}/manifest.json"
    stored = bucket.read(key)
    assert stored is not None
    bucket.write(key, stored.content.replace(b"sub/b.txt", b"../../../b"))
    with pytest.raises(ReleaseError, match="a file outside of its folder"):
        objects.get(KIND, SCOPE, release.release_id)


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with running_s3("--ignore-conditions") as old:
        store = object_store(old.url("lab-old"), tmp_path)
        with pytest.raises(LabError, match="ignores the conditions of writes"):
            publish(store)
        assert store.scopes() == []


def test_an_unreachable_store_and_a_missing_bucket_are_named_without_a_secret(s3: S3Server, tmp_path: Path) -> None:
    gone = object_store(url_at("http://127.0.0.1:9", "lab-gone"), tmp_path / "a")
    missing = object_store(url_at(s3.endpoint, "lab-missing"), tmp_path / "b")
    actions: list[tuple[str, Callable[[], object]]] = [
        ("no connection", lambda: publish(gone)),
        ("no connection", lambda: gone.serving.current_id(KIND, SCOPE)),
        ("no connection", lambda: gone.all(KIND, SCOPE)),
        ("NoSuchBucket", lambda: publish(missing)),
        ("NoSuchBucket", lambda: missing.serving.current_id(KIND, SCOPE)),
    ]
    for reason, action in actions:
        with pytest.raises(LabError, match=rf"s3://lab-(gone|missing)/lab/releases.*{reason}") as raised:
            action()
        shown = "".join(traceback.format_exception(raised.value))
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"http://key:{SECRET}@host/bucket", "must begin with s3://, gs:// or az://"),
        (f"s3://key:{SECRET}@", "has no valid bucket or prefix"),
        (f"s3://{SECRET}@bucket/prefix", "lacks the key or the secret"),
        (f"s3://bucket/../{SECRET}/x", "has no valid bucket or prefix"),
        (f"s3://bucket/prefix?token={SECRET}", "unknown options in the URL"),
        (f"gs://key:{SECRET}@bucket", "neither credentials nor options"),
        (f"s3://[{SECRET}", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(text: str, problem: str) -> None:
    with pytest.raises(LabError, match=re.escape(problem)) as raised:
        parse_store_url(text)
    assert SECRET not in str(raised.value)


def test_a_url_shows_neither_its_key_nor_its_secret() -> None:
    url = parse_store_url(f"s3://a-key:{SECRET}%2F@bucket/a/b?endpoint=http://127.0.0.1:9&region=r")
    assert (url.secret, url.endpoint, url.region) == (f"{SECRET}/", "http://127.0.0.1:9", "r")
    assert str(url) == "s3://bucket/a/b"
    assert SECRET not in repr(url)
    assert "a-key" not in repr(url)


class Pause:
    """Pause one call of a method: the call with the number `at`. The paused call continues after `end` is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int) -> None:
        self._reached, self._may_go = threading.Event(), threading.Event()
        real, calls = getattr(owner, name), []

        def paused(*given: object) -> object:
            calls.append(1)
            if len(calls) == at:
                self._reached.set()
                assert self._may_go.wait(30)
            return real(*given)

        monkeypatch.setattr(owner, name, paused)

    def wait(self) -> None:
        assert self._reached.wait(30)

    def end(self) -> None:
        self._may_go.set()


def served_by(store: ReleaseStore) -> Release:
    release = store.serving.current(KIND, SCOPE)
    assert release is not None
    release.verify()
    return release


def is_mark(entry: object) -> bool:
    return entry.key.endswith("/manifest.json") and entry.size == len(MARK)  # type: ignore[attr-defined]


def unfinished(store: ReleaseStore) -> list[str]:
    """Return the names of the files that belong to unpublished releases."""
    published = {release.release_id for release in store.all(KIND, SCOPE)}
    keys = [entry.key.split("/") for entry in store._places.bucket.entries(f"{KIND}/{SCOPE}")]  # type: ignore[attr-defined]
    return [key[-1] for key in keys if len(key) > 3 and key[2] not in published]

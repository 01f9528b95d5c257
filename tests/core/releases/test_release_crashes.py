"""Test the release store with crashes, full disks, and many writers and readers at the same time."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from release_helpers import KIND, SCOPE, left_over, publish, serve, text_of

from thumblab_core.releases.release import Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore


def test_a_writer_that_raises_publishes_nothing(store: ReleaseStore) -> None:
    good = serve(store, "good")

    def half(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.publish(KIND, SCOPE, half, {})
    assert store.all(KIND, SCOPE) == [good]
    store.prune(KIND, SCOPE, keep=2)
    assert not left_over(store)


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_raises_a_clear_error_and_the_served_release_stays(
    store: ReleaseStore, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    good = serve(store, "good")
    new = publish(store, "new")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full) if failing == "fsync" else patch.setattr(Path, "rename", full)
        with pytest.raises(ReleaseError, match=r"cannot be written \(No space left on device\)"):
            publish(store, "bad")
        if failing == "fsync":
            with pytest.raises(ReleaseError, match="No space left"):
                store.serving.promote(new)
    assert store.all(KIND, SCOPE) == [good, new]
    assert store.serving.current(KIND, SCOPE) == good


def test_a_store_whose_folder_is_a_file_raises_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("")
    with pytest.raises(ReleaseError, match="cannot be written"):
        publish(ReleaseStore(tmp_path / "releases"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_store_can_be_read_and_raises_a_clear_error_on_writing(store: ReleaseStore) -> None:
    good = serve(store, "good")
    folder = store.root / KIND / SCOPE
    folder.chmod(0o500)
    try:
        assert store.serving.current(KIND, SCOPE) == good
        with pytest.raises(ReleaseError, match="cannot be written"):
            publish(store, "bad")
    finally:
        folder.chmod(0o700)


KILLED = """
import os, pathlib, signal
from thumblab_core.releases.release_store import ReleaseStore

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def die_at(owner, name, time):
    real, calls = getattr(owner, name), []
    def counted(*given):
        calls.append(1)
        if len(calls) == time:
            die()
        return real(*given)
    setattr(owner, name, counted)

def write(folder):
    (folder / "a.bin").write_bytes(b"y" * 1000)
    if POINT == "writing":
        die()
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("killed")

store = ReleaseStore(pathlib.Path(ROOT))
match POINT.split():
    case ["fsync", time]:
        die_at(os, "fsync", int(time))
    case ["rename"]:
        pathlib.Path.rename = die
    case ["pointer"]:
        pathlib.Path.replace = die
    case ["history"]:
        die_at(pathlib.Path, "replace", 2)
store.serving.promote(store.publish("index", "tech", write, {}))
"""


@pytest.mark.parametrize(
    "point", ["writing", *[f"fsync {n}" for n in range(1, 6)], "rename", "fsync 6", "fsync 7", "pointer"]
)
def test_a_crash_while_publishing_leaves_the_old_release_served(store: ReleaseStore, point: str) -> None:
    good = serve(store, "good")
    script = KILLED.replace("POINT", repr(point)).replace("ROOT", repr(str(store.root)))
    done = subprocess.run([sys.executable, "-c", script])
    assert done.returncode == -signal.SIGKILL
    assert store.serving.current(KIND, SCOPE) == good
    for release in store.all(KIND, SCOPE):
        release.verify()  # This call raises if a release is incomplete.
    assert {text_of(release) for release in store.all(KIND, SCOPE)} <= {"good", "killed"}
    # At each of these three points, the new release has its final name already, but is not promoted.
    published = point in ("fsync 6", "fsync 7", "pointer")
    assert len(store.all(KIND, SCOPE)) == 1 + published
    assert published or left_over(store)
    again = serve(store, "again")  # This call waits without end if the killed process still holds a lock.
    store.prune(KIND, SCOPE, keep=5)
    assert not left_over(store)
    assert store.serving.current(KIND, SCOPE) == again


def test_two_processes_that_publish_at_once_publish_complete_releases(store: ReleaseStore) -> None:
    script = f"""
import pathlib, sys
from thumblab_core.releases.release_store import ReleaseStore
store = ReleaseStore(pathlib.Path({str(store.root)!r}))
def write(folder):
    (folder / "a.bin").write_bytes(sys.argv[1].encode() * 100_000)
for n in range(10):
    store.serving.promote(store.publish("index", "tech", write, {{"who": sys.argv[1], "n": n}}))
"""
    processes = [subprocess.Popen([sys.executable, "-c", script, who]) for who in "ab"]
    assert [process.wait(60) for process in processes] == [0, 0]
    releases = store.all(KIND, SCOPE)
    assert sorted((r.info["who"], r.info["n"]) for r in releases) == [(who, n) for who in "ab" for n in range(10)]
    for release in releases:
        release.verify()
        assert (release.path / "a.bin").read_bytes() == release.info["who"].encode() * 100_000
    assert store.serving.current_id(KIND, SCOPE) in {r.release_id for r in releases}
    assert not left_over(store)


@pytest.mark.slow
def test_readers_meet_no_error_while_releases_are_published_and_pruned(store: ReleaseStore) -> None:
    serve(store, "0")
    stop = threading.Event()
    errors: list[BaseException] = []
    reads: list[int] = []

    def read() -> None:
        last = count = 0
        try:
            while not stop.is_set():
                release = store.serving.current(KIND, SCOPE)
                assert release is not None
                release.verify()
                assert text_of(release) == release.info["text"]
                assert int(text_of(release)) >= last, "a reader got an older release than before"
                last, count = int(text_of(release)), count + 1
        except BaseException as error:  # noqa: BLE001  a reader must meet no error at all
            errors.append(error)
        reads.append(count)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for n in range(1, 51):
        serve(store, str(n))
        store.prune(KIND, SCOPE, keep=8)
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert min(reads) > 10
    assert len(store.all(KIND, SCOPE)) == 8


def test_a_release_cannot_be_pruned_between_its_verification_and_its_promotion(
    store: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish(store, "old")
    for n in range(3):
        publish(store, str(n))
    real = Release.verify
    pruning = threading.Thread(target=lambda: store.prune(KIND, SCOPE, keep=1))

    def verify(release: Release, *known: object) -> None:
        real(release)
        if not pruning.ident:
            pruning.start()
            pruning.join(0.3)

    monkeypatch.setattr(Release, "verify", verify)
    store.serving.promote(old)
    pruning.join()
    assert store.serving.current(KIND, SCOPE) == old


def test_a_release_whose_promotion_was_killed_before_the_history_was_written_can_be_rolled_back_to(
    store: ReleaseStore,
) -> None:
    first = serve(store, "good")
    script = KILLED.replace("POINT", "'history'").replace("ROOT", repr(str(store.root)))
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    second = store.serving.current(KIND, SCOPE)
    assert second is not None
    assert text_of(second) == "killed"
    assert store.serving.promoted(KIND, SCOPE) == [first.release_id, second.release_id]
    third = serve(store, "third")
    assert store.serving.served_before(KIND, SCOPE) == [first, second]
    assert store.serving.promoted(KIND, SCOPE) == [first.release_id, second.release_id, third.release_id]

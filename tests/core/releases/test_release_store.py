"""Promises of the release store, kept through kills, full disks, damage and crowds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from thumblab_core.releases.release import FORMAT, Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore

KIND, SCOPE = "index", "tech"


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


def writer(text: str, size: int = 1_000) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "a.bin").write_bytes(text.encode() * size)
        (folder / "sub").mkdir()
        (folder / "sub" / "b.txt").write_text(text)

    return write


def publish(store: ReleaseStore, text: str = "x", **info: object) -> Release:
    return store.publish(KIND, SCOPE, writer(text), {"text": text, **info})


def serve(store: ReleaseStore, text: str) -> Release:
    release = publish(store, text)
    store.serving.promote(release)
    return release


def text_of(release: Release) -> str:
    return (release.path / "sub" / "b.txt").read_text()


def left_over(store: ReleaseStore) -> list[str]:
    return sorted(p.name for p in (store.root / KIND / SCOPE).iterdir() if p.name.startswith((".staging-", ".aside-")))


def test_publishing_serves_nothing_until_it_is_promoted(store: ReleaseStore) -> None:
    assert store.serving.current(KIND, SCOPE) is None
    assert store.latest(KIND, SCOPE) is None
    release = publish(store)
    assert store.serving.current_id(KIND, SCOPE) is None
    assert store.latest(KIND, SCOPE) == release
    store.serving.promote(release)
    assert store.serving.current(KIND, SCOPE) == release


def test_a_release_says_what_it_holds(store: ReleaseStore) -> None:
    release = store.publish(KIND, SCOPE, writer("x"), {"count": 3}, run_id="run")
    assert sorted(release.files) == ["a.bin", "sub/b.txt"]
    assert (release.info, release.run_id, release.kind, release.scope) == ({"count": 3}, "run", KIND, SCOPE)
    assert store.get(KIND, SCOPE, release.release_id) == release
    release.verify()


def test_rolling_back_is_promoting_an_older_release(store: ReleaseStore) -> None:
    old, new = serve(store, "old"), serve(store, "new")
    store.serving.promote(old)
    assert store.serving.current(KIND, SCOPE) == old
    assert store.latest(KIND, SCOPE) == new


def test_scopes_and_kinds_do_not_see_each_other(store: ReleaseStore) -> None:
    serve(store, "x")
    assert store.serving.current(KIND, "gaming") is None
    assert store.all("model", SCOPE) == []


@pytest.mark.parametrize("name", ["a.bin", "sub/b.txt"])
def test_a_flipped_byte_in_any_file_is_refused_and_the_served_release_stays(store: ReleaseStore, name: str) -> None:
    good, bad = serve(store, "good"), publish(store, "bad")
    path = bad.path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=f"{name} does not match its checksum"):
        bad.verify()
    with pytest.raises(ReleaseError, match="does not match"):
        store.serving.promote(bad)
    assert store.serving.current(KIND, SCOPE) == good


def test_a_missing_file_is_refused(store: ReleaseStore) -> None:
    release = publish(store)
    (release.path / "a.bin").unlink()
    with pytest.raises(ReleaseError, match=r"a\.bin cannot be read"):
        release.verify()


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"format": 1}', None])
def test_a_release_without_a_readable_manifest_is_an_error_by_name_and_not_in_any_list(
    store: ReleaseStore, manifest: str | None
) -> None:
    good, bad = publish(store, "good"), publish(store, "bad")
    path = bad.path / "manifest.json"
    path.unlink() if manifest is None else path.write_text(manifest)
    with pytest.raises(ReleaseError, match="no readable manifest"):
        store.get(KIND, SCOPE, bad.release_id)
    assert store.all(KIND, SCOPE) == [good]
    assert store.latest(KIND, SCOPE) == good


def test_a_read_error_that_may_pass_deletes_nothing_and_hides_no_release(
    store: ReleaseStore, refuse: Callable[[Path], None]
) -> None:
    old, served = publish(store, "old"), serve(store, "served")
    refuse(served.path / "manifest.json")
    for doing in (
        lambda: store.discard_unreadable(KIND, SCOPE),
        lambda: store.latest(KIND, SCOPE),
        lambda: store.prune(KIND, SCOPE, keep=1),
    ):
        with pytest.raises(ReleaseError, match="Too many open files") as raised:
            doing()
        assert raised.value.transient
    assert store.serving.current_id(KIND, SCOPE) == served.release_id
    assert old.path.is_dir()
    refuse(old.path / "a.bin")
    with pytest.raises(ReleaseError) as raised:
        old.verify()
    assert raised.value.transient


def test_waiting_for_another_process_in_vain_may_be_tried_again(store: ReleaseStore) -> None:
    with (
        store.serving.changing(KIND, SCOPE),
        pytest.raises(ReleaseError, match="by another process") as raised,
        store.serving.changing(KIND, SCOPE, patience=0),
    ):
        pass
    assert raised.value.transient


def test_a_release_of_another_format_is_not_read(store: ReleaseStore) -> None:
    release = publish(store)
    path = release.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(ReleaseError, match=f"has format {FORMAT + 1}; this version reads up to format {FORMAT}"):
        store.get(KIND, SCOPE, release.release_id)


def test_a_pointer_to_nothing_is_an_error_and_not_an_empty_store(store: ReleaseStore) -> None:
    release = serve(store, "x")
    (release.path.parent / "CURRENT").write_text("20260101T000000000000Z-00000000")
    with pytest.raises(ReleaseError, match="no readable manifest"):
        store.serving.current(KIND, SCOPE)


def test_unchanged_finds_the_newest_release_of_the_same_inputs_only(store: ReleaseStore) -> None:
    assert store.unchanged(KIND, SCOPE, "a") is None
    first = publish(store, "x", inputs="a")
    assert store.unchanged(KIND, SCOPE, "a") == first
    assert store.unchanged(KIND, SCOPE, "b") is None
    publish(store, "y", inputs="b")
    assert store.unchanged(KIND, SCOPE, "a") is None


def test_unchanged_never_gives_a_damaged_release(store: ReleaseStore) -> None:
    release = publish(store, "x", inputs="a")
    (release.path / "a.bin").write_bytes(b"")
    assert store.unchanged(KIND, SCOPE, "a") is None


def test_prune_keeps_the_newest_and_the_served_one(store: ReleaseStore) -> None:
    all_of_them = [publish(store, str(n)) for n in range(6)]
    store.serving.promote(all_of_them[1])
    gone = store.prune(KIND, SCOPE, keep=2)
    assert gone == [all_of_them[n].release_id for n in (0, 2, 3)]
    assert store.all(KIND, SCOPE) == [all_of_them[n] for n in (1, 4, 5)]
    assert store.prune(KIND, SCOPE, keep=2) == []
    assert store.serving.current(KIND, SCOPE) == all_of_them[1]


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
def test_a_full_disk_is_a_sentence_and_leaves_what_is_served(
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


def test_a_store_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("")
    with pytest.raises(ReleaseError, match="cannot be written"):
        publish(ReleaseStore(tmp_path / "releases"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes wherever it likes")
def test_a_read_only_store_is_read_and_refuses_to_be_written_in_a_sentence(store: ReleaseStore) -> None:
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
store.serving.promote(store.publish("index", "tech", write, {}))
"""


@pytest.mark.parametrize(
    "point", ["writing", *[f"fsync {n}" for n in range(1, 6)], "rename", "fsync 6", "fsync 7", "pointer"]
)
def test_a_crash_while_publishing_leaves_the_old_release_serving(store: ReleaseStore, point: str) -> None:
    good = serve(store, "good")
    script = KILLED.replace("POINT", repr(point)).replace("ROOT", repr(str(store.root)))
    done = subprocess.run([sys.executable, "-c", script])
    assert done.returncode == -signal.SIGKILL
    assert store.serving.current(KIND, SCOPE) == good
    for release in store.all(KIND, SCOPE):  # what is there is whole
        release.verify()
    assert {text_of(release) for release in store.all(KIND, SCOPE)} <= {"good", "killed"}
    whole = point in ("fsync 6", "fsync 7", "pointer")  # killed after the rename: published, and served by nobody
    assert len(store.all(KIND, SCOPE)) == 1 + whole
    assert whole or left_over(store)
    again = serve(store, "again")  # the dead process holds no lock
    store.prune(KIND, SCOPE, keep=5)
    assert not left_over(store)
    assert store.serving.current(KIND, SCOPE) == again


def test_two_processes_that_publish_at_once_publish_everything_whole(store: ReleaseStore) -> None:
    script = f"""
import pathlib, sys
from thumblab_core.releases.release_store import ReleaseStore
store = ReleaseStore(pathlib.Path({str(store.root)!r}))
def write(folder):
    (folder / "a.bin").write_bytes(sys.argv[1].encode() * 100_000)
for n in range(10):
    store.serving.promote(store.publish("index", "tech", write, {{"who": sys.argv[1], "n": n}}))
"""
    both = [subprocess.Popen([sys.executable, "-c", script, who]) for who in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    found = store.all(KIND, SCOPE)
    assert sorted((r.info["who"], r.info["n"]) for r in found) == [(who, n) for who in "ab" for n in range(10)]
    for release in found:
        release.verify()
        assert (release.path / "a.bin").read_bytes() == release.info["who"].encode() * 100_000
    assert store.serving.current_id(KIND, SCOPE) in {r.release_id for r in found}
    assert not left_over(store)


def test_readers_never_see_an_error_while_releases_come_and_go(store: ReleaseStore) -> None:
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
                assert int(text_of(release)) >= last, "a reader went back in time"
                last, count = int(text_of(release)), count + 1
        except BaseException as error:  # noqa: BLE001  whatever it is, a reader must not meet it
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


def test_a_release_cannot_be_pruned_between_being_verified_and_being_served(
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


def test_a_release_that_was_removed_is_taken_back_from_a_copy_and_only_whole(
    store: ReleaseStore, tmp_path: Path
) -> None:
    old, new = publish(store, "old"), serve(store, "new")
    copy = tmp_path / "copy"
    shutil.copytree(old.path, copy)
    store.remove(old)
    with pytest.raises(ReleaseError, match="not the one that was published"):
        store.restore(KIND, SCOPE, new.release_id[:-8] + "00000000", copy)
    (copy / "a.bin").write_bytes(b"changed")
    with pytest.raises(ReleaseError, match=r"a\.bin does not match its checksum"):
        store.restore(KIND, SCOPE, old.release_id, copy)
    assert (store.all(KIND, SCOPE), left_over(store)) == ([new], [])

    (copy / "a.bin").write_bytes(b"old" * 1_000)
    assert store.restore(KIND, SCOPE, old.release_id, copy) == old
    old.verify()
    assert store.restore(KIND, SCOPE, new.release_id, copy) == new, "what is there stays as it is"
    assert text_of(new) == "new"
    assert store.serving.promoted(KIND, SCOPE) == [new.release_id]

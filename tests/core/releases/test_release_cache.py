"""Test the cache of a release store that is in an object store: changed copies, damaged files in the store, and the
limit of the cache.
"""

import json
import logging
import os
import pickle
import shutil
import time
from pathlib import Path

import pytest
from object_store_server import SECRET, object_places, object_store
from release_helpers import KIND, SCOPE, publish, serve, text_of, writer

from thumblab_core.object_store.bucket import Bucket
from thumblab_core.releases.release import Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore


@pytest.fixture
def reader(url: str, tmp_path: Path) -> ReleaseStore:
    """The release store as a second host sees it. The second host has published no release."""
    return object_store(url, tmp_path / "reader")


def read(store: ReleaseStore, release: Release) -> Release:
    return store.get(KIND, SCOPE, release.release_id)


def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each downloaded file is added."""
    fetched: list[str] = []
    real = Bucket.chunks

    def noted(bucket: Bucket, key: str) -> object:
        fetched.append(key.rpartition("/")[2])
        return real(bucket, key)

    monkeypatch.setattr(Bucket, "chunks", noted)
    return fetched


def test_files_are_downloaded_once_and_only_when_they_are_needed(
    objects: ReleaseStore, reader: ReleaseStore, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, fetched = serve(objects, "x"), downloads(monkeypatch)
    assert reader.all(KIND, SCOPE)[0].info == release.info
    assert fetched == []
    read(reader, release).verify()
    read(object_store(url, tmp_path / "reader"), release).verify()
    assert sorted(fetched) == ["a.bin", "b.txt"]
    text_of(release)
    assert len(fetched) == 2, "the host that made the release has its files already"


def test_a_shared_file_is_linked_from_another_copy_and_not_downloaded_again(
    objects: ReleaseStore, reader: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = publish(objects, "base")
    changed = objects.publish(KIND, SCOPE, lambda folder: (folder / "c.txt").write_text("c") and None, {}, sharing=base)
    kept, fetched = read(reader, base), downloads(monkeypatch)
    kept.verify()
    read(reader, changed).verify()
    assert sorted(fetched) == ["a.bin", "b.txt", "c.txt"]


@pytest.mark.parametrize("damage", ["flip", "longer", "missing", "older"])
def test_a_copy_that_has_changed_is_fetched_again_with_a_warning(
    objects: ReleaseStore, reader: ReleaseStore, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    release = read(reader, serve(objects, "good"))
    path, before = release.path / "a.bin", (release.path / "a.bin").stat()
    if damage == "flip":  # The file keeps its size and modification time. Only its content shows the damage.
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif damage == "longer":
        path.write_bytes(b"lie")
    elif damage == "missing":
        path.unlink()
    else:
        os.utime(path, ns=(0, 0))
    read(reader, release).verify()
    assert path.read_bytes() == b"good" * 1_000
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert str(release) in warning
    assert "a.bin" in warning
    assert "fetching it again" in warning


def test_a_damaged_file_that_two_copies_share_is_downloaded_again(objects: ReleaseStore, reader: ReleaseStore) -> None:
    base = serve(objects, "good")
    changed = objects.publish(KIND, SCOPE, lambda folder: (folder / "c.txt").write_text("c") and None, {}, sharing=base)
    path, other = read(reader, base).path / "a.bin", read(reader, changed).path / "a.bin"
    assert path.samefile(other)
    before, content = path.stat(), bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    read(reader, changed).verify()
    assert other.read_bytes() == b"good" * 1_000


def test_a_release_for_another_process_has_the_folder_and_no_connection_to_the_store(
    objects: ReleaseStore, reader: ReleaseStore
) -> None:
    release = read(reader, serve(objects, "x"))
    folder = release.path
    pickled = pickle.dumps(release)
    assert SECRET.encode() not in pickled
    assert pickle.loads(pickled).path == folder


def test_a_wrong_manifest_in_the_cache_is_not_believed(objects: ReleaseStore, reader: ReleaseStore) -> None:
    release = read(reader, serve(objects, "good"))
    path = release.path / "manifest.json"
    true = path.read_text()
    path.write_text(json.dumps(json.loads(true) | {"files": {}, "number": 99}))
    again = read(reader, release)
    assert (again.number, sorted(again.files)) == (1, ["a.bin", "sub/b.txt"])
    assert (again.path / "manifest.json").read_text() == true


def test_a_copy_of_another_release_in_its_place_is_replaced(objects: ReleaseStore, reader: ReleaseStore) -> None:
    old, new = (read(reader, serve(objects, text)) for text in ("old", "new"))
    shutil.copytree(old.path, new.path, dirs_exist_ok=True)
    shutil.copy(f"{old.path}.copied", f"{new.place}.copied")
    again = read(reader, new)
    again.verify()
    assert text_of(again) == "new"


def test_a_damaged_file_in_the_store_is_refused_with_a_sentence(
    objects: ReleaseStore, reader: ReleaseStore, url: str, tmp_path: Path
) -> None:
    good, bad = serve(objects, "good"), publish(objects, "bad")
    key = f"{KIND}/{SCOPE}/{bad.release_id}/a.bin"
    reader._places.bucket.write(key, b"bax" * 1_000)  # type: ignore[attr-defined]
    sentence = r"a\.bin in the object store does not match its checksum; roll back, or publish the release again"
    with pytest.raises(ReleaseError, match=sentence):
        read(reader, bad).verify()
    with pytest.raises(ReleaseError, match=sentence):
        reader.serving.promote(bad)
    assert not list((tmp_path / "reader").rglob("a.bin"))
    # The host that made the release has a good copy, but sees that the size of the file in the store is wrong.
    reader._places.bucket.write(key, b"ba")  # type: ignore[attr-defined]
    with pytest.raises(ReleaseError, match=r"a\.bin is missing or has another size in s3://"):
        objects.serving.promote(bad)
    assert reader.serving.current_id(KIND, SCOPE) == good.release_id


def test_an_edited_manifest_in_the_store_is_refused(objects: ReleaseStore, reader: ReleaseStore) -> None:
    release = publish(objects, "good")
    key = f"{KIND}/{SCOPE}/{release.release_id}/manifest.json"
    content = reader._places.bucket.read(key).content  # type: ignore[attr-defined]
    reader._places.bucket.write(key, content.replace(b'"text": "good"', b'"text": "evil"'))  # type: ignore[attr-defined]
    with pytest.raises(ReleaseError, match="the manifest has changed since it was published"):
        reader.serving.promote(release)


def test_a_release_that_was_deleted_meanwhile_raises_a_transient_error(
    objects: ReleaseStore, reader: ReleaseStore
) -> None:
    release = read(reader, publish(objects, "old"))
    objects.remove(release)
    with pytest.raises(ReleaseError, match="is not in the object store any more") as raised:
        _ = release.path
    assert raised.value.transient


def test_the_cache_deletes_the_copies_that_were_not_used_for_longest_and_none_in_use(
    objects: ReleaseStore, url: str, tmp_path: Path
) -> None:
    made = [publish(objects, f"{n}") for n in range(5)]
    cache = tmp_path / "small"
    small = ReleaseStore(object_places(url, cache, limit=3_500))  # A copy has about 1,300 bytes.
    in_use = read(small, made[0])
    _ = in_use.path
    for place, release in enumerate(made[1:]):
        path = read(small, release).path
        # The time of this file is the time at which a copy was last used. The test sets the time, because the clock of
        # the file system may be too coarse.
        os.utime(f"{path}.lock", (place + 1, place + 1))
    present = [release.release_id for release in made if (cache / KIND / SCOPE / release.release_id).is_dir()]
    assert present == [made[0].release_id, made[4].release_id]
    in_use.verify()
    again = read(small, made[1])
    again.verify()


def test_the_cache_deletes_a_copy_that_was_not_used_for_a_week(objects: ReleaseStore, reader: ReleaseStore) -> None:
    deleted, kept = (read(reader, publish(objects, f"{n}")).path for n in range(2))
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(f"{deleted}.lock", (eight_days_ago, eight_days_ago))
    _ = read(reader, publish(objects, "next")).path
    assert not deleted.exists()
    assert kept.exists()


def test_the_cache_deletes_what_a_first_download_left_that_was_killed_a_week_ago(
    objects: ReleaseStore, reader: ReleaseStore
) -> None:
    killed, kept = publish(objects, "killed"), read(reader, publish(objects, "kept")).path
    left = kept.with_name(killed.release_id)
    left.mkdir()
    (left / ".part-dead").write_bytes(b"half")
    lock = left.with_name(f"{left.name}.lock")
    lock.touch()
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(lock, (eight_days_ago, eight_days_ago))
    _ = read(reader, publish(objects, "next")).path
    assert kept.exists()
    assert (left.exists(), lock.exists()) == (False, False)


def test_what_a_killed_process_left_in_the_cache_is_swept_and_a_living_one_keeps_its_folder(
    objects: ReleaseStore, tmp_path: Path
) -> None:
    dead = tmp_path / "cache" / KIND / SCOPE / ".staging-dead"
    (dead / "sub").mkdir(parents=True)
    alive: list[bool] = []

    def write(folder: Path) -> None:
        writer("x")(folder)
        objects.prune(KIND, SCOPE, keep=2)
        alive.append(folder.is_dir())

    objects.publish(KIND, SCOPE, write, {})
    assert alive == [True]
    assert not dead.exists()
    assert not list((tmp_path / "cache").rglob(".staging-*"))

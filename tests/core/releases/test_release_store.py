"""Test that the release store publishes, reads, verifies, prunes and restores releases.

Also test that the release store refuses damaged releases.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from release_helpers import KIND, SCOPE, left_over, publish, serve, text_of, writer

from thumblab_core.releases.release import FORMAT, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore


def test_a_published_release_is_served_only_after_it_is_promoted(any_store: ReleaseStore) -> None:
    assert any_store.serving.current(KIND, SCOPE) is None
    assert any_store.latest(KIND, SCOPE) is None
    release = publish(any_store)
    assert any_store.serving.current_id(KIND, SCOPE) is None
    assert any_store.latest(KIND, SCOPE) == release
    any_store.serving.promote(release)
    assert any_store.serving.current(KIND, SCOPE) == release


def test_a_release_knows_its_files_and_info(any_store: ReleaseStore) -> None:
    release = any_store.publish(KIND, SCOPE, writer("x"), {"count": 3}, run_id="run")
    assert sorted(release.files) == ["a.bin", "sub/b.txt"]
    assert (release.info, release.run_id, release.kind, release.scope) == ({"count": 3}, "run", KIND, SCOPE)
    assert any_store.get(KIND, SCOPE, release.release_id) == release
    release.verify()


def test_an_older_release_can_be_promoted_again(any_store: ReleaseStore) -> None:
    old, new = serve(any_store, "old"), serve(any_store, "new")
    any_store.serving.promote(old)
    assert any_store.serving.current(KIND, SCOPE) == old
    assert any_store.latest(KIND, SCOPE) == new


def test_scopes_and_kinds_are_separate(any_store: ReleaseStore) -> None:
    serve(any_store, "x")
    assert any_store.serving.current(KIND, "gaming") is None
    assert any_store.all("model", SCOPE) == []


@pytest.mark.parametrize("name", ["a.bin", "sub/b.txt"])
def test_a_release_with_a_flipped_byte_is_not_promoted(store: ReleaseStore, name: str) -> None:
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


def test_a_release_with_a_missing_file_fails_verification(store: ReleaseStore) -> None:
    release = publish(store)
    (release.path / "a.bin").unlink()
    with pytest.raises(ReleaseError, match=r"a\.bin cannot be read"):
        release.verify()


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"format": 1}', None])
def test_a_release_without_a_readable_manifest_raises_when_asked_for_and_is_not_listed(
    store: ReleaseStore, manifest: str | None
) -> None:
    good, bad = publish(store, "good"), publish(store, "bad")
    path = bad.path / "manifest.json"
    path.unlink() if manifest is None else path.write_text(manifest)
    with pytest.raises(ReleaseError, match="no readable manifest"):
        store.get(KIND, SCOPE, bad.release_id)
    assert store.all(KIND, SCOPE) == [good]
    assert store.latest(KIND, SCOPE) == good


def test_a_transient_read_error_is_raised_and_deletes_nothing(
    store: ReleaseStore, refuse: Callable[[Path], None]
) -> None:
    old, served = publish(store, "old"), serve(store, "served")
    refuse(served.path / "manifest.json")
    for action in (
        lambda: store.discard_unreadable(KIND, SCOPE),
        lambda: store.latest(KIND, SCOPE),
        lambda: store.prune(KIND, SCOPE, keep=1),
    ):
        with pytest.raises(ReleaseError, match="Too many open files") as raised:
            action()
        assert raised.value.transient
    assert store.serving.current_id(KIND, SCOPE) == served.release_id
    assert old.path.is_dir()
    refuse(old.path / "a.bin")
    with pytest.raises(ReleaseError) as raised:
        old.verify()
    assert raised.value.transient


def test_a_busy_scope_raises_a_transient_error(any_store: ReleaseStore) -> None:
    with (
        any_store.serving.changing(KIND, SCOPE),
        pytest.raises(ReleaseError, match="another process has been changing") as raised,
        any_store.serving.changing(KIND, SCOPE, patience=0),
    ):
        pass
    assert raised.value.transient


def test_a_release_of_another_format_is_not_read(store: ReleaseStore) -> None:
    release = publish(store)
    path = release.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(ReleaseError, match=f"has format {FORMAT + 1}; this version reads up to format {FORMAT}"):
        store.get(KIND, SCOPE, release.release_id)


def test_a_pointer_to_a_missing_release_raises(store: ReleaseStore) -> None:
    release = serve(store, "x")
    (release.path.parent / "CURRENT").write_text("20260101T000000000000Z-00000000")
    with pytest.raises(ReleaseError, match="no readable manifest"):
        store.serving.current(KIND, SCOPE)


def test_unchanged_returns_the_newest_release_only_if_it_has_the_same_inputs(any_store: ReleaseStore) -> None:
    assert any_store.unchanged(KIND, SCOPE, "a") is None
    first = publish(any_store, "x", inputs="a")
    assert any_store.unchanged(KIND, SCOPE, "a") == first
    assert any_store.unchanged(KIND, SCOPE, "b") is None
    publish(any_store, "y", inputs="b")
    assert any_store.unchanged(KIND, SCOPE, "a") is None


def test_unchanged_does_not_return_a_damaged_release(store: ReleaseStore) -> None:
    release = publish(store, "x", inputs="a")
    (release.path / "a.bin").write_bytes(b"")
    assert store.unchanged(KIND, SCOPE, "a") is None


def test_prune_keeps_the_newest_releases_and_the_served_release(any_store: ReleaseStore) -> None:
    releases = [publish(any_store, str(n)) for n in range(6)]
    any_store.serving.promote(releases[1])
    deleted = any_store.prune(KIND, SCOPE, keep=2)
    assert deleted == [releases[n].release_id for n in (0, 2, 3)]
    assert any_store.all(KIND, SCOPE) == [releases[n] for n in (1, 4, 5)]
    assert any_store.prune(KIND, SCOPE, keep=2) == []
    assert any_store.serving.current(KIND, SCOPE) == releases[1]


def test_a_removed_release_is_restored_only_from_a_complete_copy(store: ReleaseStore, tmp_path: Path) -> None:
    old, new = publish(store, "old"), serve(store, "new")
    copy = tmp_path / "copy"
    shutil.copytree(old.path, copy)
    store.remove(old)
    with pytest.raises(ReleaseError, match="has changed since it was published"):
        store.restore(KIND, SCOPE, new.release_id[:-8] + "00000000", copy)
    (copy / "a.bin").write_bytes(b"changed")
    with pytest.raises(ReleaseError, match=r"a\.bin does not match its checksum"):
        store.restore(KIND, SCOPE, old.release_id, copy)
    assert (store.all(KIND, SCOPE), left_over(store)) == ([new], [])

    (copy / "a.bin").write_bytes(b"old" * 1_000)
    assert store.restore(KIND, SCOPE, old.release_id, copy) == old
    old.verify()
    assert store.restore(KIND, SCOPE, new.release_id, copy) == new, "an existing release must not be changed"
    assert text_of(new) == "new"
    assert store.serving.promoted(KIND, SCOPE) == [new.release_id]

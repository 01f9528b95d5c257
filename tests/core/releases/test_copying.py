"""Test the copying of releases between a folder and an object store, in both directions."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from object_store_server import object_store
from release_helpers import KIND, SCOPE, publish, serve, text_of

from thumblab_core.releases.copying import copy_scope
from thumblab_core.releases.moves import serve_older
from thumblab_core.releases.release import Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope import ScopeRecord


@pytest.fixture(params=["to the object store", "to the folder"])
def stores(request: pytest.FixtureRequest, store: ReleaseStore, objects: ReleaseStore) -> tuple[ReleaseStore, ...]:
    """The store to copy from, and the store to copy to."""
    return (store, objects) if request.param == "to the object store" else (objects, store)


def copy(source: ReleaseStore, target: ReleaseStore) -> int:
    return copy_scope(source.place(KIND, SCOPE), target.place(KIND, SCOPE)).copied


def test_a_copied_scope_serves_the_same_with_its_history_its_hold_and_its_numbers(
    stores: tuple[ReleaseStore, ReleaseStore],
) -> None:
    source, target = stores
    made = [serve(source, f"{n}") for n in range(3)]
    serve_older(source, KIND, SCOPE, made[1].release_id, Release.verify)
    marked = source.mark(KIND, SCOPE)
    assert copy(source, target) == 3
    assert [text_of(release) for release in target.all(KIND, SCOPE)] == ["0", "1", "2"]
    assert target.serving.current_id(KIND, SCOPE) == made[1].release_id
    assert target.serving.promoted(KIND, SCOPE) == source.serving.promoted(KIND, SCOPE)
    assert target.serving.held(KIND, SCOPE) == source.serving.held(KIND, SCOPE)
    assert target.mark(KIND, SCOPE) > marked
    assert copy(source, target) == 0
    source.serving.resume(KIND, SCOPE)
    serve(source, "3")
    assert copy(source, target) == 1
    assert target.serving.held(KIND, SCOPE) is None
    current = target.serving.current(KIND, SCOPE)
    assert current is not None
    current.verify()
    assert text_of(current) == "3"
    source.serving.withdraw(KIND, SCOPE)
    copy(source, target)
    assert target.serving.withdrawn(KIND, SCOPE)


def test_a_place_with_newer_releases_is_refused_and_not_changed(stores: tuple[ReleaseStore, ReleaseStore]) -> None:
    source, target = stores
    serve(source, "old")
    copy(source, target)
    newer = serve(target, "newer")
    with pytest.raises(ReleaseError, match=r"is newer than the last copy .* so nothing was changed there"):
        copy(source, target)
    assert target.serving.current_id(KIND, SCOPE) == newer.release_id
    assert copy(target, source) == 1


def test_a_copy_continues_if_its_newest_release_was_deleted_in_between(
    stores: tuple[ReleaseStore, ReleaseStore],
) -> None:
    source, target = stores
    made = [serve(source, f"{n}") for n in range(2)]
    copy(source, target)
    serve_older(source, KIND, SCOPE, made[0].release_id, Release.verify)
    source.remove(made[1])
    assert copy(source, target) == 0
    assert target.serving.current_id(KIND, SCOPE) == made[0].release_id
    last = serve(source, "2")
    assert copy(source, target) == 1
    assert target.serving.current_id(KIND, SCOPE) == last.release_id


def test_a_damaged_old_release_is_left_out_and_named_and_a_damaged_served_one_stops_the_copy(
    store: ReleaseStore, objects: ReleaseStore
) -> None:
    oldest, old, served = (serve(store, text) for text in ("oldest", "old", "served"))
    (oldest.path / "manifest.json").write_bytes(b"lie")
    (old.path / "a.bin").write_bytes(b"lie")
    copied = copy_scope(store.place(KIND, SCOPE), objects.place(KIND, SCOPE))
    assert (copied.copied, copied.left_out) == (1, tuple(sorted([oldest.release_id, old.release_id])))
    assert [release.release_id for release in objects.all(KIND, SCOPE)] == [served.release_id]
    last = serve(store, "last")
    (last.path / "a.bin").write_bytes(b"lie")
    with pytest.raises(ReleaseError, match=r"a\.bin"):
        copy(store, objects)
    assert objects.serving.current_id(KIND, SCOPE) == served.release_id


def test_a_record_without_a_promotion_keeps_what_is_served(any_store: ReleaseStore) -> None:
    made = serve(any_store, "x")
    place = any_store.place(KIND, SCOPE)
    with place.writing():
        place.write_record(ScopeRecord(None, (), None, 7))
    assert (place.pointer(), list(place.promoted()), place.record().number) == (made.release_id, [made.release_id], 7)


def test_a_record_does_not_serve_a_release_that_another_process_deletes(objects: ReleaseStore) -> None:
    old, served = serve(objects, "old"), serve(objects, "served")
    place: Any = objects.place(KIND, SCOPE)
    place.places.states.change(place.folder, lambda state: replace(state, deleting=(old.release_id,)))
    with pytest.raises(ReleaseError, match="is being deleted"):
        place.write_record(ScopeRecord(old.release_id, (old.release_id,), None, 2))
    assert place.pointer() == served.release_id


def test_a_copy_that_was_stopped_serves_nothing_yet_and_continues(
    store: ReleaseStore, objects: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [serve(store, f"{n}") for n in range(3)]
    real, calls = type(objects.place(KIND, SCOPE)).publish, list[str]()

    def stop(place: object, staging: Path, release_id: str) -> None:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(release_id)
        real(place, staging, release_id)  # type: ignore[arg-type]

    monkeypatch.setattr(type(objects.place(KIND, SCOPE)), "publish", stop)
    with pytest.raises(KeyboardInterrupt):
        copy(store, objects)
    assert objects.serving.current_id(KIND, SCOPE) is None
    monkeypatch.undo()
    assert copy(store, objects) == 1
    assert objects.serving.current_id(KIND, SCOPE) == made[2].release_id


def test_a_release_that_is_replaced_during_the_copy_does_not_leave_a_pointer_to_nothing(
    store: ReleaseStore, objects: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(store, "first")
    real: Callable[..., object] = type(store.place(KIND, SCOPE)).record
    changed: list[Release] = []

    def record(place: object) -> object:
        now = real(place)
        if not changed:  # Another process replaces and deletes the release after the pointer was read.
            changed.append(serve(store, "second"))
            store.prune(KIND, SCOPE, keep=1)
        return now

    monkeypatch.setattr(type(store.place(KIND, SCOPE)), "record", record)
    copy(store, objects)
    assert objects.serving.current_id(KIND, SCOPE) == changed[0].release_id


def test_a_copy_of_the_copy_on_another_host_is_whole(
    store: ReleaseStore, objects: ReleaseStore, url: str, tmp_path: Path
) -> None:
    release = publish(store, "x", inputs="abc")
    copy(store, objects)
    reader = object_store(url, tmp_path / "reader")
    [there] = reader.all(KIND, SCOPE)
    there.verify()
    assert json.loads((there.path / "manifest.json").read_text()) == json.loads(
        (release.path / "manifest.json").read_text()
    )

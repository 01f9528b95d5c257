"""Test what the lab requires of an image store. Each test runs with a folder and with an object store on a real server."""

import threading

import pytest

from thumblab_core.image_store import ImageFolder, ImageStore
from thumblab_core.image_store.reading_ahead import read_ahead
from thumblab_core.images import ImageError, digest

_PICTURES = [f"picture {number}".encode() * 9 for number in range(20)]


def test_a_picture_is_stored_once_read_back_listed_and_removed(images: ImageStore) -> None:
    names = {images.put(data): data for data in (*_PICTURES[:3], _PICTURES[0])}
    assert sorted(names) == sorted(map(digest, _PICTURES[:3]))
    assert all(images.get(name) == data and images.has(name) for name, data in names.items())
    assert [(one.sha256, one.size) for one in images.stored()] == sorted((name, len(names[name])) for name in names)
    first, *others = names
    assert images.remove(first)
    assert not images.remove(first)
    assert not images.has(first)
    with pytest.raises(ImageError, match="has no picture"):
        images.get(first)
    assert [one.sha256 for one in images.stored()] == sorted(others)
    assert images.sweep() == 0


def test_only_old_pictures_that_no_row_names_are_removed(images: ImageStore) -> None:
    names = [images.put(data) for data in _PICTURES[:3]]
    assert images.remove_unnamed(names[:1], 3_600) == 0
    assert images.remove_unnamed(names, -5) == 0
    assert images.remove_unnamed(names[:1], -5) == 2
    assert [one.sha256 for one in images.stored()] == names[:1]


def test_the_next_pictures_are_read_while_the_caller_works_and_come_in_order(
    images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [images.put(data) for data in _PICTURES]
    together = threading.Barrier(images.reads_at_once)
    real = type(images).get

    def get(store: ImageStore, sha256: str) -> bytes:
        if sha256 in names[: images.reads_at_once]:
            together.wait(20)  # This call returns only if all these reads are in flight at the same time.
        return real(store, sha256)  # type: ignore[arg-type]

    monkeypatch.setattr(type(images), "get", get)
    assert [(name, read()) for name, read in read_ahead(images, names, str)] == list(zip(names, _PICTURES, strict=True))


def test_a_missing_picture_does_not_stop_the_reading_of_the_others(images: ImageStore) -> None:
    names = [images.put(_PICTURES[0]), digest(b"never stored"), images.put(_PICTURES[1])]
    read = []
    for name, content in read_ahead(images, names, str):
        try:
            read.append(content())
        except ImageError as error:
            assert name == names[1]
            assert "has no picture" in str(error)
    assert read == _PICTURES[:2]


def test_reading_ahead_stops_when_the_caller_stops(images: ImageStore) -> None:
    names = [images.put(data) for data in _PICTURES]
    ahead = read_ahead(images, iter(names), str)
    assert next(ahead)[1]() == _PICTURES[0]
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read_") and _waits(thread)]


def _waits(thread: threading.Thread) -> bool:
    thread.join(10)
    return thread.is_alive()


def test_the_names_of_other_files_are_no_pictures(images: ImageStore) -> None:
    images.put(_PICTURES[0])
    if isinstance(images, ImageFolder):
        (images.root / "ab").mkdir(exist_ok=True)
        (images.root / "ab" / ".new-1").write_bytes(b"half")
        (images.root / "note").write_bytes(b"x")
    else:
        images.bucket.write("ab/.new-1", b"half")  # type: ignore[attr-defined]
        images.bucket.write("note", b"x")  # type: ignore[attr-defined]
    assert [one.sha256 for one in images.stored()] == [digest(_PICTURES[0])]


def test_a_second_put_mends_a_damaged_picture(images: ImageStore) -> None:
    name = images.put(_PICTURES[0])
    for damage in (b"short", b"x" * len(_PICTURES[0])):
        if isinstance(images, ImageFolder):
            images.path(name).write_bytes(damage)
        else:
            images.bucket.write(f"{name[:2]}/{name[2:]}", damage)  # type: ignore[attr-defined]
        images.put(_PICTURES[0])
        assert images.get(name) == _PICTURES[0]

"""Test an image store whose pictures are in an object store. The tests cover the cache, the settings, damaged and
deleted objects, and an object store that does not answer.
"""

import logging
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from object_store_server import KEY, SECRET, S3Server, url_at

from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageFolder, image_store
from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.images import ImageError, digest
from thumblab_core.object_store.bucket import Bucket, Entry, StoreError
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.settings import Settings, settings

Host = Callable[..., ImageObjects]
_DATA = b"picture" * 100
_NAME = digest(_DATA)
_KEY = f"{_NAME[:2]}/{_NAME[2:]}"


def away(tmp_path: Path) -> ImageObjects:
    return ImageObjects(
        open_bucket(parse_store_url(url_at("http://127.0.0.1:9", "gone"))), ImageCache(tmp_path / "away", 2**20)
    )


def test_a_picture_is_an_object_named_by_its_hash(host: Host) -> None:
    images = host()
    assert images.put(_DATA) == _NAME
    stored = images.bucket.read(_KEY)
    assert stored is not None
    assert stored.content == _DATA


def test_a_picture_is_downloaded_once_by_each_host(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = host("writer"), host("reader")
    writer.put(_DATA)
    asked: list[str] = []
    real = Bucket.read
    monkeypatch.setattr(Bucket, "read", lambda bucket, key: asked.append(key) or real(bucket, key))
    assert [writer.get(_NAME), reader.get(_NAME), reader.get(_NAME)] == [_DATA] * 3
    assert asked == [_KEY]


def test_a_copy_that_has_changed_is_fetched_again_with_a_warning(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    images = host()
    images.put(_DATA)
    images.cache.images.path(_NAME).write_bytes(b"lie")
    assert images.get(_NAME) == _DATA
    assert images.cache.images.get(_NAME) == _DATA
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "fetched again" in warning
    assert _NAME[:12] in warning


def test_an_object_with_other_bytes_is_refused_and_not_kept_and_a_second_put_mends_it(host: Host) -> None:
    writer, reader = host("writer"), host("reader")
    writer.put(_DATA)
    writer.bucket.write(_KEY, b"lie")
    with pytest.raises(ImageError, match="damaged: its bytes do not match its name"):
        reader.get(_NAME)
    assert not reader.cache.images.has(_NAME)
    writer.put(_DATA)
    assert reader.get(_NAME) == _DATA


def test_removing_a_picture_deletes_the_object_and_the_copy_at_once(host: Host) -> None:
    images = host()
    images.put(_DATA)
    assert images.remove(_NAME)
    assert images.bucket.find(_KEY) is None
    assert not [path for path in images.cache.images.root.rglob("*") if path.is_file()]
    with pytest.raises(ImageError, match="has no picture"):
        images.get(_NAME)


def test_a_copy_is_deleted_even_if_the_store_is_away(tmp_path: Path) -> None:
    images = away(tmp_path)
    images.cache.keep(_DATA)
    with pytest.raises(StoreError, match="no connection"):
        images.remove(_NAME)
    assert not images.cache.images.has(_NAME)


def test_another_host_uses_its_copy_of_a_removed_picture_for_at_most_a_day(host: Host) -> None:
    writer, reader = host("writer"), host("reader")
    writer.put(_DATA)
    reader.get(_NAME)
    writer.remove(_NAME)
    copy = reader.cache.images.path(_NAME)
    os.utime(copy, (time.time() - 86_500,) * 2)
    with pytest.raises(ImageError, match="has no picture"):
        reader.get(_NAME)
    assert not copy.exists()


def test_a_sweep_deletes_copies_older_than_a_day_and_keeps_younger_ones(host: Host) -> None:
    images = host()
    old, young = images.put(_DATA), images.put(b"young" * 50)
    os.utime(images.cache.images.path(old), (time.time() - 86_500,) * 2)
    assert images.sweep() == 1
    assert [one.sha256 for one in images.cache.images.stored()] == [young]
    assert images.get(old) == _DATA


def test_the_cache_deletes_its_oldest_copies_at_its_limit(host: Host) -> None:
    images = host(limit=16_000)
    names = []
    for number in range(40):
        names.append(images.put(bytes([number]) * 1_000))
        os.utime(images.cache.images.path(names[-1]), (time.time() - 1_000 + number,) * 2)
    kept = [one.sha256 for one in images.cache.images.stored()]
    assert set(kept) == set(names[-len(kept) :])
    assert 15 <= len(kept) <= 18
    assert [images.get(name)[0] for name in names] == list(range(40))


def test_a_disk_without_room_for_copies_makes_reading_slower_and_says_so(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host("writer").put(_DATA)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert host("reader").get(_NAME) == _DATA
    assert "cannot be kept in" in caplog.text
    assert "No space left on device" in caplog.text


def test_a_picture_that_is_stored_again_meanwhile_is_not_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    images = host()
    images.put(_DATA)
    time.sleep(1.1)  # The object store gives times in whole seconds.
    real = Bucket.find

    def put_first(bucket: Bucket, key: str) -> object:
        if key == _KEY:
            images.put(_DATA)
        return real(bucket, key)

    monkeypatch.setattr(Bucket, "find", put_first)
    assert images.remove_unnamed((), 0) == 0
    assert images.bucket.read(_KEY) is not None
    monkeypatch.setattr(Bucket, "find", real)
    time.sleep(1.1)
    assert images.remove_unnamed((), 0) == 1


def test_an_old_picture_is_removed_if_the_list_has_finer_times_than_the_object(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = host()
    images.put(_DATA)
    real = Bucket.entries

    def finer(bucket: Bucket, folder: str) -> Iterator[Entry]:
        return (replace(one, modified=one.modified + timedelta(microseconds=123_000)) for one in real(bucket, folder))

    monkeypatch.setattr(Bucket, "entries", finer)
    assert images.remove_unnamed((), -5) == 1
    assert images.bucket.find(_KEY) is None


def refuse_to_unlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: bool) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)


def test_a_copy_that_cannot_be_deleted_does_not_keep_the_object(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    images = host()
    images.put(_DATA)
    refuse_to_unlink(monkeypatch)
    with pytest.raises(OSError, match="Read-only file system"):
        images.remove(_NAME)
    assert images.bucket.find(_KEY) is None


def test_a_picture_without_a_copy_is_removed_although_the_disk_refuses_deletions(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host("writer").put(_DATA)
    refuse_to_unlink(monkeypatch)
    assert host("reader").remove(_NAME)


def test_an_old_copy_that_cannot_be_deleted_does_not_stop_the_reading(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images = host(limit=16_000)
    images.put(_DATA)
    os.utime(images.cache.images.path(_NAME), (time.time() - 86_500,) * 2)
    refuse_to_unlink(monkeypatch)
    assert images.get(_NAME) == _DATA
    assert "a copy cannot be deleted from" in caplog.text
    os.utime(images.cache.images.path(_NAME), (time.time() - 86_500,) * 2)
    images.put(b"another" * 100)  # The cache now measures its folder, and finds the old copy.


def test_a_large_picture_is_written_in_one_request(host: Host) -> None:
    images = host()
    data = os.urandom(6 * 2**20)
    sha256 = images.put(data)
    stored = images.bucket.read(f"{sha256[:2]}/{sha256[2:]}")
    assert stored is not None
    assert stored.content == data
    # If a file is uploaded in parts, its ETag ends with a hyphen and the number of parts.
    assert "-" not in str(stored.tag.e_tag)


def test_the_settings_choose_the_store_and_its_secret_is_never_shown(tmp_path: Path, url: str) -> None:
    chosen = Settings(_env_file=None, data_dir=tmp_path, image_store=url)
    images = image_store(chosen)
    assert isinstance(images, ImageObjects)
    assert str(images) == url.split("@")[1].join(["s3://", ""]).partition("?")[0]
    assert images.cache.images.root == tmp_path / "image-cache"
    assert SECRET not in repr(pickle.dumps(images))
    assert isinstance(image_store(chosen.in_folder(tmp_path / "other")), ImageFolder)
    with pytest.raises(LabError, match="works only with pictures in a folder") as raised:
        _ = chosen.images
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("releases", ["lab/images", "lab", "lab/images/releases", ""])
def test_pictures_and_releases_in_the_same_folder_of_a_bucket_are_refused(tmp_path: Path, releases: str) -> None:
    there = f"s3://{KEY}:{SECRET}@bucket"
    chosen = Settings(
        _env_file=None, data_dir=tmp_path, image_store=f"{there}/lab/images", release_store=f"{there}/{releases}"
    )
    with pytest.raises(LabError, match="need two folders, neither inside the other") as raised:
        image_store(chosen)
    assert SECRET not in str(raised.value)
    image_store(chosen.model_copy(update={"release_store": None}))


def test_a_bad_url_names_the_setting_of_the_pictures(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"the URL of the image store must begin .* leave THUMBLAB_IMAGE_STORE unset"):
        image_store(Settings(_env_file=None, data_dir=tmp_path, image_store="http://x/y"))
    with pytest.raises(LabError, match="the URL of the image store lacks the key or the secret"):
        image_store(Settings(_env_file=None, data_dir=tmp_path, image_store="s3://key@bucket/images"))


def test_a_folder_is_another_one_at_another_endpoint_or_in_another_bucket() -> None:
    def place(text: str) -> tuple[str, ...]:
        return parse_store_url(text).place

    assert place("s3://a:b@lab/x?endpoint=http://u:p@one:9") == ("s3", "one:9", "lab", "x")
    assert place("s3://lab/x/") == place("s3://c:d@lab/x?region=us-east-1")
    assert place("s3://lab/x?endpoint=http://one") != place("s3://lab/x?endpoint=http://two")
    assert place("s3://lab/x") != place("gs://lab/x") != place("gs://other/x")


def test_another_process_opens_the_store_from_its_own_settings_and_refuses_another_store(
    tmp_path: Path, url: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = image_store(Settings(_env_file=None, data_dir=tmp_path / "a", image_store=url))
    images.put(_DATA)
    sent = pickle.dumps(images)
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / "b"))
    monkeypatch.setenv("THUMBLAB_IMAGE_STORE", url)
    settings.cache_clear()
    try:
        assert pickle.loads(sent).get(_NAME) == _DATA
        monkeypatch.setenv("THUMBLAB_IMAGE_STORE", s3.url("of-another-lab", "images"))
        settings.cache_clear()
        with pytest.raises(LabError, match="set THUMBLAB_IMAGE_STORE and its credentials in the environment of every"):
            pickle.loads(sent)
        monkeypatch.setenv("THUMBLAB_IMAGE_STORE", url.replace(str(s3.port), "9"))
        settings.cache_clear()
        with pytest.raises(LabError, match=rf"but they are in {images} at 127\.0\.0\.1:{s3.port}; set THUMBLAB_IMAGE"):
            pickle.loads(sent)
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    shutil.rmtree(tmp_path / "b", ignore_errors=True)

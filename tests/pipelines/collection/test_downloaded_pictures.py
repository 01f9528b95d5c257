"""Tests that every video gets the best picture that exists, and that each picture is stored once."""

import io
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from downloading import asked, encoded_anew, later, move, row_of, rows, versions, video_ids
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import update

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from demo.pictures import missing
from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_core.image_store import ImageFolder
from thumblab_core.image_store.place import delete_unused_cache
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_pipelines.collection.download import check_thumbnails, download_thumbnails
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(collected_lab: Lab) -> Lab:
    return collected_lab


def test_every_picture_is_stored_once_under_the_hash_of_its_bytes(small: Any) -> None:
    assert sum(downloaded.downloaded for downloaded in small.downloaded.values()) == 150
    for row in rows(small.lab):
        assert row.problem is None
        assert (row.width, row.height) == (640, 360)
        small.lab.images.get(row.sha256)
    assert all(check.passed for niche in DEFAULT_NAMES for check in check_thumbnails(small.lab, niche))


def test_downloading_again_asks_for_nothing(small: Any) -> None:
    before = small.emulator.counts
    again = [download_thumbnails(small.lab, niche) for niche in DEFAULT_NAMES]
    assert small.emulator.counts == before
    assert [downloaded.downloaded for downloaded in again] == [0] * 7
    assert sum(downloaded.had for downloaded in again) == 150


def test_the_best_size_is_taken_that_does_not_answer_404(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, ("hq720", "sddefault", "mqdefault"))
        downloaded = download_thumbnails(lab, "tech")
        counts = emulator.counts
    assert downloaded.downloaded == len(rows(lab)) == counts.images == counts.images_missing
    for row in rows(lab):
        assert row.url.endswith("/sddefault.jpg")
        assert (row.width, row.height) == (640, 360)
        with Image.open(io.BytesIO(lab.images.get(row.sha256))) as stored:
            # The stored file has black bars. The size in the row excludes the black bars.
            assert stored.size == (640, 480)


def test_the_placeholder_does_not_count_as_a_picture_even_with_status_200(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first, *_, last = video_ids(lab)
        real = emulator.picture

        def picture(name: str, file: str) -> bytes | None:
            return missing() if file == "maxresdefault.jpg" or name == last else real(name, file)

        monkeypatch.setattr(emulator, "picture", picture)
        downloaded = download_thumbnails(lab, "tech")
    assert downloaded.unreadable == 0
    assert row_of(lab, first).url.endswith("/sddefault.jpg")
    # YouTube sends a placeholder for a picture that is missing. A real default.jpg has the same dimensions as the
    # placeholder. The lab therefore cannot distinguish a default.jpg from the placeholder, and stores the placeholder.
    assert row_of(lab, last).url.endswith("/default.jpg")


def test_a_missing_picture_is_recorded_and_asked_for_again_only_after_the_interval(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        gone = video_ids(lab)[:3]
        real = emulator.picture
        monkeypatch.setattr(emulator, "picture", lambda name, file: None if name in gone else real(name, file))
        downloaded = download_thumbnails(lab, "tech")
        paths = asked(emulator, monkeypatch)
        again = download_thumbnails(lab, "tech")
        assert paths == []
        assert [row.video_id for row in rows(lab) if row.sha256 is None] == gone
        assert all("maxresdefault.jpg answered 404" in row.problem for row in rows(lab) if row.sha256 is None)
        assert versions(lab, gone[0]) == []
        later(lab, emulator, days=8)
        still = download_thumbnails(lab, "tech")
        monkeypatch.setattr(emulator, "picture", real)
        later(lab, emulator, days=8)
        back = download_thumbnails(lab, "tech")
    assert (downloaded.unreadable, downloaded.postponed) == (3, 0)
    assert (again.downloaded, again.unreadable, again.postponed, again.rechecked) == (0, 0, 0, 0)
    assert (still.unreadable, still.gone) == (3, 0)
    assert (back.downloaded, back.unreadable) == (3, 0)
    assert all(row.problem is None for row in rows(lab))
    assert len(versions(lab, gone[0])) == 1


def test_bytes_that_are_no_picture_are_recorded_with_the_reason(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        monkeypatch.setattr(emulator, "picture", lambda *_: b"<html>a captive portal</html>")
        downloaded = download_thumbnails(lab, "tech")
    assert downloaded.downloaded == 0
    assert {row.problem for row in rows(lab)} == {"not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP picture"}
    assert not next(v for v in check_thumbnails(lab, "tech") if v.name == "mostly_readable").passed


def test_a_picture_on_a_host_that_is_not_allowed_is_not_fetched(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first = video_ids(lab)[0]
        with lab.engine.begin() as connection:
            elsewhere = "http://169.254.169.254/latest/meta-data/"
            connection.execute(update(videos).where(videos.c.video_id == first).values(thumbnail_urls=[elsewhere]))
        downloaded = download_thumbnails(lab, "tech")
    assert downloaded.postponed == 1
    assert first not in {row.video_id for row in rows(lab)}


def test_a_picture_that_is_lost_from_the_store_is_noticed(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
    lab.images.path(rows(lab)[0].sha256).unlink()
    assert not next(v for v in check_thumbnails(lab, "tech") if v.name == "stored").passed


def test_shared_and_near_duplicate_pictures_are_counted(
    lab: Lab, catalogue: SyntheticCatalogue, drawn: Callable[..., bytes]
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        names = video_ids(lab)
        for seed, name in enumerate(names):
            emulator.change_thumbnail(name, drawn(1_000 + seed, size=(1280, 720)))
        for name in names[:3]:
            emulator.change_thumbnail(name, drawn(5, size=(1280, 720)))
        emulator.change_thumbnail(names[3], encoded_anew(drawn(5, size=(1280, 720))))
        downloaded = download_thumbnails(lab, "tech")
    assert (downloaded.duplicates, downloaded.near_duplicates) == (3, 2)


def test_pictures_that_were_stored_without_a_hash_get_one(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, ("sddefault",))
        download_thumbnails(lab, "tech")
        before = rows(lab)
        with lab.engine.begin() as connection:
            connection.execute(update(thumbnails).values(phash=None, width=640, height=480))
            connection.execute(update(thumbnail_versions).values(phash=None))
        lab.images.path(before[0].sha256).unlink()
        download_thumbnails(lab, "tech")
    assert rows(lab)[0].phash is None
    assert rows(lab)[1:] == before[1:]
    assert versions(lab, before[1].video_id)[0].phash == before[1].phash


def test_the_next_download_deletes_the_copies_from_an_object_store_that_the_lab_has_left(lab: Lab) -> None:
    ImageFolder(lab.settings.image_cache).put(b"a picture that is forgotten")
    delete_unused_cache(lab.settings.model_copy(update={"image_store": SecretStr("s3://bucket/images")}))
    assert any(path.is_file() for path in lab.settings.image_cache.rglob("*"))
    download_thumbnails(lab, "tech")
    assert not lab.settings.image_cache.exists()


def test_the_next_download_removes_the_files_of_killed_writers(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    folder = lab.images.root / "ab"
    folder.mkdir(parents=True)
    for name, age in ((".new-dead", 7_200), (".new-living", 5)):
        (folder / name).write_bytes(b"half a pict")
        os.utime(folder / name, (time.time() - age,) * 2)
    with Emulator(catalogue) as emulator:
        download_thumbnails(move(lab, emulator), "tech")
    assert [path.name for path in lab.images.root.rglob(".new-*")] == [".new-living"]

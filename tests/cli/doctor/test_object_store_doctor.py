"""Test what `thumblab doctor` says about releases and pictures in an object store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from object_store_server import SECRET, S3Server, running_s3, url_at
from sqlalchemy import Connection, text

from thumblab_cli.doctor import pictures, releases
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, Level
from thumblab_cli.doctor.machine import Machine
from thumblab_core.object_store.bucket import Bucket, StoreError
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


def findings(url: str, folder: Path) -> list[Finding]:
    settings = Settings(_env_file=None, data_dir=folder, release_store=url)
    return list(releases.releases(Examined(settings, Machine.this())))


def test_the_doctor_verifies_the_served_releases_of_an_object_store(s3: S3Server, tmp_path: Path) -> None:
    url = s3.url("lab-doctor")
    store = ReleaseStore(release_place(Settings(_env_file=None, data_dir=tmp_path / "maker", release_store=url)))
    made = store.publish("index", "tech", lambda folder: (folder / "a.txt").write_text("good") and None, {})
    store.serving.promote(made)
    [found] = findings(url, tmp_path / "reader")
    assert found.what == "1 served releases, none with a damaged file"
    open_bucket(parse_store_url(url)).write(f"index/tech/{made.release_id}/a.txt", b"evil")
    [found] = findings(url, tmp_path / "another")
    assert found.level == Level.ERROR
    assert "a.txt in the object store does not match its checksum" in found.what


def test_the_doctor_names_a_store_that_cannot_be_reached_without_its_secret(tmp_path: Path) -> None:
    [found] = findings(url_at("http://127.0.0.1:9", "lab-gone"), tmp_path)
    assert found.level == Level.ERROR
    assert "s3://lab-gone/lab/releases cannot be listed (no connection)" in found.what
    assert SECRET not in repr(found)


@pytest.fixture
def lab(s3: S3Server, tmp_path: Path, migrated_database: Callable[[], str]) -> Iterator[Lab]:
    """A lab with two pictures in an object store."""
    made = Lab.open(
        Settings(
            _env_file=None,
            data_dir=tmp_path,
            database_url=migrated_database(),
            image_store=s3.url("doctor-pictures", tmp_path.name),
        )
    )
    with made.engine.begin() as connection:
        connection.execute(text("INSERT INTO channels (channel_id, title) VALUES ('UC', 'c')"))
        for number in range(2):
            sha256 = made.images.put(bytes([number]) * 99)
            _insert(connection, f"video{number}", sha256)
    yield made
    made.engine.dispose()


def _insert(connection: Connection, video_id: str, sha256: str) -> None:
    connection.execute(
        text(
            "INSERT INTO videos (video_id, channel_id, niche, title, published_at, tags, source, refreshed_at) "
            "VALUES (:video_id, 'UC', 'tech', 't', now(), '{}', 'catalogue', now())"
        ),
        {"video_id": video_id},
    )
    connection.execute(
        text("INSERT INTO thumbnails (video_id, sha256, fetched_at, checked_at) VALUES (:id, :sha256, now(), now())"),
        {"id": video_id, "sha256": sha256},
    )


def test_the_doctor_reads_a_sample_of_the_pictures_and_names_a_damaged_one(lab: Lab) -> None:
    examined = Examined(lab.settings, Machine.this())
    [found] = pictures.pictures(examined)
    assert (found.level, found.what.partition(" in ")[0]) == (Level.OK, "2 sampled pictures")
    assert SECRET not in repr(found)
    bad = next(iter(lab.images.stored())).sha256
    lab.images.bucket.write(f"{bad[:2]}/{bad[2:]}", b"lie")  # type: ignore[attr-defined]
    lab.images.cache.forget(bad)  # type: ignore[attr-defined]
    [found] = pictures.pictures(examined)
    assert found.level == Level.WARNING
    assert "1 of 2 sampled pictures" in found.what
    assert f"picture {bad[:12]}… in the image store is damaged" in found.what


def test_a_request_for_a_picture_that_fails_is_no_damaged_picture(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in list(lab.images.stored()):
        lab.images.cache.forget(one.sha256)  # type: ignore[attr-defined]

    def fail(bucket: Bucket, key: str) -> None:
        raise StoreError(f"{bucket} cannot be used for {key} (no answer in time)")

    monkeypatch.setattr(Bucket, "read", fail)
    [found] = pictures.pictures(Examined(lab.settings, Machine.this()))
    assert found.level == Level.ERROR
    assert "the picture cannot be read now" in found.what
    assert "check THUMBLAB_IMAGE_STORE, its credentials and the network" in str(found.mend)


def test_the_doctor_names_an_image_store_that_cannot_be_reached_without_its_secret(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, image_store=url_at("http://127.0.0.1:9", "gone", "images"))
    [found] = pictures.pictures(Examined(settings, Machine.this()))
    assert found.level == Level.ERROR
    assert "s3://gone/images cannot be used" in found.what
    assert SECRET not in repr(found)

"""Test what `thumblab doctor` says about releases in an object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store_server import SECRET, S3Server, running_s3, url_at

from thumblab_cli.doctor import releases
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, Level
from thumblab_cli.doctor.machine import Machine
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings


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

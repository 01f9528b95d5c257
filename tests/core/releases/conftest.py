from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store_server import S3Server, object_store, running_s3

from thumblab_core.releases.release_store import ReleaseStore


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def url(s3: S3Server, tmp_path: Path) -> str:
    """The URL of an empty bucket. No other test uses this bucket."""
    return s3.url(f"lab-{abs(hash(tmp_path))}")


@pytest.fixture
def objects(url: str, tmp_path: Path) -> ReleaseStore:
    return object_store(url, tmp_path / "cache")


@pytest.fixture(params=["folder", "objects"])
def any_store(request: pytest.FixtureRequest) -> ReleaseStore:
    """A release store in a folder, and a release store in an object store. Each test runs with both stores."""
    store: ReleaseStore = request.getfixturevalue("store" if request.param == "folder" else "objects")
    return store

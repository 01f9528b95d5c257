import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from object_store_server import S3Server, running_s3

from thumblab_core.image_store import ImageFolder, ImageStore
from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.object_store.store_url import open_bucket, parse_store_url

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def url(s3: S3Server) -> str:
    """The URL of an empty bucket. No other test uses this bucket."""
    return s3.url(f"pictures-{next(_numbers)}", "lab/images")


Host = Callable[..., ImageObjects]


@pytest.fixture
def host(url: str, tmp_path: Path) -> Host:
    """Return a function that opens the store of this test, as the host `name` would. Each host has its own cache."""

    def opened(name: str = "host", limit: int = 2**30) -> ImageObjects:
        return ImageObjects(open_bucket(parse_store_url(url)), ImageCache(tmp_path / name, limit))

    return opened


@pytest.fixture(params=["folder", "objects"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    """An image store in a folder, and an image store in an object store. Each test runs with both stores."""
    if request.param == "folder":
        return ImageFolder(tmp_path / "images")
    store: ImageObjects = request.getfixturevalue("host")()
    return store

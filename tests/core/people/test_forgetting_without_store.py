"""Test that forgetting a person deletes the data on this disk, even while the object store with the pictures does not
answer.
"""

from pathlib import Path

import pytest
from object_store_server import url_at

from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.images import digest
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.people.forgetting_everywhere import forget_everywhere
from thumblab_core.people.records import Forgotten
from thumblab_core.releases.release_store import ReleaseStore


def test_every_copy_on_this_disk_is_deleted_although_the_store_is_away(tmp_path: Path) -> None:
    images = ImageObjects(
        open_bucket(parse_store_url(url_at("http://127.0.0.1:9", "gone"))), ImageCache(tmp_path / "copies", 2**20)
    )
    pictures = [b"first" * 9, b"second" * 9]
    for data in pictures:
        images.cache.keep(data)
    forgotten = Forgotten(unnamed_pictures=tuple(map(digest, pictures)))
    with pytest.raises(StoreError, match="no connection"):
        forget_everywhere(
            lambda work: work(None),  # type: ignore[arg-type, return-value]
            lambda connection: forgotten,
            ReleaseStore(tmp_path / "releases"),
            images,
        )
    assert not [path for path in images.cache.images.root.rglob("*") if path.is_file()]

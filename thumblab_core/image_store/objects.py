"""Store each picture as an object of an object store, under the hash of its bytes.

An object is named like the file in an `ImageFolder`. It is written in one request, and its bytes always match its name.
So writers need no lock, and a second write changes only the time of the object.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.folder import damaged, missing
from thumblab_core.image_store.store import ImageStore, StoredImage
from thumblab_core.images import digest
from thumblab_core.object_store.bucket import Bucket, Entry
from thumblab_core.object_store.outage import Outage

_NAME = re.compile("[0-9a-f]{2}/[0-9a-f]{62}")


class ImageObjects:
    """The pictures below one prefix of a bucket, see `ImageStore`. `cache` keeps copies on this machine.

    If the store cannot be used, a method raises `StoreError`. After many failures in a row, it raises `StoreAwayError`.
    `reopen`: a picklable function that returns this store in another process. A pickled store has no credentials.
    """

    reads_at_once = 16

    def __init__(self, bucket: Bucket, cache: ImageCache, reopen: Callable[[], ImageStore] | None = None) -> None:
        self.bucket = bucket
        self.cache = cache
        self._reopen = reopen
        self._outage = Outage()

    def put(self, data: bytes) -> str:
        sha256 = digest(data)
        # An existing object is written again, so that its bytes are right and its time is new. `remove_unnamed` needs
        # the new time.
        with self._outage.watched():
            self.bucket.write(_key(sha256), data)
        self.cache.keep(data)
        return sha256

    def get(self, sha256: str) -> bytes:
        data = self.cache.get(sha256)
        if data is not None:
            return data
        with self._outage.watched():
            stored = self.bucket.read(_key(sha256))
        if stored is None:
            raise missing(sha256)
        if digest(stored.content) != sha256:
            raise damaged(sha256)
        self.cache.keep(stored.content)
        return stored.content

    def has(self, sha256: str) -> bool:
        return self._find(sha256) is not None

    def remove(self, sha256: str) -> bool:
        """Delete a picture from the store, and its copy from this machine.

        If the store cannot be used, the copy is still deleted. If the copy cannot be deleted, the picture is still
        deleted from the store. In both cases, raises `OSError`.
        """
        with suppress(OSError):  # `forget` is called again below, and raises the error there.
            self.cache.forget(sha256)
        found = self.has(sha256)
        with self._outage.watched():
            self.bucket.delete([_key(sha256)])
        self.cache.forget(sha256)  # Another thread may have cached the picture meanwhile.
        return found

    def remove_unnamed(self, named: Collection[str], older_than_s: float) -> int:
        now, removed = self.bucket.now(), 0
        for entry in self._entries():
            sha256 = entry.key.replace("/", "")
            if sha256 in named or (now - entry.modified).total_seconds() <= older_than_s:
                continue
            # The list may be minutes old, and `put` may have renewed the object meanwhile. So the time of the single
            # object is read. It may differ from the time in the list even if the object is unchanged, because MinIO, R2
            # and GCS give milliseconds in a list, but only whole seconds for a single object.
            found = self._find(sha256)
            if found is not None and (now - found.modified).total_seconds() > older_than_s:
                removed += self.remove(sha256)
        return removed

    def stored(self) -> Iterator[StoredImage]:
        return (StoredImage(entry.key.replace("/", ""), entry.size) for entry in self._entries())

    def sweep(self) -> int:
        return self.cache.images.sweep() + self.cache.shrink()

    def _find(self, sha256: str) -> Entry | None:
        with self._outage.watched():
            return self.bucket.find(_key(sha256))

    def _entries(self) -> Iterator[Entry]:
        return (entry for entry in self.bucket.entries("") if _NAME.fullmatch(entry.key))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reopen is None:
            raise TypeError("this image store was not opened from the settings, so no other process can open it")
        return self._reopen, ()

    def __str__(self) -> str:
        return str(self.bucket)


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:]}"

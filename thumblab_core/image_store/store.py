"""The interface of a place that keeps the pictures of the lab."""

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol


class StoredImage(NamedTuple):
    """A stored picture. `size`: number of bytes."""

    sha256: str
    size: int


class ImageStore(Protocol):
    """A place where pictures are stored, each picture once, under the SHA-256 of its bytes. A stored picture never
    changes.

    Many threads may use a store at the same time. Every method raises `OSError` if the place cannot be used now. With a
    pickled store, another process uses the same place.
    """

    @property
    def reads_at_once(self) -> int:
        """Number of `get` calls that are worth making at the same time."""

    def put(self, data: bytes) -> str:
        """Store the bytes and return their SHA-256. After a crash, the picture is whole or does not exist."""

    def get(self, sha256: str) -> bytes:
        """Return the bytes stored under `sha256`.

        Raises `ImageError` if the picture is missing or its bytes have changed.
        """

    def has(self, sha256: str) -> bool:
        """Return whether a picture is stored, without reading its bytes."""

    def remove(self, sha256: str) -> bool:
        """Delete a picture. Returns False if the store did not have the picture."""

    def remove_unnamed(self, named: Collection[str], older_than_s: float) -> int:
        """Delete each picture whose SHA-256 is not in `named`, if `put` was last called for it more than `older_than_s`
        seconds ago.

        Return the number of deleted pictures.
        """

    def stored(self) -> Iterator[StoredImage]:
        """Yield every picture, in the order of their names."""

    def sweep(self) -> int:
        """Delete the unfinished files that killed processes left, and the copies in the cache that are too old. Return
        the number of deleted files.
        """

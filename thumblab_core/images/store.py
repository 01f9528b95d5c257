"""Store each picture on disk once, under the hash of its bytes."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from thumblab_core.durable_files import age
from thumblab_core.images.limits import ImageError

_UNFINISHED = ".new-"
"""Prefix of files that are still being written."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal. A picture is stored under this name."""
    return hashlib.sha256(data).hexdigest()


class ImageStore:
    """A folder of pictures, each stored once under the SHA-256 of its bytes. A stored picture never changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:]

    def put(self, data: bytes) -> str:
        """Store the bytes and return their SHA-256. After a crash, the file is whole or does not exist."""
        sha256 = digest(data)
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            # The lab deletes old files to which no row of the database refers. The row for this picture is written
            # after this call. The new modification time keeps the file until the row is written.
            os.utime(path)
            return sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        unfinished = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the bytes stored under `sha256`.

        Raises `ImageError` if the file is missing or its bytes have changed.
        """
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise ImageError(f"the image store has no picture {sha256[:12]}…") from None
        if digest(data) != sha256:
            raise ImageError(f"picture {sha256[:12]}… in the image store is damaged: its bytes do not match its name")
        return data

    def remove(self, sha256: str) -> bool:
        """Delete a picture. Returns False if the store did not have the picture."""
        try:
            self.path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def older_than(self, seconds: float) -> Iterator[str]:
        """Yield the SHA-256 of every picture for which `put` was last called more than `seconds` ago."""
        for path in self.root.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith(_UNFINISHED) and age(path) > seconds:
                    yield path.parent.name + path.name

    def sweep(self, older_than_s: float = 3_600) -> int:
        """Delete unfinished files of writers that were killed. Return the number of deleted files.

        A writer finishes a file within seconds. If nothing was written to a file for an hour, its writer was killed.
        """
        removed = 0
        for unfinished in self.root.glob(f"*/{_UNFINISHED}*"):
            try:
                if age(unfinished) > older_than_s:
                    unfinished.unlink()
                    removed += 1
            except FileNotFoundError:  # The writer finished the file, or another sweep deleted it.
                continue
        return removed

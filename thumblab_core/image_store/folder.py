"""Store each picture on disk once, under the hash of its bytes."""

import contextlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from thumblab_core.durable_files import age
from thumblab_core.image_store.store import StoredImage
from thumblab_core.images import ImageError, digest

_UNFINISHED = ".new-"
"""The prefix of the names of files that are still being written."""
_REST = re.compile("[0-9a-f]{62}")
_SWEPT_S = 3_600.0
"""A writer finishes a file within seconds. If nothing was written to a file for this number of seconds, its writer was
killed.
"""


class ImageFolder:
    """A folder of pictures, see `ImageStore`. The file of a picture is `<first 2 digits>/<the other 62 digits>`."""

    reads_at_once = 4

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:]

    def put(self, data: bytes) -> str:
        """Store the bytes and return their SHA-256. After a crash, the file is whole or does not exist.

        A damaged file is replaced.
        """
        sha256 = digest(data)
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            # The lab deletes old files to which no row of the database refers. The row for this picture is written
            # after this call. The new modification time keeps the file until the row is written.
            os.utime(path)
            if path.read_bytes() == data:
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
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise missing(sha256) from None
        if digest(data) != sha256:
            raise damaged(sha256)
        return data

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def remove(self, sha256: str) -> bool:
        try:
            self.path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def remove_unnamed(self, named: Collection[str], older_than_s: float) -> int:
        removed = 0
        for sha256, file in self._files():
            with contextlib.suppress(FileNotFoundError):
                # The age is read just before the deletion, because `put` may have renewed the file meanwhile.
                if sha256 not in named and age(file) > older_than_s:
                    removed += self.remove(sha256)
        return removed

    def stored(self) -> Iterator[StoredImage]:
        for sha256, file in self._files():
            with contextlib.suppress(FileNotFoundError):
                yield StoredImage(sha256, file.stat().st_size)

    def sweep(self) -> int:
        removed = 0
        for unfinished in self.root.glob(f"*/{_UNFINISHED}*"):
            try:
                if age(unfinished) > _SWEPT_S:
                    unfinished.unlink()
                    removed += 1
            except FileNotFoundError:  # The writer finished the file, or another sweep deleted it.
                continue
        return removed

    def _files(self) -> Iterator[tuple[str, Path]]:
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for file in sorted(folder.iterdir()):
                if _REST.fullmatch(file.name):
                    yield folder.name + file.name, file

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageFolder, (self.root.resolve(),)  # Another process may have another working directory.

    def __str__(self) -> str:
        return str(self.root)


def missing(sha256: str) -> ImageError:
    """Return the error for a picture that a store does not have."""
    return ImageError(f"the image store has no picture {sha256[:12]}…")


def damaged(sha256: str) -> ImageError:
    """Return the error for a picture whose bytes have changed."""
    return ImageError(f"picture {sha256[:12]}… in the image store is damaged: its bytes do not match its name")

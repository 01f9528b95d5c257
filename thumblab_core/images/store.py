"""Pictures on the disk: each is kept once, under the hash of its bytes."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from thumblab_core.durable_files import age
from thumblab_core.images.limits import ImageError

_LEFTOVER = ".new-"


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal: the name of a picture."""
    return hashlib.sha256(data).hexdigest()


class ImageStore:
    """Content-addressed files: a picture is stored once, under the SHA-256 of its bytes, and never changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:]

    def put(self, data: bytes) -> str:
        """Store the bytes and return their SHA-256; a crash leaves either the whole file or none."""
        sha256 = digest(data)
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)  # what is put again is as young as what is new: the retention spares it until a row names it
            return sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_LEFTOVER)
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes stored under `sha256`. Raises `ImageError` when they are missing or no longer what was stored."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise ImageError(f"the image store has no {sha256[:12]}…") from None
        if digest(data) != sha256:
            raise ImageError(f"the image store's {sha256[:12]}… is damaged: its bytes no longer match its name")
        return data

    def remove(self, sha256: str) -> bool:
        """Let a picture go; False when it was not there."""
        try:
            self.path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def older_than(self, seconds: float) -> Iterator[str]:
        """The SHA-256 of every picture that was last put so long ago."""
        for path in self.root.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith(_LEFTOVER) and age(path) > seconds:
                    yield path.parent.name + path.name

    def sweep(self, older_than_s: float = 3_600) -> int:
        """Remove what killed writers left half written, and return how many files it was.

        A writer needs seconds for its file, so one that was last written to an hour ago has none any more.
        """
        removed = 0
        for leftover in self.root.glob(f"*/{_LEFTOVER}*"):
            try:
                if age(leftover) > older_than_s:
                    leftover.unlink()
                    removed += 1
            except FileNotFoundError:  # its writer, or another sweep, was faster
                continue
        return removed

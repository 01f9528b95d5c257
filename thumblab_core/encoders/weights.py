"""Identify a file of weights by its contents, because files with different weights may have the same name."""

import hashlib
from functools import lru_cache
from pathlib import Path


def weights_digest(path: Path) -> str:
    """Return the first eight hexadecimal digits of the file's SHA-256. Raises `OSError` if the file cannot be read."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(path: Path, *_status: int) -> str:
    """Return the digest. The digest is cached, because a file of weights may be large. For example, the file of
    ViT-L/14 has 1.7 GB.

    `_status` is the file's size and modification time. If the size or the time changes, the digest is computed again.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]

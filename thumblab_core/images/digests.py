"""Name pictures by their content."""

import hashlib


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal. A picture is stored under this name."""
    return hashlib.sha256(data).hexdigest()

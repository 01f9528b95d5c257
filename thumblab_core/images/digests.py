"""Compute the name of a picture from its content."""

import hashlib


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal. A picture is stored under this name."""
    return hashlib.sha256(data).hexdigest()

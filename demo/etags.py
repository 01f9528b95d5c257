"""Make the entity tags (HTTP header `ETag`) of resources and pictures."""

import base64
import hashlib


def etag(*identity: str) -> str:
    """Return a tag of 27 characters. The same strings always give the same tag."""
    return base64.urlsafe_b64encode(hashlib.sha256("/".join(identity).encode()).digest()).decode()[:27]

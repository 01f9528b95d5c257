"""Entity tags of resources and pictures."""

import base64
import hashlib


def etag(*identity: str) -> str:
    """Return a tag of 27 characters that is the same for the same strings."""
    return base64.urlsafe_b64encode(hashlib.sha256("/".join(identity).encode()).digest()).decode()[:27]

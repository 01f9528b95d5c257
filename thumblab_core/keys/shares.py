"""Limit how much one API key may take of a resource that all keys share, such as the requests that run at the same
time.
"""


def share_of_key(whole: int) -> int:
    """Return how much of `whole` one key may take: a quarter, and at least 1. The lab's own key has no larger share."""
    return max(1, whole // 4)

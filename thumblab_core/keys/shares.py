"""Say how much of what all API keys share one of them may take."""


def share_of_key(whole: int) -> int:
    """Return how much of `whole` one key may take: a quarter, and at least 1. The lab's own key has no larger share."""
    return max(1, whole // 4)

"""What a view is: YouTube changed its definition twice, and counts of different eras must not be compared.

Public counts are of playback starts since 31 March 2025 for Shorts and since 24 August 2026 for everything else (YouTube's
own announcements, read in autumn 2026).
"""

from datetime import UTC, datetime

QUALIFIED, PLAYBACK_START = "qualified", "playback_start"
"""A view after some watching; a view as soon as playback starts."""

_SHORTS_CHANGED = datetime(2025, 3, 31, tzinfo=UTC)
_ALL_CHANGED = datetime(2026, 8, 24, tzinfo=UTC)


def era(video_format: str, observed_at: datetime) -> str:
    """The definition that counts of a video of this format (`video`, `short`, ...) had at that moment (aware)."""
    changed = _SHORTS_CHANGED if video_format == "short" else _ALL_CHANGED
    return PLAYBACK_START if observed_at >= changed else QUALIFIED

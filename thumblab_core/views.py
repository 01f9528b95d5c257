"""Tell the era of a view count: which definition of a view YouTube used at that time.

YouTube changed its definition twice, so counts of different eras must not be compared. Public counts are counts of
playback starts since 31 March 2025 for Shorts, and since 24 August 2026 for all other videos. The source is YouTube's
own announcements, read in autumn 2026.
"""

from datetime import UTC, datetime

QUALIFIED, PLAYBACK_START = "qualified", "playback_start"
"""The two eras. A view counts after some watching (`qualified`), or as soon as playback starts."""

_SHORTS_CHANGED = datetime(2025, 3, 31, tzinfo=UTC)
_ALL_CHANGED = datetime(2026, 8, 24, tzinfo=UTC)


def era(video_format: str, observed_at: datetime) -> str:
    """Return the era of a count for a video format (`video`, `short`, ...). `observed_at` has a time zone."""
    changed = _SHORTS_CHANGED if video_format == "short" else _ALL_CHANGED
    return PLAYBACK_START if observed_at >= changed else QUALIFIED

"""The eras of view counts. YouTube changed its definition of a view twice; do not compare counts of different eras.

Public counts are of playback starts since 31 March 2025 for Shorts, and since 24 August 2026 for all other videos.
Source: YouTube's own announcements, read in autumn 2026.
"""

from datetime import UTC, datetime

QUALIFIED, PLAYBACK_START = "qualified", "playback_start"
"""A view counts after some watching, or as soon as playback starts."""

_SHORTS_CHANGED = datetime(2025, 3, 31, tzinfo=UTC)
_ALL_CHANGED = datetime(2026, 8, 24, tzinfo=UTC)


def era(video_format: str, observed_at: datetime) -> str:
    """Return the definition of a view for a video format (`video`, `short`, ...) at a time-zone-aware moment."""
    changed = _SHORTS_CHANGED if video_format == "short" else _ALL_CHANGED
    return PLAYBACK_START if observed_at >= changed else QUALIFIED

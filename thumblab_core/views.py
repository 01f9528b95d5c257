"""Return the era of a view count: which definition of a view YouTube used when the count was observed.

YouTube changed its definition twice, so counts of different eras must not be compared. The public view count of a Short
has been a count of playback starts since 31 March 2025. The counts of all other videos have been counts of playback
starts since 24 August 2026. The source is YouTube's own announcements, read in autumn 2026.
"""

from datetime import UTC, datetime

QUALIFIED, PLAYBACK_START = "qualified", "playback_start"
"""The two eras. A view counts after some watching (`qualified`), or as soon as playback starts."""

_SHORTS_CHANGED = datetime(2025, 3, 31, tzinfo=UTC)
_ALL_CHANGED = datetime(2026, 8, 24, tzinfo=UTC)


def era(video_format: str, observed_at: datetime) -> str:
    """Return the era of a view count that was observed at `observed_at`, which has a time zone.

    `video_format` is the format of the video (`video`, `short`, ...).
    """
    changed = _SHORTS_CHANGED if video_format == "short" else _ALL_CHANGED
    return PLAYBACK_START if observed_at >= changed else QUALIFIED

"""Which videos the training corpus takes: the inclusion and exclusion criteria of the training guide, each with its name."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta

from thumblab_pipelines.videos.records import SHORT, VIDEO, ChannelRecord, VideoRecord
from thumblab_pipelines.youtube.answers import Upload

KEPT = "kept"
GONE = "removed or private"
OUTLIER = "over 3 standard deviations from its channel's mean"

LEAST_SUBSCRIBERS = 100
LEAST_VIDEOS = 10
ACTIVE_WITHIN = timedelta(days=90)
LEAST_VIEWS = 1_000
SHORTEST_S, LONGEST_S = 60, 3_600
OUTLIER_SIGMAS = 3.0

_CHANNEL_GONE = "closed or private"
_INACTIVE = f"fewer than {LEAST_VIDEOS} videos in {ACTIVE_WITHIN.days} days"

_OTHER_SCRIPTS = frozenset(
    {"am", "ar", "be", "bg", "bn", "el", "fa", "gu", "he", "hi", "hy", "ja", "ka", "kk", "km", "kn", "ko", "lo", "mk"}
    | {"ml", "mn", "mr", "my", "ne", "pa", "ru", "si", "sr", "ta", "te", "th", "uk", "ur", "yi", "zh"}
)
"""Languages whose titles are not written in Latin letters."""


def exclude_channel(record: ChannelRecord | None) -> str | None:
    """Why no video of the channel is taken, as far as channels.list tells; None where it is to be walked."""
    if record is None or record.uploads_playlist is None:
        return _CHANNEL_GONE
    # A hidden number of subscribers is no small one.
    if record.subscriber_count is not None and record.subscriber_count < LEAST_SUBSCRIBERS:
        return f"under {LEAST_SUBSCRIBERS} subscribers"
    if record.video_count is not None and record.video_count < LEAST_VIDEOS:
        return _INACTIVE
    return None


def exclude_inactive(first_page: Sequence[Upload], now: datetime) -> str | None:
    """The same, from the newest uploads: decided before a unit is spent on looking at any of them."""
    recent = sum(item.published_at is not None and now - item.published_at <= ACTIVE_WITHIN for item in first_page)
    return None if recent >= LEAST_VIDEOS else _INACTIVE


def exclude_unreachable(reason: str) -> str:
    """A channel whose uploads YouTube does not show."""
    return f"{_CHANNEL_GONE} ({reason})"


def outcome(record: VideoRecord | None, channel_id: str, language: str) -> str:
    """`kept`, or why the video is left out.

    `channel_id` is the channel that listed it; `language` the one wanted (BCP 47), empty for all.
    """
    if record is None:
        return GONE
    if record.channel_id != channel_id:
        return "of another channel"
    if record.format == SHORT:
        return "a Short"
    if record.format != VIDEO:
        return "live or upcoming"
    if record.duration_s is None:
        return "of unknown length"
    if record.duration_s < SHORTEST_S:
        return "under 1 minute"
    if record.duration_s > LONGEST_S:
        return "over 60 minutes"
    if record.view_count is None:
        return "views not told"
    if record.view_count < LEAST_VIEWS:
        return f"under {LEAST_VIEWS:,} views"
    if language and not speaks(record, language):
        return "in another language"
    return KEPT


def speaks(record: VideoRecord, language: str) -> bool:
    """Whether a video is in the language: as its uploader declares it, else by the letters of its title.

    The letters tell scripts apart, not languages: an undeclared video in French passes for English.
    """
    if record.language:
        return record.language.split("-")[0].casefold() == language.split("-")[0].casefold()
    letters = [letter for letter in record.title if letter.isalpha()]
    if not letters:
        return True
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters) >= len(letters) / 2
    return latin == (language.split("-")[0].casefold() not in _OTHER_SCRIPTS)

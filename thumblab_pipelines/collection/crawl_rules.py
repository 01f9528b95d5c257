"""The rules of the crawl: which channels are walked, and which videos of these channels are kept for training.

Each rule has a reason, which is a short text. The database stores the reason with each channel and each video that the
rule leaves out.
"""

import unicodedata
from collections.abc import Sequence
from datetime import datetime

from thumblab_core.inclusion import (
    ACTIVE_WITHIN,
    LEAST_RECENT_VIDEOS,
    LEAST_SUBSCRIBERS,
    LEAST_VIEWS,
    LONGEST_S,
    SHORTEST_S,
)
from thumblab_core.niches import Niche
from thumblab_pipelines.videos.records import SHORT, VIDEO, ChannelRecord, VideoRecord
from thumblab_pipelines.youtube.answers import Upload

KEPT = "kept"
GONE = "removed or private"
OUTLIER = "over 3 standard deviations from its channel's mean"

_CHANNEL_GONE = "closed or private"
_INACTIVE = f"fewer than {LEAST_RECENT_VIDEOS} videos in {ACTIVE_WITHIN.days} days"

_OTHER_SCRIPTS = frozenset(
    {"am", "ar", "be", "bg", "bn", "el", "fa", "gu", "he", "hi", "hy", "ja", "ka", "kk", "km", "kn", "ko", "lo", "mk"}
    | {"ml", "mn", "mr", "my", "ne", "pa", "ru", "si", "sr", "ta", "te", "th", "uk", "ur", "yi", "zh"}
)
"""Languages whose titles are not written in Latin letters."""


def exclude_channel(record: ChannelRecord | None) -> str | None:
    """Return why the channel is left out, or None if the crawl shall read its uploads.

    `record` has the facts that YouTube gave about the channel, or is None if YouTube does not have the channel.
    """
    if record is None or record.uploads_playlist is None:
        return _CHANNEL_GONE
    # If a channel hides its number of subscribers, the number is unknown. A channel with a hidden number is not left
    # out.
    if record.subscriber_count is not None and record.subscriber_count < LEAST_SUBSCRIBERS:
        return f"under {LEAST_SUBSCRIBERS} subscribers"
    if record.video_count is not None and record.video_count < LEAST_RECENT_VIDEOS:
        return _INACTIVE
    return None


def exclude_inactive(first_page: Sequence[Upload], now: datetime) -> str | None:
    """Return the reason for leaving the channel out if the channel has too few recent uploads. Return None if the
    channel has enough recent uploads.

    The check needs only the first page of the channel's uploads. So the crawl checks the number of recent uploads
    before it spends quota on the titles, lengths and counts of the videos.
    """
    recent = sum(item.published_at is not None and now - item.published_at <= ACTIVE_WITHIN for item in first_page)
    return None if recent >= LEAST_RECENT_VIDEOS else _INACTIVE


def exclude_unreachable(reason: str) -> str:
    """Return why a channel is left out if YouTube does not show its uploads. `reason` is YouTube's reason code."""
    return f"{_CHANNEL_GONE} ({reason})"


def outcome(record: VideoRecord | None, channel_id: str, niche: Niche, default_language: str) -> str:
    """Return `KEPT`, or why the video is left out.

    Args:
        record: The facts of the video, or None if YouTube does not have the video.
        channel_id: The channel in whose uploads the video is listed.
        niche: The niche of the video, with its language and its excluded words.
        default_language: The wanted language (BCP 47) if the niche has none. An empty text means that every language is
            kept.
    """
    language = default_language if niche.language is None else niche.language
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
    if language and not is_in_language(record, language):
        return "in another language"
    if niche.excludes(record.title):
        return "with an excluded word in its title"
    return KEPT


def is_in_language(record: VideoRecord, language: str) -> bool:
    """Return whether the language of a video is `language`, as far as the lab can tell.

    If the uploader declared a language, the declared language is compared with `language`. If no language was declared,
    the letters of the title decide. If `language` is written in Latin letters, at least half of the title's letters
    must be Latin. If `language` is written in another script, less than half of the letters may be Latin. Many
    languages have Latin letters. So if `language` is English, a French video without a declared language is kept too.
    """
    if record.language:
        return record.language.split("-")[0].casefold() == language.split("-")[0].casefold()
    letters = [letter for letter in record.title if letter.isalpha()]
    if not letters:
        return True
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters) >= len(letters) / 2
    return latin == (language.split("-")[0].casefold() not in _OTHER_SCRIPTS)

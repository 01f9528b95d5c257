"""Convert JSON of the YouTube Data API v3 into records.

The API sends counts as strings, and may leave out a count. A missing count becomes None, never 0.
"""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from thumblab_pipelines.videos.names import unescaped
from thumblab_pipelines.videos.records import ChannelRecord, VideoRecord, format_of

Json = dict[str, Any]
T = TypeVar("T")

_log = logging.getLogger(__name__)
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_SIZES = ("maxres", "standard", "high", "medium", "default")
"""Thumbnail sizes, best size first. `standard` and `high` are 4:3 with black bars, which are cut off when a picture is
read. Without the bars, `standard` has 640x360 pixels, which is still better than `medium` with 320x180."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list. `cursor` is the token of the next page, or None on the last page."""

    items: list[T]
    cursor: str | None


@dataclass(frozen=True)
class SearchHit:
    """A video in the results of a search, with its channel."""

    video_id: str
    channel_id: str
    channel_title: str


@dataclass(frozen=True)
class Upload:
    """An entry of an uploads playlist. `published_at` is None if the video is private or deleted."""

    video_id: str
    published_at: datetime | None


@dataclass(frozen=True)
class Counts:
    """The counts of a video at one moment."""

    video_id: str
    view_count: int | None
    like_count: int | None
    comment_count: int | None


def parse_items(items: Iterable[Json], parse: Callable[[Json], T]) -> list[T]:
    """Convert items of an answer to records with the function `parse`.

    If `parse` cannot read an item, the item's id is logged, and the item is left out.
    """
    records = []
    for item in items:
        try:
            records.append(parse(item))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = item.get("id") if isinstance(item, dict) else item
            _log.warning(
                "an item of YouTube's answer could not be read and was left out: %r (%r)", str(name)[:80], error
            )
    return records


def next_page_token(answer: Json) -> str | None:
    """Return the token of the next page, or None if the answer has no usable token."""
    token = answer.get("nextPageToken")
    return token if isinstance(token, str) and token else None


def parse_hit(item: Json) -> SearchHit:
    """Parse a `youtube#searchResult`.

    A `youtube#searchResult` is the only resource of the API with HTML entities in its texts. The entities are decoded
    once.
    """
    snippet = item["snippet"]
    return SearchHit(
        _id(item["id"]["videoId"]), _id(snippet["channelId"]), _text(unescaped(snippet.get("channelTitle", "")))
    )


def parse_upload(item: Json) -> Upload:
    """Parse a `youtube#playlistItem` of an uploads playlist."""
    details = item.get("contentDetails") or item["snippet"]["resourceId"]
    published = details.get("videoPublishedAt")
    return Upload(_id(details["videoId"]), None if published is None else _timestamp(published))


def parse_channel(item: Json, at: datetime) -> ChannelRecord:
    """Convert a `youtube#channel` of an answer to a record. `at` is the server's time of the answer."""
    playlists = item.get("contentDetails", {}).get("relatedPlaylists", {})
    statistics = item.get("statistics", {})
    hidden = statistics.get("hiddenSubscriberCount") is True
    return ChannelRecord(
        channel_id=_id(item["id"]),
        title=_text(item["snippet"]["title"]),
        subscriber_count=None if hidden else _count(statistics, "subscriberCount"),
        uploads_playlist=_id(playlists["uploads"]) if playlists.get("uploads") else None,
        video_count=_count(statistics, "videoCount"),
        refreshed_at=at,
        handle=_handle(item["snippet"].get("customUrl")),
    )


def parse_video(item: Json, niche: str, at: datetime) -> VideoRecord:
    """Convert a `youtube#video` of an answer to a record. `at` is the server's time of the answer.

    The item must have the part `snippet`. The parts contentDetails, statistics and player are used if they are present.
    """
    snippet = item["snippet"]
    counts = parse_counts(item)
    broadcast = snippet.get("liveBroadcastContent", "none")
    # A live or upcoming broadcast has no final length yet, so its record has no duration.
    duration = duration_seconds(item.get("contentDetails", {}).get("duration", "")) if broadcast == "none" else None
    shape = _aspect_ratio(item.get("player", {}))
    return VideoRecord(
        video_id=_id(item["id"]),
        niche=niche,
        channel_id=_id(snippet["channelId"]),
        title=_text(snippet["title"]),
        published_at=_timestamp(snippet["publishedAt"]),
        duration_s=duration,
        tags=tuple(_text(tag) for tag in snippet.get("tags", ())),
        thumbnail_urls=tuple(
            _text(snippet["thumbnails"][size]["url"]) for size in _SIZES if size in snippet.get("thumbnails", {})
        ),
        source="youtube",
        observed_at=at,
        view_count=counts.view_count,
        like_count=counts.like_count,
        comment_count=counts.comment_count,
        format=format_of(broadcast, duration, shape),
        aspect_ratio=shape,
        language=_text(snippet.get("defaultAudioLanguage") or snippet.get("defaultLanguage") or "") or None,
    )


def parse_counts(item: Json) -> Counts:
    """Parse the counts of a `youtube#video` or a `youtube#videoStats`."""
    statistics = item.get("statistics", {})
    return Counts(_id(item["id"]), *(_count(statistics, name) for name in ("viewCount", "likeCount", "commentCount")))


def duration_seconds(duration: str) -> int | None:
    """Convert an ISO 8601 duration such as `PT1H2M3S` to seconds.

    Return None for an empty or invalid text, and for zero, because a live stream has the duration `P0D`.
    """
    match = _DURATION.fullmatch(duration)
    if not match or not any(match.groups()):
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds
    return total if 0 < total < 2**31 else None


def may_train(answer: Json) -> bool:
    """Return whether a `youtube#videoTrainability` allows everybody to train on the video."""
    permitted: str | Sequence[str] = answer.get("permitted", ())
    return "all" in ([permitted] if isinstance(permitted, str) else permitted)


def _count(statistics: Json, name: str) -> int | None:
    """Return a count that fits a PostgreSQL bigint, or None if it is missing, negative or too large."""
    value = statistics.get(name)
    if value is None:
        return None
    count = int(value)
    return count if 0 <= count < 2**63 else None


def _id(value: str) -> str:
    """Return the id of a video, channel or playlist unchanged. Raises `ValueError` if the text cannot be an id."""
    if not isinstance(value, str) or not value or _text(value) != value:
        raise ValueError(f"{value!r} is not an id")
    return value


def _handle(value: object) -> str | None:
    """Return the @handle of a channel in lower case, or None if the channel has no @handle. An old custom URL without
    `@` is no @handle."""
    return _text(value).lower() if isinstance(value, str) and value.startswith("@") else None


def _timestamp(value: str) -> datetime:
    """Convert a text to a time. If the text has no time zone, UTC is used, because YouTube sends times in UTC."""
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: str) -> str:
    """Remove the character NUL, and replace lone surrogates.

    JSON may contain NUL and lone surrogates, but a PostgreSQL text column cannot.
    """
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _aspect_ratio(player: Json) -> float | None:
    """Return the width of the embedded player divided by its height. YouTube scales the player so that it fits into the
    square whose size is in the request.

    No other part of the API shows the shape of a video.
    """
    width, height = (_count(player, name) for name in ("embedWidth", "embedHeight"))
    return width / height if width and height else None

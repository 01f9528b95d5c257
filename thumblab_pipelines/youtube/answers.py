"""From the JSON of the YouTube Data API v3 to records. Counts are strings and may be absent: absent is None, never 0."""

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
"""Best first. `standard` and `high` are 4:3 with black bars, which are cut away on reading: 640x360 beats 320x180."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list; `cursor` is the token of the next one, None on the last."""

    items: list[T]
    cursor: str | None


@dataclass(frozen=True)
class Hit:
    """A video that a search found, and its channel."""

    video_id: str
    channel_id: str
    channel_title: str


@dataclass(frozen=True)
class Upload:
    """An entry of an uploads playlist; `published_at` is None of a video that is private or gone."""

    video_id: str
    published_at: datetime | None


@dataclass(frozen=True)
class Counts:
    """The counts of a video at one moment."""

    video_id: str
    view_count: int | None
    like_count: int | None
    comment_count: int | None


def parsed(items: Iterable[Json], parse: Callable[[Json], T]) -> list[T]:
    """Every item that can be read; one that cannot is logged by its id and left out, and never stops the rest."""
    found = []
    for item in items:
        try:
            found.append(parse(item))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = item.get("id") if isinstance(item, dict) else item
            _log.warning("left out an item of YouTube's answer that cannot be read: %r (%r)", str(name)[:80], error)
    return found


def hit(item: Json) -> Hit:
    """A `youtube#searchResult`: the only resource whose texts come with HTML entities, once escaped."""
    snippet = item["snippet"]
    return Hit(_id(item["id"]["videoId"]), _id(snippet["channelId"]), _text(unescaped(snippet.get("channelTitle", ""))))


def upload(item: Json) -> Upload:
    details = item.get("contentDetails") or item["snippet"]["resourceId"]
    published = details.get("videoPublishedAt")
    return Upload(_id(details["videoId"]), None if published is None else _moment(published))


def channel(item: Json, at: datetime) -> ChannelRecord:
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
    )


def video(item: Json, niche: str, at: datetime) -> VideoRecord:
    """A `youtube#video` with the parts snippet, contentDetails, statistics and player, where it has them."""
    snippet = item["snippet"]
    counts = statistics(item)
    broadcast = snippet.get("liveBroadcastContent", "none")
    # The length of what is not over is no length.
    duration = seconds(item.get("contentDetails", {}).get("duration", "")) if broadcast == "none" else None
    shape = _aspect_ratio(item.get("player", {}))
    return VideoRecord(
        video_id=_id(item["id"]),
        niche=niche,
        channel_id=_id(snippet["channelId"]),
        title=_text(snippet["title"]),
        published_at=_moment(snippet["publishedAt"]),
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


def statistics(item: Json) -> Counts:
    """The counts of a `youtube#video` or a `youtube#videoStats`."""
    told = item.get("statistics", {})
    return Counts(_id(item["id"]), *(_count(told, name) for name in ("viewCount", "likeCount", "commentCount")))


def seconds(duration: str) -> int | None:
    """Seconds of an ISO 8601 duration such as `PT1H2M3S`; None for nothing, nonsense, or the `P0D` of a live stream."""
    found = _DURATION.fullmatch(duration)
    if not found or not any(found.groups()):
        return None
    weeks, days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    total = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + rest
    return total if 0 < total < 2**31 else None


def may_train(answer: Json) -> bool:
    """Whether a `youtube#videoTrainability` lets everybody train on the video."""
    permitted: str | Sequence[str] = answer.get("permitted", ())
    return "all" in ([permitted] if isinstance(permitted, str) else permitted)


def _count(told: Json, name: str) -> int | None:
    """A count as PostgreSQL can keep it; what no count can be is not known."""
    value = told.get(name)
    if value is None:
        return None
    count = int(value)
    return count if 0 <= count < 2**63 else None


def _id(told: str) -> str:
    """An id, a playlist or a token: raises `ValueError` for what cannot be one."""
    if not isinstance(told, str) or not told or _text(told) != told:
        raise ValueError(f"{told!r} is no id")
    return told


def _moment(told: str) -> datetime:
    """YouTube tells moments in UTC, also where it does not say so."""
    moment = datetime.fromisoformat(told)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(told: str) -> str:
    """Text as PostgreSQL can keep it: JSON may hold NUL and halves of surrogate pairs, a text column neither."""
    return told.replace("\0", "").encode("utf-8", "replace").decode()


def _aspect_ratio(player: Json) -> float | None:
    """Of the player that YouTube fits into the square asked for: the only place that tells a video's shape."""
    width, height = (_count(player, name) for name in ("embedWidth", "embedHeight"))
    return width / height if width and height else None

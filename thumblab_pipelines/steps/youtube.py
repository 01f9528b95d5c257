"""The YouTube Data API v3: a few calls, each answer turned into records, every error into one sentence without the key."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.steps.records import ChannelRecord, VideoRecord

PAGE = 50
"""Ids and items per call, the most the API takes."""

_PASSING = {"", "backendError", "rateLimitExceeded", "userRateLimitExceeded"}
"""Reasons that may be gone in a minute; no reason at all is a server that could not be reached."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_NO_CHART = {"videoChartNotFound", "notFound"}
_DURATION = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")


class YouTubeError(LabError):
    """The API refused a call; `reason` is its own word for why, such as `quotaExceeded`."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.transient = reason in _PASSING


@dataclass(frozen=True)
class Answer:
    """The body of one answer, and when the server says it was given (the moment its counts were true)."""

    body: dict[str, Any]
    at: datetime


class YouTube:
    """A client for one thread. Aimed at the real API, or at the emulator by `THUMBLAB_YOUTUBE_ENDPOINT`."""

    def __init__(self, service: Any, secret: str) -> None:
        self._service = service
        self._secret = secret
        self.calls = 0
        self._clock = datetime.now(UTC)
        """The server's time as of its last answer: counts are dated by it, whatever this machine's clock says."""

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Raises `LabError` when no API key is set."""
        if settings.youtube_api_key is None:
            raise LabError(
                "no YouTube API key is set; put THUMBLAB_YOUTUBE_API_KEY=... into .env, "
                "or run `thumblab demo`, which needs none"
            )
        import httplib2
        from googleapiclient.discovery import build

        secret = settings.youtube_api_key.get_secret_value()
        options = {"api_endpoint": settings.youtube_endpoint} if settings.youtube_endpoint else None
        local = urlsplit(settings.youtube_endpoint or "").hostname in _LOOPBACK
        service = build(
            "youtube",
            "v3",
            developerKey=secret,
            # httplib2 wants support for proxies as soon as one is set, also where `no_proxy` says that none is used.
            http=httplib2.Http(timeout=30, proxy_info=None if local else httplib2.proxy_info_from_environment),
            client_options=options,
            static_discovery=True,
            cache_discovery=False,
        )
        return cls(service, secret)

    def chart(self, category_id: int, region: str) -> list[str] | None:
        """Ids of the most popular videos of a category, None where the API no longer keeps such a chart."""
        try:
            answer = self._call(
                self._service.videos().list(
                    part="id", chart="mostPopular", videoCategoryId=str(category_id), regionCode=region, maxResults=PAGE
                )
            )
        except YouTubeError as error:
            if error.reason in _NO_CHART:
                return None
            raise
        return [item["id"] for item in answer.body.get("items", [])]

    def search(self, category_id: int, region: str, days: int, limit: int) -> list[str]:
        """Ids of the most viewed videos of a category published in the last `days`."""
        after = self._clock - timedelta(days=days)
        resource = self._service.search()
        request = resource.list(
            part="id",
            type="video",
            order="viewCount",
            videoCategoryId=str(category_id),
            regionCode=region,
            publishedAfter=after.strftime("%Y-%m-%dT%H:%M:%SZ"),
            maxResults=min(PAGE, limit),
        )
        return [item["id"]["videoId"] for item in self._items(resource, request, limit)]

    def channels(self, channel_ids: Sequence[str]) -> list[ChannelRecord]:
        """The channels that exist among at most 50 ids."""
        answer = self._call(
            self._service.channels().list(
                part="snippet,statistics,contentDetails", id=",".join(channel_ids), maxResults=PAGE
            )
        )
        return [_channel(item) for item in answer.body.get("items", [])]

    def uploads(self, playlist: str, limit: int) -> list[str]:
        """Ids of the newest videos of an uploads playlist; a playlist that is gone has none."""
        if limit == 0:
            return []
        resource = self._service.playlistItems()
        request = resource.list(part="contentDetails", playlistId=playlist, maxResults=min(PAGE, limit))
        try:
            return [item["contentDetails"]["videoId"] for item in self._items(resource, request, limit)]
        except YouTubeError as error:
            if error.reason == "playlistNotFound":
                return []
            raise

    def videos(self, video_ids: Sequence[str], niche: str) -> list[VideoRecord]:
        """The videos that exist among at most 50 ids, as the API sees them now."""
        answer = self._call(
            self._service.videos().list(
                part="snippet,contentDetails,statistics", id=",".join(video_ids), maxResults=PAGE
            )
        )
        return [_video(item, niche, answer.at) for item in answer.body.get("items", [])]

    def _items(self, resource: Any, request: Any, limit: int) -> Iterator[dict[str, Any]]:
        given = 0
        while request is not None and given < limit:
            answer = self._call(request)
            for item in answer.body.get("items", [])[: limit - given]:
                given += 1
                yield item
            request = resource.list_next(request, answer.body)

    def _call(self, request: Any) -> Answer:
        from http.client import HTTPException

        from googleapiclient.errors import HttpError
        from httplib2 import HttpLib2Error

        request.add_response_callback(self._read_clock)
        self.calls += 1
        try:
            body = request.execute(num_retries=0)
        except HttpError as error:
            reason, message = _reason(error.content)
            raise YouTubeError(f"YouTube refused a call ({error.resp.status} {reason}: {message})", reason) from None
        except (OSError, HTTPException, HttpLib2Error) as error:
            message = str(error).replace(self._secret, "[key]")
            raise YouTubeError(f"YouTube could not be reached ({type(error).__name__}: {message})") from None
        return Answer(body, self._clock)

    def _read_clock(self, response: Any) -> None:
        try:
            self._clock = parsedate_to_datetime(response.get("date") or "").astimezone(UTC)
        except (ValueError, TypeError):
            self._clock = datetime.now(UTC)


def _reason(content: bytes) -> tuple[str, str]:
    """The API's reason and message. `str(HttpError)` is never used: it holds the URL and with it the key."""
    try:
        error = json.loads(content)["error"]
        details = error.get("errors") or [{}]
        return str(details[0].get("reason", "unknown")), str(error.get("message", ""))[:200]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "unknown", "no readable error"


def _channel(item: dict[str, Any]) -> ChannelRecord:
    playlists = item.get("contentDetails", {}).get("relatedPlaylists", {})
    return ChannelRecord(
        channel_id=item["id"],
        title=item["snippet"]["title"],
        subscriber_count=_count(item.get("statistics", {}), "subscriberCount"),
        uploads_playlist=playlists.get("uploads"),
    )


def _video(item: dict[str, Any], niche: str, at: datetime) -> VideoRecord:
    snippet, statistics = item["snippet"], item.get("statistics", {})
    live = snippet.get("liveBroadcastContent", "none") != "none"
    return VideoRecord(
        video_id=item["id"],
        niche=niche,
        channel_id=snippet["channelId"],
        title=snippet["title"],
        published_at=datetime.fromisoformat(snippet["publishedAt"]),
        duration_s=None if live else _seconds(item.get("contentDetails", {}).get("duration", "")),
        tags=tuple(snippet.get("tags", ())),
        thumbnail_url=_thumbnail(snippet.get("thumbnails", {})),
        source="youtube",
        observed_at=at,
        view_count=_count(statistics, "viewCount"),
        like_count=_count(statistics, "likeCount"),
        comment_count=_count(statistics, "commentCount"),
    )


def _count(statistics: dict[str, Any], name: str) -> int | None:
    value = statistics.get(name)
    return None if value is None else int(value)


def _seconds(duration: str) -> int | None:
    found = _DURATION.fullmatch(duration)
    if not found or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _thumbnail(sizes: dict[str, Any]) -> str | None:
    """The best size of 16:9; the others are letterboxed to 4:3."""
    for name in ("maxres", "medium", "standard", "high", "default"):
        if name in sizes:
            return str(sizes[name]["url"])
    return None

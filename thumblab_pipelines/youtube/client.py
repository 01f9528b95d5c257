"""The client for the YouTube Data API v3. The methods of the client return records."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Engine

from thumblab_core.errors import LabError
from thumblab_core.niches.searching import PAGE_SIZE as PAGE_SIZE
from thumblab_core.settings import Settings
from thumblab_pipelines.videos.records import ChannelRecord, VideoRecord
from thumblab_pipelines.youtube import answers
from thumblab_pipelines.youtube.answers import Counts, Json, Page, SearchHit, Upload
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.quota import SEARCHES, STATS, UNITS, Ledger
from thumblab_pipelines.youtube.transport import ApiAnswer, Transport, new_http

_REAL_ENDPOINT = "https://youtube.googleapis.com/"
_CHANNEL_PARTS = "snippet,statistics,contentDetails"
_VIDEO_PARTS = "snippet,contentDetails,statistics,player"
_SQUARE = 640
"""Side in pixels of the square into which YouTube fits a video's player. The size of the fitted player shows the shape
of the video."""


@dataclass(frozen=True)
class SearchQuery:
    """The conditions for the videos that a search finds.

    `region`: ISO 3166-1 code. `category_id`: only videos of this category. `text`: only videos that match this text, in
    which `|` means "or". `language`: BCP 47 code of the preferred language. `order`: "viewCount" for the most viewed
    videos first, or "date" for the newest videos first.
    """

    region: str
    category_id: int | None = None
    text: str | None = None
    language: str | None = None
    order: str = "viewCount"


class YouTube:
    """Client for the YouTube Data API. Any number of threads may share one client."""

    def __init__(self, service: Any, transport: Transport, ledger: Ledger) -> None:
        self._service = service
        self._transport = transport
        self._call = transport.call
        self.ledger = ledger

    @classmethod
    def connect(cls, settings: Settings, engine: Engine, keep: dict[str, int] | None = None) -> Self:
        """Read the current time from YouTube, and return a client for these settings.

        `keep`: the number of calls per bucket that stay reserved for other runs (see `Ledger`). Raises `LabError` if no
        API key is set, and `YouTubeError` if YouTube cannot be reached.
        """
        if settings.youtube_api_key is None:
            raise LabError(
                "no YouTube API key is set; put THUMBLAB_YOUTUBE_API_KEY=... into .env, or import a catalogue, which needs "
                "no key: `thumblab import FOLDER --serve`"
            )
        from googleapiclient.discovery import build

        endpoint = settings.youtube_endpoint or _REAL_ENDPOINT
        service = build(
            "youtube",
            "v3",
            # Without the argument `http`, Google's client would search this machine for Google credentials.
            http=new_http(endpoint),
            client_options={"api_endpoint": endpoint},
            static_discovery=True,
            cache_discovery=False,
        )
        secret = settings.youtube_api_key.get_secret_value()
        ledger = Ledger.of(engine, settings, keep)
        transport = Transport(endpoint, secret, ledger, settings.youtube_first_wait_s)
        transport.fetch_server_time()
        return cls(service, transport, ledger)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of every thread."""
        self._transport.close()

    @property
    def now(self) -> datetime:
        """The server's time at its last answer (UTC).

        The lab uses the server's time instead of this machine's clock, which may be wrong.
        """
        return self._transport.now

    def chart(self, category_id: int, region: str, niche: str) -> list[VideoRecord] | None:
        """Return the most popular videos of a category, or None if the API has no chart for this category."""
        try:
            return self._list_videos(niche, chart="mostPopular", videoCategoryId=str(category_id), regionCode=region)
        except YouTubeError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def search(
        self, what: SearchQuery, after: datetime, before: datetime | None = None, cursor: str | None = None
    ) -> Page[SearchHit]:
        """Return one page of the videos that were published at `after` or later. If `before` is given, all returned
        videos were published before this moment.

        `cursor`: the token of the page, or None for the first page. A search returns at most 500 items.
        """
        filters = {"publishedBefore": _utc_text(before)} if before else {}
        filters |= {"relevanceLanguage": what.language} if what.language else {}
        filters |= {"videoCategoryId": str(what.category_id)} if what.category_id is not None else {}
        filters |= {"q": what.text} if what.text else {}
        answer = self._call(
            SEARCHES,
            self._service.search().list(
                part="snippet",
                type="video",
                order=what.order,
                regionCode=what.region,
                publishedAfter=_utc_text(after),
                pageToken=cursor,
                maxResults=PAGE_SIZE,
                **filters,
            ),
        )
        return Page(answers.parse_items(_items(answer), answers.parse_hit), answers.next_page_token(answer.body))

    def channels(self, channel_ids: Sequence[str]) -> list[ChannelRecord]:
        """Return the records of the channels that exist. At most 50 ids may be given."""
        answer = self._call(
            UNITS,
            self._service.channels().list(part=_CHANNEL_PARTS, id=",".join(channel_ids), maxResults=PAGE_SIZE),
        )
        return answers.parse_items(_items(answer), lambda item: answers.parse_channel(item, answer.at))

    def channel_of(self, handle: str) -> ChannelRecord | None:
        """Return the channel with a handle such as `@name`, or None if there is no such channel."""
        answer = self._call(UNITS, self._service.channels().list(part=_CHANNEL_PARTS, forHandle=handle))
        records = answers.parse_items(_items(answer), lambda item: answers.parse_channel(item, answer.at))
        return replace(records[0], handle=records[0].handle or handle.lower()) if records else None

    def uploads(self, playlist: str, cursor: str | None = None) -> Page[Upload]:
        """Return one page of an uploads playlist, newest uploads first.

        Raises `YouTubeError` with `ErrorKind.NOT_FOUND` if the playlist no longer exists.
        """
        answer = self._call(
            UNITS,
            self._service.playlistItems().list(
                part="contentDetails", playlistId=playlist, pageToken=cursor, maxResults=PAGE_SIZE
            ),
        )
        return Page(answers.parse_items(_items(answer), answers.parse_upload), answers.next_page_token(answer.body))

    def videos(self, video_ids: Sequence[str], niche: str) -> list[VideoRecord]:
        """Return the current facts of the videos that exist and are public. At most 50 ids may be given."""
        return self._list_videos(niche, id=",".join(video_ids))

    def _list_videos(self, niche: str, **selection: str) -> list[VideoRecord]:
        request = self._service.videos().list(
            part=_VIDEO_PARTS, maxResults=PAGE_SIZE, maxWidth=_SQUARE, maxHeight=_SQUARE, **selection
        )
        answer = self._call(UNITS, request)
        return answers.parse_items(_items(answer), lambda item: answers.parse_video(item, niche, answer.at))

    def statistics(self, video_ids: Sequence[str]) -> tuple[list[Counts], datetime]:
        """Return the counts of the videos that exist, and the time of the counts. At most 50 ids may be given.

        The call `videos.batchGetStats` has its own quota bucket.
        """
        request = self._service.videos().batchGetStats(part="statistics", id=",".join(video_ids))
        answer = self._call(STATS, request)
        return answers.parse_items(_items(answer), answers.parse_counts), answer.at

    def existing_videos(self, video_ids: Sequence[str]) -> set[str]:
        """Return the ids of the videos that are public. At most 50 ids may be given.

        The call asks YouTube only for ids. So the result includes public videos whose title, length or counts the lab
        cannot read.
        """
        return self._existing(self._service.videos(), video_ids)

    def existing_channels(self, channel_ids: Sequence[str]) -> set[str]:
        """Return the ids of the channels that exist. At most 50 ids may be given."""
        return self._existing(self._service.channels(), channel_ids)

    def _existing(self, resource: Any, ids: Sequence[str]) -> set[str]:
        answer = self._call(UNITS, resource.list(part="id", id=",".join(ids), maxResults=PAGE_SIZE))
        return {str(item["id"]) for item in _items(answer) if isinstance(item, dict) and "id" in item}

    def may_train(self, video_id: str) -> bool:
        """Return whether the uploader allows everybody to train on the video. Return False if there is no such
        video."""
        try:
            return answers.may_train(self._call(UNITS, self._service.videoTrainability().get(id=video_id)).body)
        except YouTubeError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return False
            raise


def _items(answer: ApiAnswer) -> list[Json]:
    """Return the items of an answer. An answer without results may lack the key `items`."""
    items = answer.body.get("items", [])
    return items if isinstance(items, list) else []


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

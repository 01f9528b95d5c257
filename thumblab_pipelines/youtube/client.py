"""The calls of the YouTube Data API v3 that the lab makes, and their answers as records."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Engine

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.videos.records import ChannelRecord, VideoRecord
from thumblab_pipelines.youtube import answers
from thumblab_pipelines.youtube.answers import Counts, Hit, Json, Page, Upload
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError
from thumblab_pipelines.youtube.quota import SEARCHES, STATS, UNITS, Ledger
from thumblab_pipelines.youtube.transport import Answer, Transport, new_http

PAGE = 50
"""Ids and items per call, the most the API takes."""

_REAL_ENDPOINT = "https://youtube.googleapis.com/"
_VIDEO_PARTS = "snippet,contentDetails,statistics,player"
_SQUARE = 640
"""Pixels of the box that the player is to fit into; its sides then tell the shape of the video."""


class YouTube:
    """A client that any number of threads may share."""

    def __init__(self, service: Any, transport: Transport, ledger: Ledger) -> None:
        self._service = service
        self._transport = transport
        self._call = transport.call
        self.ledger = ledger

    @classmethod
    def connect(cls, settings: Settings, engine: Engine, keep: dict[str, int] | None = None) -> Self:
        """A client of the settings, which first asks YouTube what time it is.

        `keep` leaves so many calls per bucket to others, see `Ledger`. Raises `LabError` when no API key is set and
        `YouTubeError` when there is no way to YouTube.
        """
        if settings.youtube_api_key is None:
            raise LabError(
                "no YouTube API key is set; put THUMBLAB_YOUTUBE_API_KEY=... into .env, or bring a catalogue, which needs "
                "none: `thumblab import FOLDER --serve`"
            )
        from googleapiclient.discovery import build

        endpoint = settings.youtube_endpoint or _REAL_ENDPOINT
        service = build(
            "youtube",
            "v3",
            http=new_http(endpoint),  # stands for credentials, so that none are looked for on this machine
            client_options={"api_endpoint": endpoint},
            static_discovery=True,
            cache_discovery=False,
        )
        secret = settings.youtube_api_key.get_secret_value()
        ledger = Ledger.of(engine, settings, keep)
        transport = Transport(endpoint, secret, ledger, settings.youtube_first_wait_s)
        transport.ask_the_time()
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
        """The server's time as of its last answer (UTC): the lab goes by it, whatever this machine's clock says."""
        return self._transport.now

    def chart(self, category_id: int, region: str, niche: str) -> list[VideoRecord] | None:
        """The most popular videos of a category, None where the API no longer keeps such a chart."""
        try:
            answer = self._call(
                UNITS,
                self._service.videos().list(
                    part=_VIDEO_PARTS,
                    chart="mostPopular",
                    videoCategoryId=str(category_id),
                    regionCode=region,
                    maxResults=PAGE,
                    maxWidth=_SQUARE,
                    maxHeight=_SQUARE,
                ),
            )
        except YouTubeError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return None
            raise
        return answers.parsed(_items(answer), lambda item: answers.video(item, niche, answer.at))

    def search(
        self,
        category_id: int,
        region: str,
        after: datetime,
        before: datetime | None = None,
        cursor: str | None = None,
        language: str | None = None,
        order: str = "viewCount",
    ) -> Page[Hit]:
        """A page of the most viewed (or, by `date`, the newest) videos of a category published in a stretch of time.

        A search reaches 500 deep at most.
        """
        more = {"publishedBefore": _moment(before)} if before else {}
        more |= {"relevanceLanguage": language} if language else {}
        answer = self._call(
            SEARCHES,
            self._service.search().list(
                part="snippet",
                type="video",
                order=order,
                videoCategoryId=str(category_id),
                regionCode=region,
                publishedAfter=_moment(after),
                pageToken=cursor,
                maxResults=PAGE,
                **more,
            ),
        )
        return Page(answers.parsed(_items(answer), answers.hit), _next(answer))

    def channels(self, channel_ids: Sequence[str]) -> list[ChannelRecord]:
        """The channels that exist among at most 50 ids."""
        answer = self._call(
            UNITS,
            self._service.channels().list(
                part="snippet,statistics,contentDetails", id=",".join(channel_ids), maxResults=PAGE
            ),
        )
        return answers.parsed(_items(answer), lambda item: answers.channel(item, answer.at))

    def channel_of(self, handle: str) -> ChannelRecord | None:
        """The channel of a handle such as `@name`, None where there is none."""
        answer = self._call(
            UNITS, self._service.channels().list(part="snippet,statistics,contentDetails", forHandle=handle)
        )
        found = answers.parsed(_items(answer), lambda item: answers.channel(item, answer.at))
        return found[0] if found else None

    def uploads(self, playlist: str, cursor: str | None = None) -> Page[Upload]:
        """A page of an uploads playlist, the newest first. Raises `YouTubeError` (`NOT_FOUND`) when it is gone."""
        answer = self._call(
            UNITS,
            self._service.playlistItems().list(
                part="contentDetails", playlistId=playlist, pageToken=cursor, maxResults=PAGE
            ),
        )
        return Page(answers.parsed(_items(answer), answers.upload), _next(answer))

    def videos(self, video_ids: Sequence[str], niche: str) -> list[VideoRecord]:
        """The videos that exist and are public among at most 50 ids, as the API sees them now."""
        answer = self._call(
            UNITS,
            self._service.videos().list(
                part=_VIDEO_PARTS,
                id=",".join(video_ids),
                maxResults=PAGE,
                maxWidth=_SQUARE,
                maxHeight=_SQUARE,
            ),
        )
        return answers.parsed(_items(answer), lambda item: answers.video(item, niche, answer.at))

    def statistics(self, video_ids: Sequence[str]) -> tuple[list[Counts], datetime]:
        """The counts of those that exist among at most 50 ids, and when they were true. Has a quota of its own."""
        request = self._service.videos().batchGetStats(part="statistics", id=",".join(video_ids))
        answer = self._call(STATS, request)
        return answers.parsed(_items(answer), answers.statistics), answer.at

    def existing_videos(self, video_ids: Sequence[str]) -> set[str]:
        """Which of at most 50 videos are public: by the ids alone, so also those whose facts cannot be read."""
        return self._existing(self._service.videos(), video_ids)

    def existing_channels(self, channel_ids: Sequence[str]) -> set[str]:
        """The same of channels."""
        return self._existing(self._service.channels(), channel_ids)

    def _existing(self, resource: Any, ids: Sequence[str]) -> set[str]:
        answer = self._call(UNITS, resource.list(part="id", id=",".join(ids), maxResults=PAGE))
        return {str(item["id"]) for item in _items(answer) if isinstance(item, dict) and "id" in item}

    def may_train(self, video_id: str) -> bool:
        """Whether the uploader lets everybody train on the video; False where YouTube does not know it."""
        try:
            return answers.may_train(self._call(UNITS, self._service.videoTrainability().get(id=video_id)).body)
        except YouTubeError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return False
            raise


def _items(answer: Answer) -> list[Json]:
    """An answer without results may have no `items` at all."""
    items = answer.body.get("items", [])
    return items if isinstance(items, list) else []


def _next(answer: Answer) -> str | None:
    """The token of the page that follows; None on the last, and where it is no token."""
    token = answer.body.get("nextPageToken")
    return token if isinstance(token, str) and token else None


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

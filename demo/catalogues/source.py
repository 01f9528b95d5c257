"""The interface of a catalogue. The emulator can serve every catalogue with this interface."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from thumblab_core.niches import DEFAULT_NICHES

Broadcast = Literal["none", "live", "upcoming"]
Order = Literal["viewCount", "relevance", "date"]

CATEGORY_OF: dict[str, str] = {niche.name: str(niche.category_id) for niche in DEFAULT_NICHES}
"""The id of YouTube's video category for each niche."""


@dataclass(frozen=True, slots=True)
class CatalogueVideo:
    """A video as it was at the catalogue's `observed_at`. Times are UTC and views are lifetime totals.

    `aspect_ratio` is width over height, or None if unknown. `broadcast` says whether the video is live or upcoming. A
    live or upcoming video has no duration, even if `duration_s` is set. `hidden_counts` hides views and likes from the
    public. `language` is the BCP-47 code that the owner stated. `trainable` says who may train models on the video:
    `all`, `none`, or a list of parties.
    """

    video_id: str
    niche: str
    channel_id: str
    channel_title: str
    title: str
    views: int
    published_at: datetime
    duration_s: int
    tags: tuple[str, ...] = ()
    aspect_ratio: float | None = 16 / 9
    broadcast: Broadcast = "none"
    hidden_counts: bool = False
    language: str | None = None
    trainable: tuple[str, ...] = ("none",)


@dataclass(frozen=True, slots=True)
class CatalogueChannel:
    """A channel and its videos, the newest first. Videos with the same publication time are sorted by id, so that
    paging is stable.

    `handle` has no leading @. `videos` may be a sequence that computes a video only when it is accessed.
    """

    channel_id: str
    title: str
    niche: str
    videos: Sequence[CatalogueVideo]
    handle: str
    subscribers: int

    @property
    def uploads_playlist(self) -> str:
        """The id of the playlist of uploads. As on YouTube, the id is the channel id with `UU` in place of `UC`."""
        return "UU" + self.channel_id[2:]


@dataclass(frozen=True)
class Query:
    """A search for videos. The value None means no condition.

    A video matches if it was published at `after` or later, and earlier than `before`.
    """

    order: Order
    channel_id: str | None = None
    categories: frozenset[str] | None = None
    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class SearchResult:
    """The result of a query. `total` is the number of all matches.

    `videos` are the matches in the order of the query. If there are many matches, `videos` has only the first matches.
    """

    videos: Sequence[CatalogueVideo]
    total: int


@dataclass(frozen=True)
class PictureChange:
    """A change of a video's picture by its owner at the time `at`. `image` contains the bytes of the new JPEG file."""

    video_id: str
    at: datetime
    image: bytes


class Source(ABC):
    """A catalogue that the emulator can serve. The catalogue gives videos and channels by id, and pictures by video id.

    `observed_at` is the time of the view counts (UTC). The emulator's clock starts at this time.
    """

    observed_at: datetime

    @property
    @abstractmethod
    def video_count(self) -> int:
        """The number of videos."""

    @property
    @abstractmethod
    def channel_count(self) -> int:
        """The number of channels."""

    @abstractmethod
    def video(self, video_id: str) -> CatalogueVideo | None:
        """Return a video, or None for an unknown id."""

    @abstractmethod
    def channel(self, channel_id: str) -> CatalogueChannel | None:
        """Return a channel, or None for an unknown id."""

    @abstractmethod
    def channel_by_handle(self, handle: str) -> CatalogueChannel | None:
        """Return the channel with a handle, or None for an unknown handle. `handle` is in lower case and has no @."""

    @abstractmethod
    def search(self, query: Query, now: datetime) -> SearchResult:
        """Return the videos that match the query at the time `now`.

        The same query at the same time returns the same videos in the same order.
        """

    @abstractmethod
    def image(self, video_id: str) -> bytes:
        """Return a picture as JPEG bytes. Raise KeyError for an unknown id, and OSError for an unreadable file."""

    @abstractmethod
    def image_size(self, video_id: str) -> tuple[int, int]:
        """Return the width and height of `image(video_id)` in pixels. The picture is neither drawn nor read."""

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        """Return the views of a video at `now`. The views at `observed_at` are `video.views`, and views never shrink."""
        del now
        return video.views

    def channel_views(self, channel: CatalogueChannel, now: datetime) -> int:
        """Return the views of a channel at `now`. The views of a channel never shrink."""
        return sum(self.views(video, now) for video in channel.videos)

    def picture_effect(self, video: CatalogueVideo, jpeg: bytes) -> float:
        """Return the effect on views of showing a picture in place of the first picture of a video.

        While the picture is shown, views per hour are exp(effect) times the views per hour of the first picture. The
        effect is 0 if the catalogue does not know the picture.
        """
        del video, jpeg
        return 0.0

    def picture_changes(self, after: datetime, until: datetime) -> Sequence[PictureChange]:
        """Return the changes of pictures that are planned for a time later than `after` and not later than `until`.

        The changes are in the order of time.
        """
        del after, until
        return ()

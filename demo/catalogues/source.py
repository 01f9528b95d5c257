"""The interface between the emulator and its catalogues."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from thumblab_core.niches import Niche

Broadcast = Literal["none", "live", "upcoming"]
Order = Literal["viewCount", "relevance", "date"]

CATEGORY_OF: dict[str, str] = {niche.value: str(niche.category_id) for niche in Niche}
"""YouTube's category id by niche."""


@dataclass(frozen=True, slots=True)
class CatalogueVideo:
    """A video as it was at the catalogue's `observed_at`. Times are UTC and views are lifetime totals.

    `aspect_ratio` is width over height, or None if unknown. A live or upcoming video (`broadcast`) has no duration, whatever
    `duration_s` is. `hidden_counts` hides views and likes from the public. `language` is the BCP-47 code that the owner
    stated. `trainable` states who may train on the video: `all`, `none`, or parties by name.
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
    """A channel and its videos, newest first. Videos of equal time are ordered by id, so that paging is stable.

    `handle` has no leading @. `videos` may be computed on access.
    """

    channel_id: str
    title: str
    niche: str
    videos: Sequence[CatalogueVideo]
    handle: str
    subscribers: int

    @property
    def uploads_playlist(self) -> str:
        """The id of the uploads playlist: YouTube replaces the `UC` of the channel id by `UU`."""
        return "UU" + self.channel_id[2:]


@dataclass(frozen=True)
class Query:
    """A search for videos published from `after` (inclusive) to `before` (exclusive). None omits a condition."""

    order: Order
    channel_id: str | None = None
    categories: frozenset[str] | None = None
    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class SearchResult:
    """The first videos that match a query, in its order, and the `total` number of matches."""

    videos: Sequence[CatalogueVideo]
    total: int


class Source(ABC):
    """A catalogue: videos and channels by id, and pictures on request.

    `observed_at` is the time of the view counts (UTC). The emulator's clock starts there.
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
        """Return a channel by its handle, in lower case and without @, or None for an unknown handle."""

    @abstractmethod
    def search(self, query: Query, now: datetime) -> SearchResult:
        """Return the videos that match. Equal queries at an equal `now` return the same videos in the same order."""

    @abstractmethod
    def image(self, video_id: str) -> bytes:
        """Return a picture as JPEG bytes. Raises KeyError for an unknown id, OSError for an unreadable file."""

    @abstractmethod
    def image_size(self, video_id: str) -> tuple[int, int]:
        """Return width and height of `image(video_id)` in pixels, without drawing or reading the picture."""

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        """Return the views at `now`: `video.views` at `observed_at`, never fewer later."""
        del now
        return video.views

    def channel_views(self, channel: CatalogueChannel, now: datetime) -> int:
        """Return the views of a channel at `now`, never fewer later."""
        return sum(self.views(video, now) for video in channel.videos)

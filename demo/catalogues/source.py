"""What the emulator asks of a catalogue, however it holds its videos."""

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
    """A video as it stood at the catalogue's `observed_at`; times are UTC, views lifetime totals.

    `aspect_ratio` is width over height, None where nobody knows; a video that is no finished recording (`broadcast`) has no
    length, whatever `duration_s` says; `hidden_counts` keeps views and likes from the public; `language` is the BCP-47 code
    that its owner stated; `trainable` says who may train on it: `all`, `none`, or parties by name.
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
    """A channel and its videos, newest first (equal times: by id, so that paging is stable).

    `handle` is without its @; `videos` may be drawn up on demand.
    """

    channel_id: str
    title: str
    niche: str
    videos: Sequence[CatalogueVideo]
    handle: str
    subscribers: int

    @property
    def uploads_playlist(self) -> str:
        """YouTube's rule: the uploads of channel `UC...` are the playlist `UU...`."""
        return "UU" + self.channel_id[2:]


@dataclass(frozen=True)
class Query:
    """A search. `after` is inclusive, `before` is not; None leaves a condition out."""

    order: Order
    channel_id: str | None = None
    categories: frozenset[str] | None = None
    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Found:
    """The best of what a query asks for, in its order; `total` says how many there are."""

    videos: Sequence[CatalogueVideo]
    total: int


class Source(ABC):
    """Videos and channels by id, and the pictures on demand.

    `observed_at` is the moment the view counts are of (UTC), where the emulator's clock starts.
    """

    observed_at: datetime

    @property
    @abstractmethod
    def video_count(self) -> int: ...

    @property
    @abstractmethod
    def channel_count(self) -> int: ...

    @abstractmethod
    def video(self, video_id: str) -> CatalogueVideo | None: ...

    @abstractmethod
    def channel(self, channel_id: str) -> CatalogueChannel | None: ...

    @abstractmethod
    def channel_by_handle(self, handle: str) -> CatalogueChannel | None:
        """By a handle in small letters without its @."""

    @abstractmethod
    def search(self, query: Query, now: datetime) -> Found:
        """The same query gives the same videos in the same order while `now` is the same."""

    @abstractmethod
    def image(self, video_id: str) -> bytes:
        """The picture as JPEG bytes; KeyError for an unknown id, OSError when it cannot be read any more."""

    @abstractmethod
    def image_size(self, video_id: str) -> tuple[int, int]:
        """Width and height of `image(video_id)` in pixels, without drawing or reading it."""

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        """Views at a moment: `video.views` at `observed_at`, and never fewer later."""
        del now
        return video.views

    def channel_views(self, channel: CatalogueChannel, now: datetime) -> int:
        """All views of a channel at a moment; never fewer later."""
        return sum(self.views(video, now) for video in channel.videos)

"""A catalogue of any size. A video is computed only when it is requested, from the seed and the number of the video.

The memory that a catalogue needs depends on the number of its channels, and not on the number of its videos.

The newest video of a channel is its video 0. In a channel of n videos, video k was published `89 * (k + jitter) / n`
days before the catalogue's `observed_at`. The jitter is a random number from 0 to 1. The videos that a channel
published in a time window therefore have consecutive numbers.

Views do not depend on the pictures. The catalogue contains the kinds of videos that a collector must tell apart (see
`vast_fields.KINDS`).
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import overload

import cv2
import numpy as np

from demo.catalogues.drafts import CLOCK
from demo.catalogues.growth import views_at
from demo.catalogues.identifiers import ChannelIds, VideoIds
from demo.catalogues.motifs import HEIGHT, WIDTH
from demo.catalogues.source import CATEGORY_OF, CatalogueChannel, CatalogueVideo, Query, SearchResult, Source
from demo.catalogues.titles import VOCABULARY
from demo.catalogues.vast_fields import KINDS, PLAIN, kind_of, make_video
from demo.catalogues.vast_numbers import Numbers, Plan
from thumblab_core.niches import DEFAULT_NAMES

_FEWEST_UPLOADS = 10
_UNEVENNESS = 1.3
"""The standard deviation of ln(number of videos) over the channels."""
_SMALL_EVERY = 50
"""One of every `_SMALL_EVERY` channels has less than 100 subscribers."""
_RANKED = 600
"""The largest number of videos that a search returns."""
_CANDIDATES = 2_000
"""The number of videos in a random sample. A search looks for the most viewed videos only in this sample."""


@dataclass(frozen=True)
class Planted:
    """How many videos of each kind, and how many small channels, a vast catalogue has.

    `videos` has the number of videos of each kind, which is one of `vast_fields.KINDS` or `plain`. `small_channels` is
    the number of channels with less than 100 subscribers.

    A video counts for only one kind. An `upcoming` video has no views, but does not count as `few_views`. A `live` or
    `upcoming` video has no duration, but does not count as `under_a_minute`.
    """

    videos: dict[str, int]
    small_channels: int


class VastCatalogue(Source):
    """A computed catalogue with channels of very unequal size in all niches. Use `vast_catalogue` to create one."""

    def __init__(self, channels: int, videos: int, seed: int) -> None:
        if not len(DEFAULT_NAMES) <= channels <= videos:
            raise ValueError(
                f"a vast catalogue needs at least {len(DEFAULT_NAMES)} channels and a video for each channel; "
                f"got {channels} channels and {videos} videos"
            )
        self.observed_at = CLOCK
        self._seed = seed
        self._video_ids, self._channel_ids = VideoIds(seed), ChannelIds(seed)
        rng = np.random.default_rng(seed)
        levels = np.exp(rng.normal(10.0, 1.2, channels)).tolist()
        self._numbers = Numbers(_sizes(channels, videos, rng), levels, seed)
        self._channels = [self._make_channel(index, int(rng.integers(1, 100))) for index in range(channels)]
        self._handles = {channel.handle: index for index, channel in enumerate(self._channels)}
        self._cached_search = lru_cache(maxsize=16)(self._search)

    @property
    def video_count(self) -> int:
        return self._numbers.total

    @property
    def channel_count(self) -> int:
        return len(self._channels)

    @property
    def channel_ids(self) -> list[str]:
        """The ids of all channels."""
        return [channel.channel_id for channel in self._channels]

    def video(self, video_id: str) -> CatalogueVideo | None:
        index = self._video_ids.index(video_id)
        return None if index is None or index >= self.video_count else self.at(index)

    def channel(self, channel_id: str) -> CatalogueChannel | None:
        index = self._channel_ids.index(channel_id)
        return None if index is None or index >= self.channel_count else self._channels[index]

    def channel_by_handle(self, handle: str) -> CatalogueChannel | None:
        index = self._handles.get(handle)
        return None if index is None else self._channels[index]

    def search(self, query: Query, now: datetime) -> SearchResult:
        """Return some of the videos that match the query, in the order of the query.

        If the order is by date, the newest matches are returned. Otherwise, a sample of the matches is made, and its
        most viewed videos are returned. The sample has about equally many videos of each channel, evenly spaced in
        time. The order uses the views at `observed_at`.
        """
        del now
        return self._cached_search(query)

    def image(self, video_id: str) -> bytes:
        """Return a 640x360 JPEG with a random pattern of soft colours. No two videos have the same pattern."""
        colours = np.random.default_rng([self._seed, self._number(video_id)]).integers(
            0, 256, (9, 16, 3), dtype=np.uint8
        )
        picture = cv2.resize(colours, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        ok, encoded = cv2.imencode(".jpg", picture)
        if not ok:
            raise RuntimeError("OpenCV could not encode a random pattern as JPEG")
        return bytes(encoded.tobytes())

    def image_size(self, video_id: str) -> tuple[int, int]:
        del video_id
        return WIDTH, HEIGHT

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        return views_at(video, self.observed_at, now)

    def channel_views(self, channel: CatalogueChannel, now: datetime) -> int:
        """Return an estimate of the channel's views: the usual views of a video times the number of videos.

        For an exact sum, every video of the channel would have to be computed.
        """
        del now
        plan = self._numbers.plans[self._handles[channel.handle]]
        return round(plan.level * plan.size)

    def planted(self) -> Planted:
        """Return how many videos of each kind the catalogue has. Counting takes some microseconds for each video."""
        kinds: Counter[str] = Counter(dict.fromkeys((*KINDS, PLAIN), 0))
        kinds.update(kind_of(self._numbers.dice(number)) for number in range(self.video_count))
        return Planted(dict(kinds), sum(channel.subscribers < 100 for channel in self._channels))

    def kind(self, video_id: str) -> str:
        """Return the kind of a video, one of `vast_fields.KINDS` or `plain`. Raises KeyError for an unknown id."""
        return kind_of(self._numbers.dice(self._number(video_id)))

    def at(self, index: int) -> CatalogueVideo:
        """Return the video with the number `index`, which must be below `video_count`."""
        channel = self._numbers.channel(index)
        plan = self._numbers.plans[channel]
        published_at, dice = self._numbers.published(plan, index), self._numbers.dice(index)
        return make_video(self._video_ids.of(index), self._channels[channel], plan.level, published_at, dice)

    def position(self, video: CatalogueVideo) -> int:
        """Return the position of a video in its channel's uploads. Raises KeyError for an unknown video."""
        index = self._number(video.video_id)
        return index - self._numbers.plans[self._numbers.channel(index)].start

    def _number(self, video_id: str) -> int:
        index = self._video_ids.index(video_id)
        if index is None or index >= self.video_count:
            raise KeyError(video_id)
        return index

    def _make_channel(self, index: int, few_subscribers: int) -> CatalogueChannel:
        niche = DEFAULT_NAMES[index % len(DEFAULT_NAMES)]
        plan = self._numbers.plans[index]
        names = VOCABULARY[niche].channels
        title = f"{names[index // len(DEFAULT_NAMES) % len(names)]} {index}"
        handle = "".join(letter for letter in title.casefold() if letter.isalnum())
        small = index % _SMALL_EVERY == _SMALL_EVERY - 1
        subscribers = few_subscribers if small else max(100, int(float(f"{plan.level * 4:.2e}")))
        uploads = _Uploads(self, plan.start, plan.size)
        return CatalogueChannel(self._channel_ids.of(index), title, niche, uploads, handle, subscribers)

    def _search(self, query: Query) -> SearchResult:
        spans = [self._numbers.window(plan, query.after, query.before) for plan in self._matching_plans(query)]
        spans = [span for span in spans if span]
        if query.order == "date":
            videos = [self.at(index) for index in itertools.islice(self._numbers.newest(spans), _RANKED)]
        else:
            per_channel = max(1, _CANDIDATES // max(1, len(spans)))
            sample = (self.at(index) for span in spans for index in span[:: max(1, len(span) // per_channel)])
            videos = heapq.nsmallest(_RANKED, sample, key=lambda video: (-video.views, video.video_id))
        return SearchResult(videos, sum(map(len, spans)))

    def _matching_plans(self, query: Query) -> list[Plan]:
        """Return the `Plan` of each channel that matches the channel and the categories of the query."""
        if query.channel_id is None:
            numbers: Iterable[int] = range(self.channel_count)
        else:
            number = self._channel_ids.index(query.channel_id)
            numbers = [] if number is None or number >= self.channel_count else [number]
        categories = query.categories
        return [
            self._numbers.plans[number]
            for number in numbers
            if categories is None or CATEGORY_OF[self._channels[number].niche] in categories
        ]


class _Uploads(Sequence[CatalogueVideo]):
    """The videos of a channel, as a sequence that computes a video only when it is accessed."""

    def __init__(self, catalogue: VastCatalogue, start: int, size: int) -> None:
        self._catalogue = catalogue
        self._numbers = range(start, start + size)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> CatalogueVideo: ...

    @overload
    def __getitem__(self, at: slice) -> list[CatalogueVideo]: ...

    def __getitem__(self, at: int | slice) -> CatalogueVideo | list[CatalogueVideo]:
        if isinstance(at, slice):
            return [self._catalogue.at(number) for number in self._numbers[at]]
        return self._catalogue.at(self._numbers[at])

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """Return the position of a video in constant time. `Sequence.index` would compare the video with all other
        videos.
        """
        del start, stop
        if not isinstance(value, CatalogueVideo):  # `Sequence.index` raises ValueError too.
            raise ValueError(f"{value!r} is not a video of this channel")
        return self._catalogue.position(value)


def vast_catalogue(channels: int = 1500, videos: int = 200_000, seed: int = 7) -> VastCatalogue:
    """Return a catalogue of exactly `videos` videos in `channels` channels.

    Each channel has at least ten videos, if there are enough videos for this.

    Raises:
        ValueError: there are fewer channels than niches, or fewer videos than channels.
    """
    return VastCatalogue(channels, videos, seed)


def _sizes(channels: int, videos: int, rng: np.random.Generator) -> list[int]:
    """Return the number of videos of each channel. The sum is `videos`.

    All channels get the same minimum. The rest is divided in proportion to log-normal random numbers.
    """
    minimum = min(_FEWEST_UPLOADS, videos // channels)
    weights = rng.lognormal(0.0, _UNEVENNESS, channels)
    sizes = minimum + np.floor((videos - minimum * channels) * weights / weights.sum()).astype(int)
    sizes[int(np.argmax(weights))] += videos - int(sizes.sum())
    return [int(size) for size in sizes]

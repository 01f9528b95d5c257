"""A catalogue of any size that exists only where one looks: every video follows from the seed and its number.

Memory grows with the channels, not with the videos. The k-th newest of a channel's n videos was published
`89 * (k + jitter) / n` days before the clock, so that a window of time is a stretch of numbers.
There is no planted relation between pictures and views here; what is planted is what a collector should tell apart.
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

from demo.catalogues.growth import grown
from demo.catalogues.identifiers import ChannelIds, VideoIds
from demo.catalogues.motifs import HEIGHT, WIDTH
from demo.catalogues.source import CATEGORY_OF, CatalogueChannel, CatalogueVideo, Found, Query, Source
from demo.catalogues.synthetic import CLOCK
from demo.catalogues.titles import VOCABULARY
from demo.catalogues.vast_fields import KINDS, PLAIN, kind_of, made_up
from demo.catalogues.vast_numbers import Numbers, Plan
from thumblab_core.niches import NICHES

_FEWEST_UPLOADS = 10
_UNEVENNESS = 1.3  # standard deviation of the logarithm of a channel's size
_SMALL_EVERY = 50  # one channel in so many has under 100 subscribers
_RANKED = 600  # how deep a search is answered
_CANDIDATES = 2_000  # and among how many it looks for the most viewed


@dataclass(frozen=True)
class Planted:
    """What there is to be found, by kind (`vast_fields.KINDS` and `plain`; each video is of one).

    A video that is `upcoming` has no views and one that is not finished has no length, which makes them no other kind.
    """

    videos: dict[str, int]
    of_small_channels: dict[str, int]
    small_channels: int


class VastCatalogue(Source):
    """Channels of very unequal size over all niches; made by `vast_catalogue`."""

    def __init__(self, channels: int, videos: int, seed: int) -> None:
        if not len(NICHES) <= channels <= videos:
            raise ValueError(
                f"at least {len(NICHES)} channels and a video for each are needed; got {channels}, {videos}"
            )
        self.observed_at = CLOCK
        self._seed = seed
        self._video_ids, self._channel_ids = VideoIds(seed), ChannelIds(seed)
        rng = np.random.default_rng(seed)
        levels = np.exp(rng.normal(10.0, 1.2, channels)).tolist()
        self._numbers = Numbers(_sizes(channels, videos, rng), levels, seed)
        self._channels = [self._made_channel(index, int(rng.integers(1, 100))) for index in range(channels)]
        self._handles = {channel.handle: index for index, channel in enumerate(self._channels)}
        self._find = lru_cache(maxsize=16)(self._found)

    @property
    def video_count(self) -> int:
        return self._numbers.total

    @property
    def channel_count(self) -> int:
        return len(self._channels)

    @property
    def channel_ids(self) -> list[str]:
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

    def search(self, query: Query, now: datetime) -> Found:
        """Views are compared as they were at `observed_at`, among an even sample of every channel's videos."""
        del now
        return self._find(query)

    def image(self, video_id: str) -> bytes:
        """640x360: a random pattern of soft colours, another one for each video."""
        colours = np.random.default_rng([self._seed, self._known(video_id)]).integers(
            0, 256, (9, 16, 3), dtype=np.uint8
        )
        picture = cv2.resize(colours, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        ok, encoded = cv2.imencode(".jpg", picture)
        if not ok:
            raise RuntimeError("OpenCV could not encode a pattern")
        return bytes(encoded.tobytes())

    def image_size(self, video_id: str) -> tuple[int, int]:
        del video_id
        return WIDTH, HEIGHT

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        return grown(video, self.observed_at, now)

    def channel_views(self, channel: CatalogueChannel, now: datetime) -> int:
        """About what its videos come to: the sum is not worth making every one of them up."""
        del now
        plan = self._numbers.plans[self._handles[channel.handle]]
        return round(plan.level * plan.size)

    def planted(self) -> Planted:
        """Counts by kind; looks at every video, which takes some microseconds each."""
        every: Counter[str] = Counter(dict.fromkeys((*KINDS, PLAIN), 0))
        small: Counter[str] = every.copy()
        small_channels = [index for index, channel in enumerate(self._channels) if channel.subscribers < 100]
        for index, plan in enumerate(self._numbers.plans):
            kinds = Counter(kind_of(self._numbers.dice(number)) for number in range(plan.start, plan.stop))
            every.update(kinds)
            if index in small_channels:
                small.update(kinds)
        return Planted(dict(every), dict(small), len(small_channels))

    def kind(self, video_id: str) -> str:
        """One of `vast_fields.KINDS`, or `plain`; KeyError for an unknown id."""
        return kind_of(self._numbers.dice(self._known(video_id)))

    def at(self, index: int) -> CatalogueVideo:
        """The video of a number below `video_count`."""
        number = self._numbers.channel(index)
        plan = self._numbers.plans[number]
        published_at, dice = self._numbers.published(plan, index), self._numbers.dice(index)
        return made_up(self._video_ids.of(index), self._channels[number], plan.level, published_at, dice)

    def position(self, video: CatalogueVideo) -> int:
        """Where it stands in its channel's uploads; KeyError for one of another catalogue."""
        index = self._known(video.video_id)
        return index - self._numbers.plans[self._numbers.channel(index)].start

    def _known(self, video_id: str) -> int:
        index = self._video_ids.index(video_id)
        if index is None or index >= self.video_count:
            raise KeyError(video_id)
        return index

    def _made_channel(self, index: int, few: int) -> CatalogueChannel:
        niche = NICHES[index % len(NICHES)]
        plan = self._numbers.plans[index]
        names = VOCABULARY[niche].channels
        title = f"{names[index // len(NICHES) % len(names)]} {index}"
        handle = "".join(letter for letter in title.casefold() if letter.isalnum())
        small = index % _SMALL_EVERY == _SMALL_EVERY - 1
        subscribers = few if small else max(100, int(float(f"{plan.level * 4:.2e}")))
        uploads = _Uploads(self, plan.start, plan.size)
        return CatalogueChannel(self._channel_ids.of(index), title, niche, uploads, handle, subscribers)

    def _found(self, query: Query) -> Found:
        spans = [self._numbers.window(plan, query.after, query.before) for plan in self._asked(query)]
        spans = [span for span in spans if span]
        if query.order == "date":
            best = [self.at(index) for index in itertools.islice(self._numbers.newest(spans), _RANKED)]
        else:
            each = max(1, _CANDIDATES // max(1, len(spans)))
            sample = (self.at(index) for span in spans for index in span[:: max(1, len(span) // each)])
            best = heapq.nsmallest(_RANKED, sample, key=lambda video: (-video.views, video.video_id))
        return Found(best, sum(map(len, spans)))

    def _asked(self, query: Query) -> list[Plan]:
        """The channels that can have what is asked for."""
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
    """A channel's videos, made up when they are looked at."""

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
        """O(1), where a sequence would look at one after another."""
        del start, stop
        if not isinstance(value, CatalogueVideo):  # as a sequence's own `index` says it
            raise ValueError(f"{value!r} is no video")
        return self._catalogue.position(value)


def vast_catalogue(channels: int = 1500, videos: int = 200_000, seed: int = 7) -> VastCatalogue:
    """A catalogue of exactly so many videos, at least ten in each channel where there are enough.

    Raises:
        ValueError: fewer channels than niches, or fewer videos than channels.
    """
    return VastCatalogue(channels, videos, seed)


def _sizes(channels: int, videos: int, rng: np.random.Generator) -> list[int]:
    """Very unequal numbers that add up: the same few to each channel, the rest by a log-normal law."""
    few = min(_FEWEST_UPLOADS, videos // channels)
    weights = rng.lognormal(0.0, _UNEVENNESS, channels)
    sizes = few + np.floor((videos - few * channels) * weights / weights.sum()).astype(int)
    sizes[int(np.argmax(weights))] += videos - int(sizes.sum())
    return [int(size) for size in sizes]

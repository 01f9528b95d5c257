"""The numbering of the videos of the vast catalogue: channel by channel, newest first, without gaps."""

import heapq
import itertools
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from demo.catalogues.synthetic import CLOCK
from demo.catalogues.vast_fields import SPAN_DAYS, Dice, age_seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """The first number of a channel's videos, how many there are, and `level`, the usual final number of views."""

    start: int
    size: int
    level: float

    @property
    def stop(self) -> int:
        """The number after the channel's last video."""
        return self.start + self.size


class Numbers:
    """Computes channel, publication time and random numbers of a video from its number.

    Args:
        sizes: number of videos of each channel.
        levels: usual final number of views in each channel.
        seed: determines all random numbers.
    """

    def __init__(self, sizes: Sequence[int], levels: Sequence[float], seed: int) -> None:
        self._key = struct.pack("<q", seed)
        starts = [0, *itertools.accumulate(sizes)]
        self.total = starts.pop()
        self.plans = [Plan(*fields) for fields in zip(starts, sizes, levels, strict=True)]
        self._starts = starts

    def channel(self, index: int) -> int:
        """Return the number of the channel of a video."""
        return bisect_right(self._starts, index) - 1

    def dice(self, index: int) -> Dice:
        """Return the random numbers of a video."""
        return struct.unpack("<8Q", blake2b(struct.pack("<Q", index), key=self._key).digest())

    def published(self, plan: Plan, index: int) -> datetime:
        """Return the publication time of a video of the channel."""
        return CLOCK - timedelta(seconds=age_seconds(index - plan.start, plan.size, self.dice(index)))

    def window(self, plan: Plan, after: datetime | None, before: datetime | None) -> range:
        """Return the numbers of a channel's videos published from `after` (inclusive) to `before` (exclusive)."""
        first, last = plan.start, plan.stop
        if before is not None:
            first = self._first_before(plan, before)
        if after is not None:
            # The first video older than `after`, so that a video published exactly then is included.
            last = self._first_before(plan, after)
        return range(first, max(first, last))

    def newest(self, spans: Sequence[range]) -> Iterator[int]:
        """Yield the videos of several windows, latest first, and compute only as many as are requested."""
        return (index for _, index in heapq.merge(*map(self._dated, spans)))

    def _dated(self, span: range) -> Iterator[tuple[float, int]]:
        plan = self.plans[self.channel(span.start)]
        for index in span:
            yield -self.published(plan, index).timestamp(), index

    def _first_before(self, plan: Plan, moment: datetime) -> int:
        """Return the newest video that is older than the moment.

        The even spacing of videos gives a guess, from which a short scan finds the video.
        """
        days = (CLOCK - moment).total_seconds() / 86_400
        index = plan.start + min(plan.size, max(0, int(plan.size * days / SPAN_DAYS) - 1))
        while index < plan.stop and self.published(plan, index) >= moment:
            index += 1
        return index

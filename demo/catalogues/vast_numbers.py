"""How the videos of the vast catalogue are numbered: channel by channel, each channel's newest first, without gaps."""

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
    """Where a channel's videos begin in the numbering, how many they are, and the views they come to on the long run."""

    start: int
    size: int
    level: float

    @property
    def stop(self) -> int:
        return self.start + self.size


class Numbers:
    """What can be said of a video from its number alone.

    Args:
        sizes: videos by channel.
        levels: views that a video comes to on the long run, by channel.
        seed: of everything.
    """

    def __init__(self, sizes: Sequence[int], levels: Sequence[float], seed: int) -> None:
        self._key = struct.pack("<q", seed)
        starts = [0, *itertools.accumulate(sizes)]
        self.total = starts.pop()
        self.plans = [Plan(*fields) for fields in zip(starts, sizes, levels, strict=True)]
        self._starts = starts

    def channel(self, index: int) -> int:
        """The number of a video's channel."""
        return bisect_right(self._starts, index) - 1

    def dice(self, index: int) -> Dice:
        return struct.unpack("<8Q", blake2b(struct.pack("<Q", index), key=self._key).digest())

    def published(self, plan: Plan, index: int) -> datetime:
        return CLOCK - timedelta(seconds=age_seconds(index - plan.start, plan.size, self.dice(index)))

    def window(self, plan: Plan, after: datetime | None, before: datetime | None) -> range:
        """A channel's videos that were published at or after the one moment and before the other."""
        first, last = plan.start, plan.stop
        if before is not None:
            first = self._first_before(plan, before)
        if after is not None:
            last = self._first_before(plan, after)  # the first that is older: one of that very moment is in
        return range(first, max(first, last))

    def newest(self, spans: Sequence[range]) -> Iterator[int]:
        """The videos of several windows, latest first, looked at no further than one goes on."""
        return (index for _, index in heapq.merge(*map(self._dated, spans)))

    def _dated(self, span: range) -> Iterator[tuple[float, int]]:
        plan = self.plans[self.channel(span.start)]
        for index in span:
            yield -self.published(plan, index).timestamp(), index

    def _first_before(self, plan: Plan, moment: datetime) -> int:
        """The newest video that is older than the moment: guessed from the even spacing, then found among neighbours."""
        days = (CLOCK - moment).total_seconds() / 86_400
        index = plan.start + min(plan.size, max(0, int(plan.size * days / SPAN_DAYS) - 1))
        while index < plan.stop and self.published(plan, index) >= moment:
            index += 1
        return index

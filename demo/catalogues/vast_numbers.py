"""Number the videos of the vast catalogue, and compute a video's channel and publication time from its number.

The videos are numbered without gaps, channel by channel, and the newest video of each channel first.
"""

import heapq
import itertools
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from demo.catalogues.drafts import CLOCK
from demo.catalogues.vast_fields import SPAN_DAYS, Dice, age_seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """The videos of one channel. Their numbers are the `size` numbers from `start` on.

    `level` is the final number of views that videos of the channel usually reach.
    """

    start: int
    size: int
    level: float

    @property
    def stop(self) -> int:
        """The largest video number of the channel, plus 1."""
        return self.start + self.size


class Numbers:
    """The numbering of a catalogue. The numbering computes the channel, publication time and random numbers of a video.

    Args:
        sizes: the number of videos of each channel.
        levels: for each channel, the final number of views that its videos usually reach.
        seed: the seed of all random numbers.
    """

    def __init__(self, sizes: Sequence[int], levels: Sequence[float], seed: int) -> None:
        self._key = struct.pack("<q", seed)
        starts = [0, *itertools.accumulate(sizes)]
        self.total = starts.pop()
        self.plans = [Plan(*fields) for fields in zip(starts, sizes, levels, strict=True)]
        self._starts = starts

    def channel(self, index: int) -> int:
        """Return the number of the channel to which the video `index` belongs."""
        return bisect_right(self._starts, index) - 1

    def dice(self, index: int) -> Dice:
        """Return the eight random numbers of the video `index`."""
        return struct.unpack("<8Q", blake2b(struct.pack("<Q", index), key=self._key).digest())

    def published(self, plan: Plan, index: int) -> datetime:
        """Return the publication time of the video `index`. `plan` is the plan of its channel."""
        return CLOCK - timedelta(seconds=age_seconds(index - plan.start, plan.size, self.dice(index)))

    def window(self, plan: Plan, after: datetime | None, before: datetime | None) -> range:
        """Return the numbers of a channel's videos that were published at `after` or later, and before `before`."""
        first, last = plan.start, plan.stop
        if before is not None:
            first = self._first_before(plan, before)
        if after is not None:
            # The range ends before the first video that is older than `after`. A video that was published exactly at
            # `after` is therefore in the range.
            last = self._first_before(plan, after)
        return range(first, max(first, last))

    def newest(self, spans: Sequence[range]) -> Iterator[int]:
        """Yield the numbers in the ranges `spans`, the number of the latest video first. `window` makes such ranges.

        A number is computed only when the caller asks for it.
        """
        return (index for _, index in heapq.merge(*map(self._dated, spans)))

    def _dated(self, span: range) -> Iterator[tuple[float, int]]:
        plan = self.plans[self.channel(span.start)]
        for index in span:
            yield -self.published(plan, index).timestamp(), index

    def _first_before(self, plan: Plan, moment: datetime) -> int:
        """Return the number of the newest video that the channel published before `moment`.

        Videos are spaced about evenly in time, which gives a first guess. A short scan from the guessed video finds the
        right video.
        """
        days = (CLOCK - moment).total_seconds() / 86_400
        index = plan.start + min(plan.size, max(0, int(plan.size * days / SPAN_DAYS) - 1))
        while index < plan.stop and self.published(plan, index) >= moment:
            index += 1
        return index

"""Choose which items of a library a search may find, by publication day, outlier multiple and channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from thumblab_core.index.items import Item, PublishedBetween

_ANY_DAY = PublishedBetween()
_NO_DAY = 0
"""The ordinal of an unknown day. `date.toordinal` returns at least 1."""
_UNKNOWN = -1


@dataclass(frozen=True)
class ChannelName:
    """The id and the title of a channel. An item belongs to this channel if the item has the channel's id.

    If the id of the item or of the channel is not known, the exact titles are compared instead.
    """

    channel_id: str | None
    title: str | None

    def is_of(self, item: Item) -> bool:
        if self.channel_id is not None and item.channel_id is not None:
            return item.channel_id == self.channel_id
        return self.title is not None and item.channel == self.title


@dataclass(frozen=True)
class Filter:
    """The conditions for items that a search may find. Without arguments, every item is found.

    `least_multiple`: the smallest `outlier_multiple` of an item that is found. If it is given, items without a multiple
    are not found. `not_by`: a channel whose items are left out. `not_video`: the id of a video that is left out.
    """

    published: PublishedBetween = _ANY_DAY
    least_multiple: float | None = None
    not_by: ChannelName | None = None
    not_video: str | None = None

    @property
    def admits_all_but_one(self) -> bool:
        """Whether the filter admits every item, or every item except `not_video`."""
        return self.published == _ANY_DAY and self.least_multiple is None and self.not_by is None

    def admits(self, item: Item) -> bool:
        multiple = item.outlier_multiple
        return (
            item.video_id != self.not_video
            and self.published.admits(item)
            and (self.least_multiple is None or (multiple is not None and multiple >= self.least_multiple))
            and (self.not_by is None or not self.not_by.is_of(item))
        )


class Columns:
    """The fields of many items as arrays, so that a `Filter` is applied to all items at once."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._days = np.array([_NO_DAY if i.published_on is None else i.published_on.toordinal() for i in items], "i4")
        self._multiples = np.array([np.nan if i.outlier_multiple is None else i.outlier_multiple for i in items], "f8")
        self._ids, self._by_id = _coded([item.channel_id for item in items])
        self._titles, self._by_title = _coded([item.channel for item in items])

    def admitted(self, only: Filter) -> npt.NDArray[np.bool_]:
        """Return which items `only` admits, as bool [n]. `only.not_video` is not applied."""
        found = np.ones(len(self._days), np.bool_)
        if only.published != _ANY_DAY:
            since, until = only.published.since or date.min, only.published.until or date.max
            found &= (self._days != _NO_DAY) & (self._days >= since.toordinal()) & (self._days <= until.toordinal())
        if only.least_multiple is not None:
            # A missing multiple is NaN. Each comparison with NaN is false, so the item is left out.
            found &= self._multiples >= only.least_multiple
        if only.not_by is not None:
            found &= ~self._is_of(only.not_by)
        return found

    def _is_of(self, channel: ChannelName) -> npt.NDArray[np.bool_]:
        unknown = _UNKNOWN - 1  # No item has this code.
        title = unknown if channel.title is None else self._by_title.get(channel.title, unknown)
        found: npt.NDArray[np.bool_] = self._titles == title
        if channel.channel_id is not None:
            same_id = self._ids == self._by_id.get(channel.channel_id, unknown)
            found = np.where(self._ids == _UNKNOWN, found, same_id)
        return found


def _coded(names: Sequence[str | None]) -> tuple[npt.NDArray[np.int32], dict[str, int]]:
    """Return the codes of `names`, and a dictionary from a name to its code. The code of None is `_UNKNOWN`."""
    numbers: dict[str, int] = {}
    coded = [_UNKNOWN if name is None else numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(coded, np.int32), numbers

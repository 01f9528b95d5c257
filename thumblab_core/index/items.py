"""Data classes of a library: its items, the neighbours that a search returns, and the publication days to which a
search is limited.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import islice, tee
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thumblab_core.errors import LabError

MAX_NEIGHBOURS = 200
"""Maximum number of neighbours that any part of the lab requests.

The recall of an index is measured on searches for this many neighbours.
"""

WINNER_MULTIPLE = 2.0
"""Minimum views of a winner, as a multiple of its channel's usual views."""
WINNER_VIEWS_PER_HOUR = 10.0
WINNER_VIEWS_PER_HOUR_WITHOUT_BASELINE = 1_000.0
"""Minimum views per hour of a winner whose channel has no baseline yet."""
WINNER_RULE = (
    f"At least {WINNER_MULTIPLE:g} times what its channel usually gets, and {WINNER_VIEWS_PER_HOUR:g} views an hour; where "
    f"the channel has no baseline yet, {WINNER_VIEWS_PER_HOUR_WITHOUT_BASELINE:,.0f} views an hour."
)
"""The definition of a winner, in words for people."""


def typical_neighbours(count: int) -> int:
    """Return the number of neighbours that a thumbnail is compared with, to measure how typical it is.

    `count` is the number of items in the library.
    """
    return min(MAX_NEIGHBOURS, max(1, count // 10))


_ROUNDING = 1e-6
"""Tolerance for comparing cosines, because FAISS, numpy and PostgreSQL round the same cosine a little differently."""


def percentile_among(sorted_means: npt.NDArray[np.float32], mean: np.float32) -> float:
    """Return how typical of a library a picture is: the percentage of `sorted_means` that are at most `mean`.

    `mean` is the picture's mean cosine to its nearest neighbours in the library. `sorted_means` [n] are the same mean
    cosines of the pictures in the library, in rising order.
    """
    count = np.searchsorted(sorted_means, mean + _ROUNDING, side="right")
    return float(count / len(sorted_means) * 100.0)


class LibraryError(LabError):
    """Raised if a library cannot be built, changed, searched or read."""


class RebuildRequiredError(LibraryError):
    """Raised if the served library cannot be changed and must be built again instead."""


@dataclass(frozen=True)
class Item:
    """One video of the library.

    `outlier_multiple` is the video's views divided by the median views of its channel's videos in the same age band. If
    there are too few such videos, `outlier_multiple` is the video's views per hour divided by the channel's median
    views per hour. If the channel has no baseline, `outlier_multiple` is None. `published_on`, `views` (at the latest
    observation) and `channel_id` are None in old releases, which did not record them.
    """

    video_id: str
    title: str
    channel: str
    url: str | None
    views_per_hour: float
    outlier_multiple: float | None
    published_on: date | None = None
    views: int | None = None
    channel_id: str | None = None

    @property
    def winner(self) -> bool:
        """Whether the video is a winner, see `WINNER_RULE`.

        A winner also needs a minimum of views per hour. Without this minimum, a video of a channel with very few views
        could be a winner by chance. If the channel has no baseline, there is no multiple, and the minimum is much
        higher.
        """
        if self.outlier_multiple is None:
            return self.views_per_hour >= WINNER_VIEWS_PER_HOUR_WITHOUT_BASELINE
        return self.outlier_multiple >= WINNER_MULTIPLE and self.views_per_hour >= WINNER_VIEWS_PER_HOUR


class Neighbour(NamedTuple):
    """A library item and its cosine to the query."""

    item: Item
    similarity: float


class Found(NamedTuple):
    """The result of a search with a `Filter`.

    `vectors`, float32 [m, d], belong to the m `neighbours`. `total` is the number of items that the filter admits.
    """

    neighbours: list[Neighbour]
    vectors: npt.NDArray[np.float32]
    total: int


def examples_of(near: Iterable[Neighbour], k: int) -> list[Neighbour]:
    """Return the first k winners of `near`, which is sorted nearest first.

    If no neighbour is a winner, return the first k neighbours. No neighbour after the k-th winner is read.
    """
    first, rest = tee(near)
    return list(islice((neighbour for neighbour in rest if neighbour.item.winner), k)) or list(islice(first, k))


@dataclass(frozen=True)
class PublishedBetween:
    """The days of publication to which a search is limited, from `since` to `until`, both included.

    If `since` or `until` is None, the search has no limit on that side. With any limit, a video without a known day of
    publication is not found.
    """

    since: date | None = None
    until: date | None = None

    def admits(self, item: Item) -> bool:
        if self.since is None and self.until is None:
            return True
        day = item.published_on
        return day is not None and (self.since or day) <= day <= (self.until or day)

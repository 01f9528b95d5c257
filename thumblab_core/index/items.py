"""What a library says of a video, and which videos a search is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thumblab_core.errors import LabError

MAX_NEIGHBOURS = 200
"""No question of the lab needs more; the recall of a library is measured at this many."""


OUTLIER, LEAST_RATE, UNMEASURED_RATE = 2.0, 10.0, 1_000.0
WINNER = (
    f"At least {OUTLIER:g} times what its channel usually gets, and {LEAST_RATE:g} views an hour; where the channel has no "
    f"baseline yet, {UNMEASURED_RATE:,.0f} views an hour."
)
"""What a winner is, in words."""

_ROUNDING = 1e-6
"""FAISS, numpy and PostgreSQL round the same cosine differently; equal cosines must count as equal."""


def typical_neighbours(count: int) -> int:
    """How many neighbours say how at home a picture is in a library of that many."""
    return min(MAX_NEIGHBOURS, max(1, count // 10))


def percentile_among(sorted_means: npt.NDArray[np.float32], mean: np.float32) -> float:
    """Return the percentile of a picture, 0 to 100: the share of a library's pictures that have at most its mean cosine.

    `mean` is its mean cosine to its nearest neighbours; `sorted_means` [n] is the same of each picture of the library to
    the others.
    """
    count = np.searchsorted(sorted_means, mean + _ROUNDING, side="right")
    return float(count / len(sorted_means) * 100.0)


class LibraryError(LabError):
    """The index cannot be built, searched or read."""


class RebuildRequiredError(LibraryError):
    """What is served cannot take this change in place: the library has to be built anew."""


@dataclass(frozen=True)
class Item:
    """One video of the library.

    `outlier_multiple`: its views over the median of its channel's videos in the same age band (`age_band` of the
    database); where the channel has too few of them, its views per hour over the channel's median at any age; None where
    the channel has no baseline. `published_on` is None in releases made before they said so.
    """

    video_id: str
    title: str
    channel: str
    url: str | None
    views_per_hour: float
    outlier_multiple: float | None
    published_on: date | None = None

    @property
    def winner(self) -> bool:
        """See `WINNER`: a multiple of what is next to nothing says nothing, and nor does a rate without a channel's usual
        unless it is one that trends."""
        if self.outlier_multiple is None:
            return self.views_per_hour >= UNMEASURED_RATE
        return self.outlier_multiple >= OUTLIER and self.views_per_hour >= LEAST_RATE


class Neighbour(NamedTuple):
    """A library item and its cosine to the query."""

    item: Item
    similarity: float


def examples_of(near: Sequence[Neighbour], k: int) -> list[Neighbour]:
    """Of neighbours, nearest first, the k nearest winners; where none of them is one, the k nearest of any kind."""
    return [neighbour for neighbour in near if neighbour.item.winner][:k] or list(near[:k])


@dataclass(frozen=True)
class Only:
    """Which videos are searched: those published from `since` to `until`, both included. None: no bound.

    A video whose day is not known is outside of any bound.
    """

    since: date | None = None
    until: date | None = None

    def admits(self, item: Item) -> bool:
        if self.since is None and self.until is None:
            return True
        day = item.published_on
        return day is not None and (self.since or day) <= day <= (self.until or day)

"""What a library says of a video, and which videos a search is about."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from thumblab_core.errors import LabError

MAX_NEIGHBOURS = 200
"""No question of the lab needs more; the recall of a library is measured at this many."""


ROUNDING = 1e-6
"""The same cosine comes out a little differently of FAISS, numpy and PostgreSQL: what is equal must count as equal."""


def typical_neighbours(count: int) -> int:
    """How many neighbours say how at home a picture is in a library of that many."""
    return min(MAX_NEIGHBOURS, max(1, count // 10))


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
        """At or above what its channel usually gets; a video without a baseline trended on its own."""
        return self.outlier_multiple is None or self.outlier_multiple >= 1.0


class Neighbour(NamedTuple):
    """A library item and its cosine to the query."""

    item: Item
    similarity: float


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

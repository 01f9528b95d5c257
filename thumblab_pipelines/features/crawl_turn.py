"""Separate the crawl's videos from the other videos of a niche, and limit how long one run works on the crawl's videos.

A crawl may find a hundred thousand videos. The daily refresh works only on the other videos of a niche, so the refresh
never takes much longer after a crawl. Runs in the background work on the crawl's videos, each for a few minutes.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, select

from thumblab_core.database.tables import crawl_videos
from thumblab_pipelines.lab import Lab

BACKGROUND_SECONDS = 600.0
"""Seconds for which one run in the background works on the crawl's videos."""

_SLICE = 64
"""Number of pictures or titles in a slice. A run checks only between two slices whether its time is used up."""
_ON_CLUSTER = 32
"""Factor for the size of a slice on a Ray cluster. The slices are larger there, because the workers start again for
each slice."""

T = TypeVar("T")


def kept_by_crawl(niche: str) -> Select[Any]:
    """Return an SQL statement that selects the ids of the videos that the crawl keeps in a niche."""
    return select(crawl_videos.c.video_id).where(crawl_videos.c.niche == niche, crawl_videos.c.outcome == "kept")


class CrawlTurn:
    """The time that one run may spend on the crawl's videos of a niche.

    `seconds`: how long the run works on the crawl's videos. If `seconds` is 0, all of the crawl's videos are left to
    other runs. If `seconds` is None, the crawl's videos are treated like other videos. `urgent`: ids of the crawl's
    videos that are treated like other videos. `left`: number of pictures and titles that this run has left to other
    runs.
    """

    def __init__(self, lab: Lab, niche: str, seconds: float | None, urgent: Collection[str] = ()) -> None:
        self._seconds = seconds
        self._slice = _SLICE * (_ON_CLUSTER if lab.settings.ray_address else 1)
        self._crawled: Collection[str] = ()
        self._used = 0.0
        self.left = 0
        if seconds is not None:
            with lab.engine.connect() as connection:
                self._crawled = frozenset(connection.scalars(kept_by_crawl(niche))) - frozenset(urgent)

    def split(self, work: Sequence[T], video_id: Callable[[T], str]) -> tuple[list[T], list[T]]:
        """Return two lists: the work on videos that the crawl has not found, and the work on videos that it has found.

        `video_id` returns the id of the video that a piece of work is about.
        """
        crawled = [piece for piece in work if video_id(piece) in self._crawled]
        return [piece for piece in work if video_id(piece) not in self._crawled], crawled

    def spend(self, work: Sequence[T], do: Callable[[Sequence[T]], None]) -> None:
        """Call `do` with slices of `work` until the time of this run is used up.

        Then add the number of the remaining items of `work` to `left`.
        """
        for start in range(0, len(work), self._slice):
            if self._seconds is not None and self._used >= self._seconds:
                self.left += len(work) - start
                return
            began = time.monotonic()
            do(work[start : start + self._slice])
            self._used += time.monotonic() - began

"""Find the thumbnails to request: missing thumbnails, and known thumbnails that are due for another check."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, and_, case, func, select

from thumblab_core.database.tables import thumbnails, videos
from thumblab_pipelines.lab import Lab

_YOUNG = timedelta(days=14)
"""The thumbnail of a video below this age is checked daily."""

_DAILY = timedelta(days=1)
_EARLY = timedelta(hours=4)
"""A thumbnail may be checked this long before its next check is due.

Without this margin, a daily run would skip a thumbnail if the run starts a little less than a day after the last run.
"""


@dataclass(frozen=True)
class Wanted:
    """A video whose thumbnail is to be requested.

    `urls`: one URL for each size of the thumbnail, best size first. `known`: the video's row in the table `thumbnails`,
    or None if the lab has no picture of the video. `again`: whether the thumbnail was requested before.
    """

    video_id: str
    urls: Sequence[str]
    known: Row[Any] | None
    again: bool


def missing_thumbnails(lab: Lab, niche: str) -> tuple[int, list[Wanted]]:
    """Return how many videos of the niche have a picture, and the videos whose thumbnail was never requested."""
    joined = videos.outerjoin(thumbnails, thumbnails.c.video_id == videos.c.video_id)
    had = select(func.count(thumbnails.c.sha256)).select_from(joined).where(videos.c.niche == niche)
    never = (
        select(videos.c.video_id, videos.c.thumbnail_urls)
        .select_from(joined)
        .where(videos.c.niche == niche, thumbnails.c.video_id.is_(None), func.cardinality(videos.c.thumbnail_urls) > 0)
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(never).all()
        return connection.scalar(had) or 0, [Wanted(row.video_id, row.thumbnail_urls, None, False) for row in rows]


def due_thumbnails(lab: Lab, niche: str) -> list[Wanted]:
    """Return the videos whose thumbnail is to be checked again. The videos whose last check is the oldest come first.

    The result includes videos whose thumbnail could not be read at the last try.
    """
    offered = and_(videos.c.niche == niche, func.cardinality(videos.c.thumbnail_urls) > 0)
    days = timedelta(days=lab.settings.thumbnail_recheck_days)
    with lab.engine.connect() as connection:
        # `now` is the time of YouTube's clock at the last refresh of the niche. The clock of this machine may differ.
        # For example, the emulator that stands in for YouTube always gives the same time.
        now = connection.scalar(select(func.max(videos.c.refreshed_at)).where(offered))
        if now is None:
            return []
        latest = case(
            (videos.c.published_at > now - _YOUNG, now - min(days, _DAILY) + _EARLY), else_=now - days + _EARLY
        )
        statement = (
            select(videos.c.thumbnail_urls, thumbnails)
            .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
            .where(offered, thumbnails.c.checked_at <= latest)
            .order_by(thumbnails.c.checked_at, thumbnails.c.video_id)
            .limit(lab.settings.thumbnail_rechecks)
        )
        rows = connection.execute(statement).all()
    return [Wanted(row.video_id, row.thumbnail_urls, row if row.sha256 is not None else None, True) for row in rows]

"""Helpers that read the crawl's decision on each video, and compute the least quota that a crawl can spend."""

from typing import Any

from sqlalchemy import select

from thumblab_core.database.tables import crawl_videos
from thumblab_pipelines.lab import Lab


def outcomes(lab: Lab) -> dict[str, str | None]:
    """Return the crawl's decision on each video that it found, by video id.

    A decision is the text `kept`, or the reason for which the video was left out. A decision is None if the crawl has
    not yet decided.
    """
    with lab.engine.connect() as connection:
        return dict(connection.execute(select(crawl_videos.c.video_id, crawl_videos.c.outcome)).all())


def least_units(catalogue: Any, niche: str) -> int:
    """Return the fewest units of quota that a crawl of the niche can cost.

    A crawl must read every channel, every channel's list of uploads, and every video. Each call costs one unit. A call
    can read 50 channels, or 50 uploads of one channel, or 50 videos.
    """
    sizes = [len(channel.videos) for channel in catalogue.channels.values() if channel.niche == niche]
    return -(-len(sizes) // 50) + sum(-(-size // 50) for size in sizes) + -(-sum(sizes) // 50)

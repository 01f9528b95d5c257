"""Compute the usual click-through rate of a channel from the figures that its owner imported."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

_LEAST_IMPRESSIONS = 1_000
"""The fewest impressions from which a channel's rate is computed. With fewer impressions, the rate depends too much on
chance.
"""

_USUAL = text("""
SELECT count(*) AS videos, sum(c.impressions) AS impressions,
       sum(c.impressions * c.click_through_rate) / sum(c.impressions) AS ctr
FROM true_ctr c JOIN videos v ON v.video_id = c.video_id
WHERE v.channel_id = :channel AND c.is_short IS NOT TRUE AND c.impressions > 0
""")


@dataclass(frozen=True)
class UsualCtr:
    """The click-through rate of a channel's videos, from 0 to 1: all their clicks divided by all their impressions.
    Shorts do not count.
    """

    ctr: float
    impressions: int
    videos: int


def usual_ctr(connection: Connection, channel_id: str) -> UsualCtr | None:
    """Return the usual click-through rate of a channel.

    Return None if fewer than 1,000 impressions are known, or if the rate is 0 or 1.
    """
    row = connection.execute(_USUAL, {"channel": channel_id}).one()
    if not row.impressions or row.impressions < _LEAST_IMPRESSIONS or not 0 < row.ctr < 1:
        return None
    return UsualCtr(float(row.ctr), int(row.impressions), int(row.videos))

"""Keep the crawl's videos in PostgreSQL, and count how much of the crawl of a niche is done.

The crawl has three tables. The module `crawl_searches` keeps the table of searches, `crawl_channels` keeps the table of
channels, and this module keeps the table of videos. Any number of threads and processes take work from these tables and
add work to them. A worker takes work with `FOR UPDATE SKIP LOCKED`, in the transaction that also stores its result. If
the worker dies, its lock is released, and another worker can take the work. So if a process is killed, only the results
of its unfinished calls to YouTube are lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import crawl_channels, crawl_videos
from thumblab_core.inclusion import OUTLIER_SIGMAS
from thumblab_pipelines.collection.crawl_channels import TO_WALK, Walk, count_channels
from thumblab_pipelines.collection.crawl_rules import KEPT, OUTLIER
from thumblab_pipelines.youtube.answers import Upload

_TAKE_VIDEOS = text("""
SELECT video_id, channel_id FROM crawl_videos WHERE niche = :niche AND outcome IS NULL
ORDER BY video_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_SAVE_OUTCOMES = text("""
UPDATE crawl_videos SET outcome = found.outcome
FROM unnest(CAST(:ids AS text[]), CAST(:outcomes AS text[])) AS found (video_id, outcome)
WHERE crawl_videos.video_id = found.video_id
""")
_MARK_OUTLIERS = text("""
WITH latest AS (
  SELECT k.video_id, k.channel_id, k.outcome, ln(s.view_count / a.age_hours) AS rate
  FROM crawl_videos k JOIN videos v USING (video_id)
  CROSS JOIN LATERAL (
    SELECT view_count, observed_at FROM video_stats
    WHERE video_stats.video_id = k.video_id AND view_count > 0 ORDER BY observed_at DESC LIMIT 1
  ) s
  CROSS JOIN LATERAL (
    SELECT GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours
  ) a
  WHERE k.niche = :niche AND k.outcome IN (:kept, :outlier)
), judged AS (
  SELECT video_id, outcome,
         CASE WHEN abs(rate - avg(rate) OVER channel) > :sigmas * stddev_pop(rate) OVER channel
              THEN :outlier ELSE :kept END AS should
  FROM latest WINDOW channel AS (PARTITION BY channel_id)
)
UPDATE crawl_videos SET outcome = judged.should FROM judged
WHERE crawl_videos.video_id = judged.video_id AND judged.outcome <> judged.should
""")


@dataclass(frozen=True)
class Counted:
    """How many channels and videos the crawl of a niche has, and how much work is left.

    `channels` counts all channels. `channels_excluded` counts the channels that are left out, by reason.
    `channels_to_check` and `channels_to_walk` count the channels that are still to be checked and walked. `videos`
    counts the examined videos, by outcome. `videos_waiting` counts the videos that are not examined yet.
    """

    channels: int
    channels_excluded: dict[str, int]
    channels_to_check: int
    channels_to_walk: int
    videos: dict[str, int]
    videos_waiting: int

    @property
    def kept(self) -> int:
        """The number of videos that are kept for training."""
        return self.videos.get(KEPT, 0)


def save_page(connection: Connection, niche: str, walk: Walk, uploads: Sequence[Upload]) -> int:
    """Add the uploads of a page to the videos that are to be examined. Return the number of new videos."""
    if not uploads:
        return 0
    rows = [
        {"video_id": item.video_id, "channel_id": walk.channel_id, "niche": niche, "published_at": item.published_at}
        for item in {item.video_id: item for item in uploads}.values()
    ]
    statement = insert(crawl_videos).values(rows).on_conflict_do_nothing().returning(crawl_videos.c.video_id)
    return len(connection.execute(statement).all())


def take_videos(connection: Connection, niche: str, limit: int) -> dict[str, str]:
    """Take at most `limit` videos to examine. Return the id of each video, with the id of the channel that listed it.

    The videos are locked for this connection until its transaction ends.
    """
    rows = connection.execute(_TAKE_VIDEOS, {"niche": niche, "limit": limit})
    return {row.video_id: row.channel_id for row in rows}


def save_outcomes(connection: Connection, outcomes: Mapping[str, str]) -> None:
    """Store the outcome of each video: `KEPT`, or the reason for leaving the video out."""
    connection.execute(_SAVE_OUTCOMES, {"ids": list(outcomes), "outcomes": list(outcomes.values())})


def mark_outliers(connection: Connection, niche: str) -> None:
    """Mark the outliers among the kept videos. If a marked video is no longer an outlier, remove its mark.

    A video is compared with the videos of its channel, by the logarithm of its views per hour. Here, an outlier is a
    video that is more than `OUTLIER_SIGMAS` standard deviations from the channel's mean. The logarithm is used because
    views are distributed log-normally. If the plain number of views were compared, the best videos of every channel
    would be outliers.

    An outlier stays in the library, where it may be a winner. Training leaves outliers out.
    """
    connection.execute(_MARK_OUTLIERS, {"niche": niche, "kept": KEPT, "outlier": OUTLIER, "sigmas": OUTLIER_SIGMAS})


def count(connection: Connection, niche: str, before: datetime) -> Counted:
    """Count the channels and videos of the niche. A channel counts as still to be walked if its last walk ended before
    `before`.
    """
    table = crawl_channels.c
    reasons = connection.execute(
        select(table.excluded, func.count())
        .where(table.niche == niche, table.excluded.is_not(None))
        .group_by(table.excluded)
        .order_by(func.count().desc(), table.excluded)
    )
    outcomes = connection.execute(
        select(crawl_videos.c.outcome, func.count())
        .where(crawl_videos.c.niche == niche)
        .group_by(crawl_videos.c.outcome)
        .order_by(func.count().desc(), crawl_videos.c.outcome)
    )
    to_check = connection.execute(
        select(func.count()).where(table.niche == niche, table.checked_at.is_(None)).select_from(crawl_channels)
    ).scalar_one()
    to_walk = connection.execute(text(f"SELECT count(*) {TO_WALK}"), {"niche": niche, "before": before}).scalar_one()
    waiting = 0
    examined: dict[str, int] = {}
    for outcome, number in outcomes:
        if outcome is None:
            waiting = number
        else:
            examined[outcome] = number
    return Counted(count_channels(connection, niche), dict(reasons.all()), to_check, to_walk, examined, waiting)

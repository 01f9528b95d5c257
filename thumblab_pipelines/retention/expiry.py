"""Delete videos whose time in the library has ended, and facts from YouTube that were not refreshed within 30 days."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, text, update

from thumblab_core.database.tables import thumbnail_versions, video_stats, videos
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_pipelines.collection.crawl_rules import KEPT, OUTLIER
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.refreshing import due_videos
from thumblab_pipelines.videos.deletion import drop_channels
from thumblab_pipelines.videos.limited_deletion import LimitedDeletion

EXPIRED, STALE = "at the end of their time in the library", "not refreshed in 30 days"
"""The reasons that `expire` and `delete_stale` give for deleting videos."""

LONGEST = timedelta(days=30)
"""Maximum age of facts. YouTube's Developer Policies, III.E.4, require that facts are refreshed or deleted before this
age.

The rule concerns facts that YouTube gives without the authorisation of a channel's owner.
"""

_EXPIRED = text("""
SELECT v.video_id FROM videos v
WHERE v.niche = :niche AND v.source = 'youtube' AND NOT v.channel_id = ANY(CAST(:added AS text[]))
  AND v.collected_at < CASE
    WHEN EXISTS (SELECT FROM crawl_videos k WHERE k.video_id = v.video_id AND k.outcome = ANY(:crawled))
    THEN CAST(:training AS timestamptz)
    ELSE CAST(:library AS timestamptz)
  END
ORDER BY v.collected_at, v.video_id
""")
"""This statement selects the videos whose time in the library has ended.

A video stays for `library_days`. A video that the crawl keeps stays for `training_days`. The videos of a channel that a
person added stay until a person removes the channel.
"""

_DELETE_EXCLUDED = text("""
DELETE FROM crawl_videos k USING crawl_channels c
WHERE k.channel_id = c.channel_id AND k.niche = :niche
  AND (k.outcome IS NULL OR k.outcome NOT IN (:kept, :outlier))
  AND (COALESCE(c.walked_at, c.checked_at) < :before OR k.published_at < :window)
""")
"""This statement deletes the crawl's rows of videos that the crawl left out or has not examined yet. A row is deleted
if the crawl has not read the uploads of its channel since `before`, or if its video was published before `window`.
"""

_UNUSED_CHANNELS = text("""
SELECT c.channel_id FROM channels c
WHERE NOT EXISTS (SELECT 1 FROM videos v WHERE v.channel_id = c.channel_id)
  AND COALESCE(c.refreshed_at, (SELECT k.found_at FROM crawl_channels k WHERE k.channel_id = c.channel_id))
      < :before
ORDER BY c.channel_id
""")
"""This statement selects the channels that have no video and were not refreshed since `before`."""


def expire(lab: Lab, niche: str, now: datetime, deletion: LimitedDeletion, oldest: bool = False) -> None:
    """Delete the videos whose time in the library has ended. The time starts when the lab first collected the video.

    `_EXPIRED` says which videos stay longer. `deletion` limits how many videos the run may delete. If more videos than
    this limit are too old, no video is deleted. But if `oldest` is true, the oldest videos are deleted, up to the
    limit. If the setting `history_days` is set, counts and replaced thumbnails that are older than this number of days
    are deleted too.
    """
    settings = lab.settings
    parameters = {
        "niche": niche,
        "library": now - timedelta(days=settings.library_days),
        "training": now - timedelta(days=settings.training_days),
        "crawled": [KEPT, OUTLIER],
        "added": ChannelAdapters(lab.releases).channels(),
    }
    with lab.engine.connect() as connection:
        expired = list(connection.scalars(_EXPIRED, parameters))
    if oldest:
        deletion.delete_oldest(EXPIRED, expired)
    else:
        deletion.delete(EXPIRED, expired)
    if settings.history_days is not None:
        with lab.engine.begin() as connection:
            shorten_histories(connection, niche, now - timedelta(days=settings.history_days))


def shorten_histories(connection: Connection, niche: str, before: datetime) -> None:
    """Delete counts and thumbnail versions from before the moment `before`.

    The latest counts and the latest thumbnail version of each video stay.

    If a thumbnail version of a video is deleted, the remaining versions are marked `earlier_deleted`. The mark says
    that some of the video's views may come from a deleted version.
    """
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche, videos.c.source == "youtube")
    for table, moment in (
        (video_stats, video_stats.c.observed_at),
        (thumbnail_versions, thumbnail_versions.c.last_seen),
    ):
        later = table.alias()
        newer = select(later.c.video_id).where(later.c.video_id == table.c.video_id, later.c[moment.name] > moment)
        old = delete(table).where(table.c.video_id.in_(of_niche), moment < before, newer.exists())
        shortened = set(connection.scalars(old.returning(table.c.video_id)))
        if table is thumbnail_versions and shortened:
            remaining = thumbnail_versions.c.video_id.in_(shortened)
            connection.execute(update(thumbnail_versions).where(remaining).values(earlier_deleted=True))


def delete_stale(lab: Lab, niche: str, now: datetime, deletion: LimitedDeletion) -> None:
    """Delete the niche's rows that were not refreshed from YouTube within 30 days.

    The deleted rows are rows of videos, and rows of `crawl_videos` for videos that the crawl did not keep.
    """
    before = now - LONGEST
    window = now - timedelta(days=lab.settings.crawl_days)
    with lab.engine.begin() as connection:
        connection.execute(
            _DELETE_EXCLUDED, {"niche": niche, "before": before, "window": window, "kept": KEPT, "outlier": OUTLIER}
        )
    deletion.delete(STALE, due_videos(lab, niche, before))


def delete_unused_channels(lab: Lab, now: datetime) -> int:
    """Delete the channels that have no video and were not refreshed within 30 days. Return how many were deleted.

    The row of a channel that belongs to an API key stays without its facts from YouTube, see `drop_channels`.
    """
    with lab.engine.begin() as connection:
        return drop_channels(connection, list(connection.scalars(_UNUSED_CHANNELS, {"before": now - LONGEST})))

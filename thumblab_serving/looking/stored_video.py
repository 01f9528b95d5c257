"""Read the facts of a video from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

MOST_OBSERVATIONS = 1_000

_FACTS = """
SELECT v.video_id, v.title, v.channel_id, c.title AS channel, c.owner, v.niche, v.format, v.published_at, v.duration_s,
       v.language, v.tags, v.thumbnail_urls[1] AS picture_url, t.sha256, t.width, t.height,
       s.observed_at, s.view_count AS views,
       s.view_count / GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float
         AS views_per_hour,
       (SELECT r.outlier_multiple::float8 FROM ref_thumbnails r WHERE r.video_id = v.video_id LIMIT 1)
         AS outlier_multiple
FROM videos v
JOIN channels c ON c.channel_id = v.channel_id
LEFT JOIN thumbnails t ON t.video_id = v.video_id
LEFT JOIN LATERAL (
  SELECT observed_at, view_count FROM video_stats
  WHERE video_id = v.video_id AND view_count IS NOT NULL ORDER BY observed_at DESC LIMIT 1
) s ON true
WHERE v.video_id = :video_id
"""
_HISTORY = """
SELECT * FROM (
  SELECT observed_at, view_count AS views, like_count AS likes, comment_count AS comments, era
  FROM video_stats WHERE video_id = :video_id ORDER BY observed_at DESC LIMIT :most
) newest ORDER BY observed_at
"""
_AT_AGE = "SELECT age_hours, views FROM views_at_age WHERE video_id = :video_id ORDER BY age_hours"
# An era is a period in which YouTube did not change its definition of a view (`thumblab_core.views`). Counts of two
# eras cannot be compared. So if a thumbnail was shown in two eras, its views are unknown.
_VERSIONS = """
SELECT n.sha256, n.title, n.first_seen, n.last_seen, n.earlier_deleted, s.views, s.views / NULLIF(s.hours, 0) AS per_hour
FROM thumbnail_versions n
LEFT JOIN LATERAL (
  SELECT max(view_count) - min(view_count) AS views,
         (EXTRACT(EPOCH FROM max(observed_at) - min(observed_at)) / 3600.0)::float AS hours
  FROM video_stats
  WHERE video_id = n.video_id AND view_count IS NOT NULL AND observed_at BETWEEN n.first_seen AND n.last_seen
  HAVING count(*) > 1 AND count(DISTINCT era) = 1
) s ON true
WHERE n.video_id = :video_id ORDER BY n.first_seen
"""
_MEASURED = """
SELECT f.* FROM visual_features f JOIN thumbnails t ON t.video_id = f.video_id AND t.sha256 = f.sha256
WHERE f.video_id = :video_id
"""
_CLICKS = """
SELECT click_through_rate, impressions::bigint AS impressions, source, last_day FROM true_ctr WHERE video_id = :video_id
"""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class VideoRows:
    """The rows of a video. `measured` is the row of `visual_features` for the video's present thumbnail, or None.

    `clicks` is the click-through rate of the owner's reports, or None. Only the owner of the channel may see this rate.
    """

    facts: Row
    history: Sequence[Row]
    views_at_age: Mapping[int, float]
    versions: Sequence[Row]
    measured: Row | None
    clicks: Row | None


def read_video(connection: "Connection", video_id: str) -> VideoRows | None:
    """Return the rows of a video, or None if the lab does not know it."""
    from sqlalchemy import text

    def rows(statement: str, **more: object) -> list[Row]:
        found = connection.execute(text(statement), {"video_id": video_id, **more})
        return [dict(row) for row in found.mappings()]

    facts = rows(_FACTS)
    if not facts:
        return None
    return VideoRows(
        facts=facts[0],
        history=rows(_HISTORY, most=MOST_OBSERVATIONS),
        views_at_age={row["age_hours"]: row["views"] for row in rows(_AT_AGE)},
        versions=rows(_VERSIONS),
        measured=next(iter(rows(_MEASURED)), None),
        clicks=next(iter(rows(_CLICKS)), None),
    )

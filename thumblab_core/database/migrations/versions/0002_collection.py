"""Create the tables of the collection: quota, crawl, views over time, versions of thumbnails, and reach.

Reach is how often YouTube showed a thumbnail and how often it was clicked. Only a channel's owner can read it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AGE_BAND = """
CREATE FUNCTION age_band(hours double precision) RETURNS text IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
  SELECT CASE WHEN hours < 48 THEN '0-2 days' WHEN hours < 168 THEN '2-7 days' WHEN hours < 720 THEN '7-30 days'
              WHEN hours < 2160 THEN '30-90 days' ELSE 'over 90 days' END
$$
"""

# `outlier_multiple` is the views of a video, divided by the median views of its channel's videos in the same age band.
# Age bands are used because an older video has had more time to collect views. If the channel has too few videos in the
# age band, views per hour are compared instead: those of the video with the median of all the channel's videos.
_REF_THUMBNAILS = """
CREATE VIEW ref_thumbnails AS
SELECT v.video_id, v.niche, v.title, v.thumbnail_urls[1] AS thumbnail_url, t.sha256, v.channel_id,
       c.title AS channel_title, v.published_at, v.duration_s, s.view_count, s.observed_at AS collected_at, a.age_hours,
       s.view_count / a.age_hours AS views_per_hour,
       COALESCE(s.view_count / NULLIF(same_age.median_views, 0),
                s.view_count / a.age_hours / NULLIF(overall.median_views_per_hour, 0)) AS outlier_multiple,
       e.encoder, e.vector AS embedding
FROM videos v
JOIN channels c USING (channel_id)
JOIN (
SELECT DISTINCT ON (video_id) video_id, observed_at, view_count
FROM video_stats WHERE view_count IS NOT NULL ORDER BY video_id, observed_at DESC
) s USING (video_id)
JOIN thumbnails t USING (video_id)
JOIN embeddings e ON e.video_id = v.video_id AND e.source_digest = t.sha256
CROSS JOIN LATERAL (
  SELECT GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours
) a
LEFT JOIN channel_baselines same_age
  ON same_age.niche = v.niche AND same_age.channel_id = v.channel_id AND same_age.age_band = age_band(a.age_hours)
LEFT JOIN channel_baselines overall
  ON overall.niche = v.niche AND overall.channel_id = v.channel_id AND overall.age_band = 'all'
WHERE v.format = 'video'
"""

# This is the view `ref_thumbnails` as migration 0001 created it.
_FIRST_REF_THUMBNAILS = """
CREATE VIEW ref_thumbnails AS
SELECT v.video_id, v.niche, v.title, v.thumbnail_url, t.sha256, v.channel_id, c.title AS channel_title, v.published_at,
       v.duration_s, s.view_count, s.observed_at AS collected_at, a.age_hours,
       s.view_count / a.age_hours AS views_per_hour,
       s.view_count / a.age_hours / NULLIF(b.median_views_per_hour, 0) AS outlier_multiple,
       e.encoder, e.vector AS embedding
FROM videos v
JOIN channels c USING (channel_id)
JOIN (
SELECT DISTINCT ON (video_id) video_id, observed_at, view_count
FROM video_stats WHERE view_count IS NOT NULL ORDER BY video_id, observed_at DESC
) s USING (video_id)
JOIN thumbnails t USING (video_id)
JOIN embeddings e ON e.video_id = v.video_id AND e.source_digest = t.sha256
LEFT JOIN channel_baselines b ON b.niche = v.niche AND b.channel_id = v.channel_id
CROSS JOIN LATERAL (
  SELECT GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours
) a
"""

# The view has a row for each change of a thumbnail, with the pictures and the views per hour before and after it.
_THUMBNAIL_CHANGES = """
CREATE VIEW thumbnail_changes AS
SELECT n.video_id, o.sha256 AS old_sha256, n.sha256 AS new_sha256, o.title AS old_title, n.title AS new_title,
       o.last_seen AS old_last_seen, n.first_seen AS new_first_seen,
       before.views_per_hour AS views_per_hour_before, after.views_per_hour AS views_per_hour_after
FROM (SELECT *, lag(first_seen) OVER (PARTITION BY video_id ORDER BY first_seen) AS old_first_seen
      FROM thumbnail_versions) n
JOIN thumbnail_versions o ON o.video_id = n.video_id AND o.first_seen = n.old_first_seen
LEFT JOIN LATERAL (
  SELECT (max(s.view_count) - min(s.view_count))
         / NULLIF(EXTRACT(EPOCH FROM max(s.observed_at) - min(s.observed_at)) / 3600.0, 0) AS views_per_hour
  FROM video_stats s WHERE s.video_id = n.video_id AND s.view_count IS NOT NULL
    AND s.observed_at BETWEEN o.first_seen AND o.last_seen
) before ON true
LEFT JOIN LATERAL (
  SELECT (max(s.view_count) - min(s.view_count))
         / NULLIF(EXTRACT(EPOCH FROM max(s.observed_at) - min(s.observed_at)) / 3600.0, 0) AS views_per_hour
  FROM video_stats s WHERE s.video_id = n.video_id AND s.view_count IS NOT NULL
    AND s.observed_at BETWEEN n.first_seen AND n.last_seen
) after ON true
"""

# The view has one click-through rate per video. If several sources report the video, the rate comes from the source
# that reports the most impressions.
_TRUE_CTR = """
CREATE VIEW true_ctr AS
SELECT DISTINCT ON (video_id) video_id, source, impressions, click_through_rate, is_short, last_day
FROM (
  SELECT video_id, source, sum(impressions) AS impressions, bool_or(is_short) AS is_short, max(day) AS last_day,
         sum(impressions * click_through_rate) / NULLIF(sum(impressions), 0) AS click_through_rate
  FROM video_reach GROUP BY video_id, source
) of_source
WHERE click_through_rate IS NOT NULL
ORDER BY video_id, impressions DESC, source
"""


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.execute("DROP VIEW ref_thumbnails")
    op.execute(_AGE_BAND)

    op.add_column("channels", sa.Column("video_count", sa.BigInteger(), comment="public videos, as the API tells it"))
    op.add_column(
        "channels",
        sa.Column("refreshed_at", moment, comment="when the API last told these facts; NULL for a catalogue's"),
    )
    op.alter_column("channels", "walked_at", comment="when the daily refresh last walked the uploads of the channel")

    op.add_column(
        "videos",
        sa.Column(
            "format",
            sa.String(),
            nullable=False,
            server_default="video",
            comment="video, short, live or upcoming",
        ),
    )
    op.add_column(
        "videos",
        sa.Column("aspect_ratio", sa.Float(), comment="width over height of the video; NULL where unknown"),
    )
    op.add_column(
        "videos",
        sa.Column("language", sa.String(), comment="BCP 47, as the uploader declares it; NULL where not declared"),
    )
    op.add_column(
        "videos",
        sa.Column(
            "thumbnail_urls",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            server_default="{}",
            comment="sizes on offer, the best first",
        ),
    )
    op.execute("UPDATE videos SET thumbnail_urls = ARRAY[thumbnail_url] WHERE thumbnail_url IS NOT NULL")
    op.drop_column("videos", "thumbnail_url")
    op.add_column("videos", sa.Column("collected_at", moment, comment="when the lab first saw it"))
    op.add_column("videos", sa.Column("refreshed_at", moment, comment="when these facts were last told"))
    op.execute("""
        UPDATE videos SET collected_at = COALESCE(seen.first, now()), refreshed_at = COALESCE(seen.last, now())
        FROM (SELECT v.video_id, min(s.observed_at) AS first, max(s.observed_at) AS last
              FROM videos v LEFT JOIN video_stats s USING (video_id) GROUP BY v.video_id) seen
        WHERE videos.video_id = seen.video_id
    """)
    op.alter_column("videos", "collected_at", nullable=False, server_default=sa.func.now())
    op.alter_column("videos", "refreshed_at", nullable=False)
    op.add_column(
        "videos",
        sa.Column("may_train", sa.Boolean(), comment="what videoTrainability.get said; NULL: not asked"),
    )
    op.create_check_constraint("format", "videos", "format IN ('video', 'short', 'live', 'upcoming')")
    _refer("videos", "channels", "channel_id", "CASCADE")

    op.add_column(
        "video_stats",
        sa.Column("era", sa.String(), comment="of the definition of a view, see thumblab_core.views"),
    )
    # The era of a view count says which definition of a view YouTube used then (see `thumblab_core.views`). Before this
    # migration, every video had the format `video`. For this format, the era depends only on the date of the count.
    op.execute("""
        UPDATE video_stats
        SET era = CASE WHEN observed_at >= '2026-08-24 00:00+00' THEN 'playback_start' ELSE 'qualified' END
    """)
    op.alter_column("video_stats", "era", nullable=False)

    op.create_table(
        "views_at_age",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("age_hours", sa.Integer(), nullable=False),
        sa.Column("views", sa.Float(), nullable=False, comment="interpolated between two observations of one era"),
        sa.Column("era", sa.String(), nullable=False),
        sa.Column("before_hours", sa.Float(), nullable=False, comment="age at the observation before"),
        sa.Column("after_hours", sa.Float(), nullable=False, comment="age at the observation after"),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_views_at_age_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "age_hours", name=op.f("pk_views_at_age")),
    )

    for name, kind, comment in (
        ("phash", sa.BigInteger(), "64-bit perceptual hash of the picture, as a signed number"),
        ("url", sa.Text(), "where the picture was read"),
        ("etag", sa.Text(), "what its server named this version"),
        ("last_modified", sa.Text(), None),
        ("checked_at", moment, "when the server was last asked"),
    ):
        op.add_column("thumbnails", sa.Column(name, kind, comment=comment))
    op.execute("UPDATE thumbnails SET checked_at = fetched_at")
    op.alter_column("thumbnails", "checked_at", nullable=False)
    op.alter_column("thumbnails", "fetched_at", comment="when this picture was first seen")
    op.create_table(
        "thumbnail_versions",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("first_seen", moment, nullable=False),
        sa.Column("last_seen", moment, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("phash", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False, comment="the title that the picture was last seen with"),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_thumbnail_versions_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "first_seen", name=op.f("pk_thumbnail_versions")),
    )
    op.execute("""
        INSERT INTO thumbnail_versions (video_id, first_seen, last_seen, sha256, title)
        SELECT t.video_id, t.fetched_at, t.fetched_at, t.sha256, v.title
        FROM thumbnails t JOIN videos v USING (video_id) WHERE t.sha256 IS NOT NULL
    """)

    # Since this migration, the lab reads 4:3 pictures without their black bars. So the vectors and sub-scores of these
    # pictures are deleted here. The next refresh computes them again.
    op.execute("""
        DELETE FROM embeddings e USING thumbnails t
        WHERE t.video_id = e.video_id AND t.sha256 = e.source_digest AND t.width * 3 = t.height * 4
    """)
    op.execute("""
        DELETE FROM visual_features f USING thumbnails t
        WHERE t.video_id = f.video_id AND t.sha256 = f.sha256 AND t.width * 3 = t.height * 4
    """)
    op.execute("DELETE FROM channel_baselines")
    op.add_column(
        "channel_baselines",
        sa.Column("age_band", sa.String(), nullable=False, comment="age at the latest observation, or all"),
    )
    op.drop_constraint("pk_channel_baselines", "channel_baselines")
    op.create_primary_key("pk_channel_baselines", "channel_baselines", ["niche", "channel_id", "age_band"])
    _refer("channel_baselines", "channels", "channel_id", "CASCADE")

    op.create_table(
        "reach_reports",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("starts_at", moment, nullable=False, comment="of the day that is reported"),
        sa.Column("ends_at", moment, nullable=False),
        sa.Column("created_at", moment, nullable=False, comment="YouTube corrects a day by a newer report of it"),
        sa.Column("imported_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_reach_reports")),
    )
    op.create_table(
        "video_reach",
        sa.Column("video_id", sa.String(), nullable=False, comment="also of videos that the lab has not collected"),
        sa.Column(
            "source", sa.String(), nullable=False, comment="studio: an export; reach: a day of the Reporting API"
        ),
        sa.Column("day", sa.Date(), nullable=False, comment="of the report; of a Studio export the day it was made"),
        sa.Column("impressions", sa.BigInteger(), nullable=False),
        sa.Column("click_through_rate", sa.Float(), nullable=False, comment="fraction of the impressions, 0 to 1"),
        sa.Column(
            "is_short",
            sa.Boolean(),
            nullable=True,
            comment="whether the feed of Shorts showed it; NULL where the source does not tell",
        ),
        sa.Column("report_id", sa.String(), nullable=True, comment="NULL for an export"),
        sa.Column("imported_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reach_reports.report_id"], name=op.f("fk_video_reach_report_id")),
        sa.CheckConstraint("click_through_rate BETWEEN 0 AND 1", name=op.f("ck_video_reach_fraction")),
        sa.PrimaryKeyConstraint("video_id", "source", "day", name=op.f("pk_video_reach")),
    )
    op.create_table(
        "quota_ledger",
        sa.Column("day", sa.Date(), nullable=False, comment="in California, where the quota is reset at midnight"),
        sa.Column("bucket", sa.String(), nullable=False, comment="units, searches or stats"),
        sa.Column("spent", sa.Integer(), nullable=False, server_default="0", comment="reserved before each call"),
        sa.Column(
            "exhausted_at",
            moment,
            nullable=True,
            comment="when YouTube said that there is no more, whatever was counted here",
        ),
        sa.PrimaryKeyConstraint("day", "bucket", name=op.f("pk_quota_ledger")),
    )
    op.create_table(
        "charts",
        sa.Column("category_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("available", sa.Boolean(), nullable=False),
        sa.Column("probed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("category_id", "region", name=op.f("pk_charts")),
    )
    op.create_table(
        "crawl_searches",
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("published_after", moment, nullable=False),
        sa.Column("published_before", moment, nullable=False),
        sa.Column("order", sa.String(), nullable=False, comment="viewCount or date"),
        sa.Column("pages", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("cursor", sa.Text(), nullable=True, comment="the token of the next page"),
        sa.Column("finished_at", moment, nullable=True),
        sa.PrimaryKeyConstraint(
            "niche", "published_after", "published_before", "order", name=op.f("pk_crawl_searches")
        ),
    )
    op.create_table(
        "crawl_channels",
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("found_at", moment, nullable=False),
        sa.Column("checked_at", moment, nullable=True, comment="when channels.list was asked"),
        sa.Column("excluded", sa.String(), nullable=True, comment="why none of its videos is kept"),
        sa.Column("pages", sa.Integer(), nullable=False, server_default="0", comment="of its uploads, in this walk"),
        sa.Column("cursor", sa.Text(), nullable=True, comment="the token of the next page"),
        sa.Column(
            "restarts",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="of this walk, after a token was refused",
        ),
        sa.Column("walked_at", moment, nullable=True, comment="when its uploads were last walked to the end"),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.channel_id"], name=op.f("fk_crawl_channels_channel_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_crawl_channels")),
    )
    op.create_index("ix_crawl_channels_niche", "crawl_channels", ["niche"])
    op.create_table(
        "crawl_videos",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column(
            "outcome", sa.String(), nullable=True, comment="kept, or why not; NULL while it waits to be looked at"
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["crawl_channels.channel_id"],
            name=op.f("fk_crawl_videos_channel_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_crawl_videos")),
    )
    op.create_index("ix_crawl_videos_channel_id", "crawl_videos", ["channel_id"])
    op.create_index(
        "ix_crawl_videos_waiting",
        "crawl_videos",
        ["niche", "video_id"],
        postgresql_where=sa.text("outcome IS NULL"),
    )
    for view in (_REF_THUMBNAILS, _THUMBNAIL_CHANGES, _TRUE_CTR):
        op.execute(view)


def _refer(table: str, to: str, column: str, ondelete: str | None) -> None:
    """Replace the foreign key of `column` by a foreign key with the ON DELETE rule `ondelete`."""
    name = f"fk_{table}_{column}"
    op.drop_constraint(name, table, type_="foreignkey")
    op.create_foreign_key(name, table, to, [column], [column], ondelete=ondelete)


def downgrade() -> None:
    for view in ("true_ctr", "thumbnail_changes", "ref_thumbnails"):
        op.execute(f"DROP VIEW {view}")
    for table in (
        "crawl_videos",
        "crawl_channels",
        "crawl_searches",
        "charts",
        "quota_ledger",
        "video_reach",
        "reach_reports",
        "thumbnail_versions",
        "views_at_age",
    ):
        op.drop_table(table)
    op.execute("DELETE FROM channel_baselines")
    op.drop_constraint("pk_channel_baselines", "channel_baselines")
    op.drop_column("channel_baselines", "age_band")
    op.create_primary_key("pk_channel_baselines", "channel_baselines", ["niche", "channel_id"])
    for name in ("phash", "url", "etag", "last_modified", "checked_at"):
        op.drop_column("thumbnails", name)
    op.drop_column("video_stats", "era")
    op.add_column("videos", sa.Column("thumbnail_url", sa.Text()))
    op.execute("UPDATE videos SET thumbnail_url = thumbnail_urls[1]")
    for name in ("format", "aspect_ratio", "language", "thumbnail_urls", "collected_at", "refreshed_at", "may_train"):
        op.drop_column("videos", name)
    for name in ("video_count", "refreshed_at"):
        op.drop_column("channels", name)
    for table in ("videos", "channel_baselines"):
        _refer(table, "channels", "channel_id", None)
    op.execute("DROP FUNCTION age_band")
    op.execute(_FIRST_REF_THUMBNAILS)

"""Create the first tables, and the view `ref_thumbnails`, which gives the reference library from these tables."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_REF_THUMBNAILS = """
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


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "channels",
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("subscriber_count", sa.BigInteger(), nullable=True),
        sa.Column("uploads_playlist", sa.String(), nullable=True),
        sa.Column(
            "walked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the uploads of the channel were last walked",
        ),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_channels")),
    )
    op.create_table(
        "model_evaluations",
        sa.Column("release_id", sa.String(), nullable=False),
        sa.Column("split", sa.String(), nullable=False, comment="future or new_channels"),
        sa.Column(
            "slice", sa.String(), nullable=False, comment="all, or 2x: pairs whose corrected views differ twofold"
        ),
        sa.Column("scorer", sa.String(), nullable=False, comment="model, age, length or title"),
        sa.Column("pairs", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("auc", sa.Float(), nullable=True),
        sa.Column("auc_low", sa.Float(), nullable=True, comment="2.5 % of the bootstrap over channels"),
        sa.Column("auc_high", sa.Float(), nullable=True, comment="97.5 %"),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("release_id", "split", "slice", "scorer", name=op.f("pk_model_evaluations")),
    )
    op.create_table(
        "channel_baselines",
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("video_count", sa.Integer(), nullable=False),
        sa.Column("median_views", sa.Float(), nullable=False),
        sa.Column("median_views_per_hour", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.channel_id"], name=op.f("fk_channel_baselines_channel_id")),
        sa.PrimaryKeyConstraint("niche", "channel_id", name=op.f("pk_channel_baselines")),
    )
    op.create_table(
        "videos",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "duration_s", sa.Integer(), nullable=True, comment="seconds; NULL where unknown (live and upcoming videos)"
        ),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("thumbnail_url", sa.Text(), nullable=True),
        sa.Column("source", sa.String(), nullable=False, comment="youtube or catalogue"),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.channel_id"], name=op.f("fk_videos_channel_id")),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_videos")),
    )
    op.create_index("ix_videos_channel_id", "videos", ["channel_id"], unique=False)
    op.create_index("ix_videos_niche", "videos", ["niche"], unique=False)
    op.create_table(
        "embeddings",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False, comment="fingerprint of the encoder"),
        sa.Column(
            "source_digest",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the picture or title that was encoded",
        ),
        sa.Column("vector", Vector(), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_embeddings_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "encoder", name=op.f("pk_embeddings")),
    )
    op.create_table(
        "thumbnails",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column(
            "sha256",
            sa.String(length=64),
            nullable=True,
            comment="the picture in the image store; NULL when there is none, see problem",
        ),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True, comment="why there is no picture"),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(sha256 IS NULL) <> (problem IS NULL)", name=op.f("ck_thumbnails_picture_or_problem")),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_thumbnails_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_thumbnails")),
    )
    op.create_table(
        "video_stats",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("view_count", sa.BigInteger(), nullable=True),
        sa.Column("like_count", sa.BigInteger(), nullable=True),
        sa.Column("comment_count", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("view_count >= 0", name=op.f("ck_video_stats_views")),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_video_stats_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "observed_at", name=op.f("pk_video_stats")),
    )
    op.create_table(
        "visual_features",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(), nullable=False, comment="of the formulas, see thumblab_core.sub_scores"),
        sa.Column("clarity", sa.Float(), nullable=True, comment="0 to 1; NULL when it could not be measured"),
        sa.Column("prominence", sa.Float(), nullable=True, comment="0 to 1; NULL when it could not be measured"),
        sa.Column("contrast", sa.Float(), nullable=True, comment="0 to 1; NULL when it could not be measured"),
        sa.Column("emotion", sa.Float(), nullable=True, comment="0 to 1; NULL when it could not be measured"),
        sa.Column("hierarchy", sa.Float(), nullable=True, comment="0 to 1; NULL when it could not be measured"),
        sa.Column("title_match", sa.Float(), nullable=True, comment="0 to 1; NULL when it could not be measured"),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_visual_features_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_visual_features")),
    )
    op.execute(_REF_THUMBNAILS)


def downgrade() -> None:
    op.execute("DROP VIEW ref_thumbnails")
    for table in (
        "visual_features",
        "video_stats",
        "thumbnails",
        "embeddings",
        "videos",
        "channel_baselines",
        "model_evaluations",
        "channels",
    ):
        op.drop_table(table)

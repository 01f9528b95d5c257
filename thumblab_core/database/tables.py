"""The tables of the lab.

Names come from the documents where they have one (`thumbnails`, `channel_baselines`, `model_evaluations`, and the view
`ref_thumbnails`). Times are UTC. Views are counts; a count that YouTube does not tell is NULL, never 0.
"""

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_MOMENT = DateTime(timezone=True)

channels = Table(
    "channels",
    metadata,
    Column("channel_id", String, primary_key=True),
    Column("title", Text, nullable=False),
    Column("subscriber_count", BigInteger),
    Column("uploads_playlist", String),
    Column("walked_at", _MOMENT, comment="when the uploads of the channel were last walked"),
)

videos = Table(
    "videos",
    metadata,
    Column("video_id", String, primary_key=True),
    Column("niche", String, nullable=False),
    Column("channel_id", String, ForeignKey("channels.channel_id"), nullable=False),
    Column("title", Text, nullable=False),
    Column("published_at", _MOMENT, nullable=False),
    Column("duration_s", Integer, comment="seconds; NULL where unknown (live and upcoming videos)"),
    Column("tags", ARRAY(Text), nullable=False),
    Column("thumbnail_url", Text),
    Column("source", String, nullable=False, comment="youtube or catalogue"),
    Index("ix_videos_niche", "niche"),
    Index("ix_videos_channel_id", "channel_id"),
)

video_stats = Table(
    "video_stats",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("observed_at", _MOMENT, primary_key=True),
    Column("view_count", BigInteger),
    Column("like_count", BigInteger),
    Column("comment_count", BigInteger),
    CheckConstraint("view_count >= 0", name="views"),
)

thumbnails = Table(
    "thumbnails",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), comment="the picture in the image store; NULL when there is none, see problem"),
    Column("width", Integer),
    Column("height", Integer),
    Column("problem", Text, comment="why there is no picture"),
    Column("fetched_at", _MOMENT, nullable=False),
    CheckConstraint("(sha256 IS NULL) <> (problem IS NULL)", name="picture_or_problem"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="fingerprint of the encoder"),
    Column("source_digest", String(64), nullable=False, comment="SHA-256 of the picture or title that was encoded"),
    Column("vector", Vector(), nullable=False),
)

visual_features = Table(
    "visual_features",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("version", String, nullable=False, comment="of the formulas, see thumblab_core.sub_scores"),
    *(
        Column(name, Float, comment="0 to 1; NULL when it could not be measured")
        for name in ("clarity", "prominence", "contrast", "emotion", "hierarchy", "title_match")
    ),
)

channel_baselines = Table(
    "channel_baselines",
    metadata,
    Column("niche", String, primary_key=True),
    Column("channel_id", String, ForeignKey("channels.channel_id"), primary_key=True),
    Column("video_count", Integer, nullable=False),
    Column("median_views", Float, nullable=False),
    Column("median_views_per_hour", Float, nullable=False),
)

model_evaluations = Table(
    "model_evaluations",
    metadata,
    Column("release_id", String, primary_key=True),
    Column("split", String, primary_key=True, comment="future or new_channels"),
    Column("slice", String, primary_key=True, comment="all, or 2x: pairs whose corrected views differ twofold"),
    Column("scorer", String, primary_key=True, comment="model, age, length or title"),
    Column("pairs", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("auc", Float),
    Column("auc_low", Float, comment="2.5 % of the bootstrap over channels"),
    Column("auc_high", Float, comment="97.5 %"),
    Column("evaluated_at", _MOMENT, nullable=False),
)

LATEST_STATS = """
SELECT DISTINCT ON (video_id) video_id, observed_at, view_count
FROM video_stats WHERE view_count IS NOT NULL ORDER BY video_id, observed_at DESC
"""

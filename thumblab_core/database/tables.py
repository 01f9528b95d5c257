"""The tables of the lab's database.

All moments are in UTC. A count that YouTube does not report is stored as NULL and never as 0. The comments of tables
and columns are stored in the database, so a changed comment needs a migration.
"""

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from thumblab_core.database.metadata import MOMENT
from thumblab_core.database.metadata import metadata as metadata
from thumblab_core.database.table_groups.experiments import experiment_variants as experiment_variants
from thumblab_core.database.table_groups.experiments import experiments as experiments
from thumblab_core.database.table_groups.niche_reports import niche_report_examples as niche_report_examples
from thumblab_core.database.table_groups.niche_reports import niche_reports as niche_reports
from thumblab_core.database.table_groups.niches import niches as niches
from thumblab_core.database.table_groups.people import face_assignments as face_assignments
from thumblab_core.database.table_groups.people import face_bans as face_bans
from thumblab_core.database.table_groups.people import face_calibrations as face_calibrations
from thumblab_core.database.table_groups.people import face_centroids as face_centroids
from thumblab_core.database.table_groups.people import face_change_faces as face_change_faces
from thumblab_core.database.table_groups.people import face_changes as face_changes
from thumblab_core.database.table_groups.people import face_clusters as face_clusters
from thumblab_core.database.table_groups.people import face_embeddings as face_embeddings
from thumblab_core.database.table_groups.people import face_pictures as face_pictures
from thumblab_core.database.table_groups.people import faces as faces
from thumblab_core.database.table_groups.people import forgotten_faces as forgotten_faces
from thumblab_core.database.table_groups.people import people_pictures as people_pictures
from thumblab_core.database.table_groups.predictions import prediction_candidates as prediction_candidates
from thumblab_core.database.table_groups.predictions import prediction_outcomes as prediction_outcomes
from thumblab_core.database.table_groups.predictions import predictions as predictions
from thumblab_core.database.table_groups.view_histories import view_histories as view_histories

channels = Table(
    "channels",
    metadata,
    Column("channel_id", String, primary_key=True),
    Column("title", Text, nullable=False),
    Column("handle", Text, comment="the @handle in lower case; NULL where unknown"),
    Column("subscriber_count", BigInteger),
    Column("uploads_playlist", String),
    Column("video_count", BigInteger, comment="number of public videos, as the API gives it"),
    Column("walked_at", MOMENT, comment="when the daily refresh last walked the uploads of the channel"),
    Column("refreshed_at", MOMENT, comment="when the API last gave these facts; NULL for a channel of a catalogue"),
    Column("owner", Text, comment="the API key to which the channel belongs; NULL: the lab itself"),
    Index("ix_channels_handle", "handle"),
)

videos = Table(
    "videos",
    metadata,
    Column("video_id", String, primary_key=True),
    Column("niche", String, nullable=False),
    Column("channel_id", String, ForeignKey("channels.channel_id", ondelete="CASCADE"), nullable=False),
    Column("title", Text, nullable=False),
    Column("published_at", MOMENT, nullable=False),
    Column("format", String, nullable=False, server_default="video", comment="video, short, live or upcoming"),
    Column("duration_s", Integer, comment="seconds; NULL where unknown (live and upcoming videos)"),
    Column("aspect_ratio", Float, comment="width over height of the video; NULL where unknown"),
    Column("language", String, comment="BCP 47, as the uploader declares it; NULL where not declared"),
    Column("tags", ARRAY(Text), nullable=False),
    Column(
        "thumbnail_urls", ARRAY(Text), nullable=False, server_default="{}", comment="sizes on offer, the best first"
    ),
    Column("source", String, nullable=False, comment="youtube or catalogue"),
    Column("collected_at", MOMENT, nullable=False, server_default=func.now(), comment="when the lab first saw it"),
    Column(
        "refreshed_at", MOMENT, nullable=False, comment="when these facts were last given by the API or a catalogue"
    ),
    Column("may_train", Boolean, comment="answer of videoTrainability.get; NULL: not asked"),
    CheckConstraint("format IN ('video', 'short', 'live', 'upcoming')", name="format"),
    Index("ix_videos_niche", "niche"),
    Index("ix_videos_channel_id", "channel_id"),
)

video_stats = Table(
    "video_stats",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("observed_at", MOMENT, primary_key=True),
    Column("view_count", BigInteger),
    Column("like_count", BigInteger),
    Column("comment_count", BigInteger),
    Column("era", String, nullable=False, comment="of the definition of a view, see thumblab_core.views"),
    CheckConstraint("view_count >= 0", name="views"),
)

views_at_age = Table(
    "views_at_age",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("age_hours", Integer, primary_key=True),
    Column("views", Float, nullable=False, comment="interpolated between two observations of one era"),
    Column("era", String, nullable=False),
    Column("before_hours", Float, nullable=False, comment="age at the observation before"),
    Column("after_hours", Float, nullable=False, comment="age at the observation after"),
)

thumbnails = Table(
    "thumbnails",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), comment="the picture in the image store; NULL when there is none, see problem"),
    Column("width", Integer),
    Column("height", Integer),
    Column("phash", BigInteger, comment="64-bit perceptual hash of the picture, as a signed number"),
    Column("problem", Text, comment="why there is no picture"),
    Column("url", Text, comment="where the picture was read"),
    Column("etag", Text, comment="the ETag that the server gave this version"),
    Column("last_modified", Text),
    Column("fetched_at", MOMENT, nullable=False, comment="when this picture was first seen"),
    Column("checked_at", MOMENT, nullable=False, comment="when the server was last asked"),
    CheckConstraint("(sha256 IS NULL) <> (problem IS NULL)", name="picture_or_problem"),
    Index("ix_thumbnails_sha256", "sha256"),
)

thumbnail_versions = Table(
    "thumbnail_versions",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("first_seen", MOMENT, primary_key=True),
    Column("last_seen", MOMENT, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("phash", BigInteger),
    Column("title", Text, nullable=False, comment="the title that the picture was shown with"),
    Column(
        "earlier_deleted",
        Boolean,
        nullable=False,
        server_default="false",
        comment="whether earlier versions were deleted; some of the views then belong to unknown pictures",
    ),
    Index("ix_thumbnail_versions_sha256", "sha256"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="fingerprint of the encoder"),
    Column("source_digest", String(64), nullable=False, comment="SHA-256 of the picture or title that was encoded"),
    Column("vector", Vector(), nullable=False),
)

earlier_embeddings = Table(
    "earlier_embeddings",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="fingerprint of the encoder"),
    Column("source_digest", String(64), primary_key=True, comment="SHA-256 of the picture or title that was encoded"),
    Column("vector", Vector(), nullable=False),
    comment="vectors of pictures and titles that a video had earlier, or that an experiment tested",
)

encoding_failures = Table(
    "encoding_failures",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="fingerprint of the encoder"),
    Column(
        "source_digest",
        String(64),
        primary_key=True,
        comment="SHA-256 of the picture or title that it makes no vector of",
    ),
    comment="what is not encoded again in vain: another encoder, picture or title is tried",
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
    Column("evidence", JSONB, comment="what was seen; NULL where it was measured before it was kept"),
)

library_exclusions = Table(
    "library_exclusions",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("excluded_at", MOMENT, nullable=False, server_default=func.now()),
    comment="what a person took out of the library: it is collected on, and stands in no index",
)

index_rebuilds = Table(
    "index_rebuilds",
    metadata,
    Column("niche", String, primary_key=True),
    Column("asked_at", MOMENT, nullable=False, server_default=func.now()),
    Column("reason", Text, nullable=False),
    comment="niches whose index is to be built anew; the row goes when it was",
)

channel_baselines = Table(
    "channel_baselines",
    metadata,
    Column("niche", String, primary_key=True),
    Column("channel_id", String, ForeignKey("channels.channel_id", ondelete="CASCADE"), primary_key=True),
    Column("age_band", String, primary_key=True, comment="age at the latest observation, or all"),
    Column("video_count", Integer, nullable=False),
    Column("median_views", Float, nullable=False),
    Column("median_views_per_hour", Float, nullable=False),
)

model_evaluations = Table(
    "model_evaluations",
    metadata,
    Column("release_id", String, primary_key=True),
    Column("split", String, primary_key=True, comment="future, new_channels or adapted"),
    Column(
        "slice",
        String,
        primary_key=True,
        comment="all; 2x: twice the views; margin FROM-TO, niche:NAME, channel:ID; see docs/evaluation.md",
    ),
    Column("scorer", String, primary_key=True, comment="model, or the reference model that was evaluated beside it"),
    Column("metric", String, primary_key=True, comment="auc and others, see docs/evaluation.md"),
    Column(
        "question",
        String,
        primary_key=True,
        server_default="package",
        comment="package, one_title or one_video, see docs/evaluation.md",
    ),
    Column("value", Float, comment="NULL where nothing could be measured"),
    Column("low", Float, comment="lower end of the 95 % interval; NULL where there is none"),
    Column("high", Float, comment="upper end of the 95 % interval"),
    Column("pairs", Integer, nullable=False, comment="0 for a figure of videos"),
    Column("channels", Integer, nullable=False),
    Column("evaluated_at", MOMENT, nullable=False),
)

reach_reports = Table(
    "reach_reports",
    metadata,
    Column("report_id", String, primary_key=True),
    Column("job_id", String, nullable=False),
    Column("starts_at", MOMENT, nullable=False, comment="start of the reported day"),
    Column("ends_at", MOMENT, nullable=False),
    Column("created_at", MOMENT, nullable=False, comment="YouTube corrects a day with a newer report"),
    Column("imported_at", MOMENT, nullable=False),
)

video_reach = Table(
    "video_reach",
    metadata,
    Column("video_id", String, primary_key=True, comment="also of videos that the lab has not collected"),
    Column("source", String, primary_key=True, comment="studio: an export; reach: a day of the Reporting API"),
    Column("day", Date, primary_key=True, comment="of the report; of a Studio export the day it was made"),
    Column("impressions", BigInteger, nullable=False),
    Column("click_through_rate", Float, nullable=False, comment="fraction of the impressions, 0 to 1"),
    Column(
        "is_short",
        Boolean,
        comment="whether the feed of Shorts showed it, or else whether it is short; NULL where the source does not tell",
    ),
    Column("report_id", String, ForeignKey("reach_reports.report_id"), comment="NULL for an export"),
    Column("imported_at", MOMENT, nullable=False),
    CheckConstraint("click_through_rate BETWEEN 0 AND 1", name="fraction"),
)

quota_ledger = Table(
    "quota_ledger",
    metadata,
    Column("day", Date, primary_key=True, comment="in California, where the quota is reset at midnight"),
    Column("bucket", String, primary_key=True, comment="units, searches or stats"),
    Column("spent", Integer, nullable=False, server_default="0", comment="reserved before each call"),
    Column(
        "exhausted_at",
        MOMENT,
        comment="when YouTube refused a call because the quota was spent, whatever the lab had counted",
    ),
)

charts = Table(
    "charts",
    metadata,
    Column("category_id", Integer, primary_key=True),
    Column("region", String, primary_key=True),
    Column("available", Boolean, nullable=False),
    Column("probed_at", MOMENT, nullable=False),
)

crawl_searches = Table(
    "crawl_searches",
    metadata,
    Column("niche", String, primary_key=True),
    Column("query", Text, primary_key=True, server_default="", comment="the texts or the category that is searched"),
    Column("published_after", MOMENT, primary_key=True),
    Column("published_before", MOMENT, primary_key=True),
    Column("order", String, primary_key=True, comment="viewCount or date"),
    Column("pages", Integer, nullable=False, server_default="0"),
    Column("cursor", Text, comment="the token of the next page"),
    Column("finished_at", MOMENT),
)

crawl_channels = Table(
    "crawl_channels",
    metadata,
    Column("channel_id", String, ForeignKey("channels.channel_id", ondelete="CASCADE"), primary_key=True),
    Column("niche", String, nullable=False),
    Column("found_at", MOMENT, nullable=False),
    Column("checked_at", MOMENT, comment="when channels.list was asked"),
    Column("excluded", String, comment="why none of its videos is kept"),
    Column("pages", Integer, nullable=False, server_default="0", comment="of its uploads, in this walk"),
    Column("cursor", Text, comment="the token of the next page"),
    Column("restarts", Integer, nullable=False, server_default="0", comment="of this walk, after a token was refused"),
    Column("walked_at", MOMENT, comment="when its uploads were last walked to the end"),
    Index("ix_crawl_channels_niche", "niche"),
)

crawl_videos = Table(
    "crawl_videos",
    metadata,
    Column("video_id", String, primary_key=True),
    Column("channel_id", String, ForeignKey("crawl_channels.channel_id", ondelete="CASCADE"), nullable=False),
    Column("niche", String, nullable=False),
    Column("published_at", MOMENT, nullable=False),
    Column("outcome", String, comment="kept, or why not; NULL while it waits to be looked at"),
    Index("ix_crawl_videos_channel_id", "channel_id"),
    Index("ix_crawl_videos_waiting", "niche", "video_id", postgresql_where=text("outcome IS NULL")),
)

LATEST_STATS = """
SELECT DISTINCT ON (video_id) video_id, observed_at, view_count
FROM video_stats WHERE view_count IS NOT NULL ORDER BY video_id, observed_at DESC
"""
"""A subquery that gives the latest view count of each video."""

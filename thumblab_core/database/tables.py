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
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from thumblab_core.database.metadata import MOMENT
from thumblab_core.database.metadata import metadata as metadata
from thumblab_core.database.table_groups.crawl import charts as charts
from thumblab_core.database.table_groups.crawl import crawl_channels as crawl_channels
from thumblab_core.database.table_groups.crawl import crawl_searches as crawl_searches
from thumblab_core.database.table_groups.crawl import crawl_videos as crawl_videos
from thumblab_core.database.table_groups.crawl import quota_ledger as quota_ledger
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
    Column("handle", Text, comment="the @handle in lower case; NULL if it is unknown"),
    Column("subscriber_count", BigInteger),
    Column("uploads_playlist", String),
    Column("video_count", BigInteger, comment="number of public videos, as the API gives it"),
    Column("walked_at", MOMENT, comment="when the daily refresh last walked the uploads of the channel"),
    Column(
        "refreshed_at", MOMENT, comment="when YouTube's API last gave these facts; NULL for a channel of a catalogue"
    ),
    Column("owner", Text, comment="the API key to which the channel belongs; NULL if it belongs to the lab itself"),
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
    Column(
        "format", String, nullable=False, server_default="video", comment="the format: video, short, live or upcoming"
    ),
    Column("duration_s", Integer, comment="the length in seconds; NULL if it is unknown (live and upcoming videos)"),
    Column("aspect_ratio", Float, comment="the width of the video divided by its height; NULL if it is unknown"),
    Column(
        "language", String, comment="the language tag (BCP 47) that the uploader declared; NULL if none was declared"
    ),
    Column("tags", ARRAY(Text), nullable=False),
    Column(
        "thumbnail_urls",
        ARRAY(Text),
        nullable=False,
        server_default="{}",
        comment="the addresses of the thumbnail in its sizes, the best size first",
    ),
    Column("source", String, nullable=False, comment="where the facts come from: youtube or catalogue"),
    Column(
        "collected_at", MOMENT, nullable=False, server_default=func.now(), comment="when the lab first saw the video"
    ),
    Column("refreshed_at", MOMENT, nullable=False, comment="when YouTube's API or a catalogue last gave these facts"),
    Column(
        "may_train", Boolean, comment="the answer of YouTube's videoTrainability.get; NULL if the lab has not asked"
    ),
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
    Column(
        "era",
        String,
        nullable=False,
        comment="the definition of a view that YouTube used at this time; see thumblab_core.views",
    ),
    CheckConstraint("view_count >= 0", name="views"),
)

views_at_age = Table(
    "views_at_age",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("age_hours", Integer, primary_key=True),
    Column(
        "views",
        Float,
        nullable=False,
        comment="the views at this age, interpolated between two observations of the same era",
    ),
    Column("era", String, nullable=False),
    Column("before_hours", Float, nullable=False, comment="the age of the video at the observation before"),
    Column("after_hours", Float, nullable=False, comment="the age of the video at the observation after"),
)

thumbnails = Table(
    "thumbnails",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), comment="the picture in the image store; NULL if there is none, see `problem`"),
    Column("width", Integer),
    Column("height", Integer),
    Column("phash", BigInteger, comment="the 64-bit perceptual hash of the picture, as a signed number"),
    Column("problem", Text, comment="why there is no picture"),
    Column("url", Text, comment="the address from which the picture was read"),
    Column("etag", Text, comment="the ETag of this picture, which the server gave"),
    Column("last_modified", Text),
    Column("fetched_at", MOMENT, nullable=False, comment="when the lab first saw this picture"),
    Column("checked_at", MOMENT, nullable=False, comment="when the lab last asked the server for the picture"),
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
    Column("title", Text, nullable=False, comment="the title that the video had with this picture"),
    Column(
        "earlier_deleted",
        Boolean,
        nullable=False,
        server_default="false",
        comment="whether earlier versions were deleted; the pictures of some of the views are then unknown",
    ),
    Index("ix_thumbnail_versions_sha256", "sha256"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="the fingerprint of the encoder"),
    Column("source_digest", String(64), nullable=False, comment="SHA-256 of the picture or title that was encoded"),
    Column("vector", Vector(), nullable=False),
)

earlier_embeddings = Table(
    "earlier_embeddings",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="the fingerprint of the encoder"),
    Column("source_digest", String(64), primary_key=True, comment="SHA-256 of the picture or title that was encoded"),
    Column("vector", Vector(), nullable=False),
    comment="vectors of pictures and titles that a video had earlier, or that an experiment tested",
)

encoding_failures = Table(
    "encoding_failures",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("encoder", String, primary_key=True, comment="the fingerprint of the encoder"),
    Column(
        "source_digest",
        String(64),
        primary_key=True,
        comment="the SHA-256 of the picture or title that could not be encoded",
    ),
    comment="pictures and titles that an encoder could not encode; it does not try them again",
)

visual_features = Table(
    "visual_features",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("version", String, nullable=False, comment="the version of the formulas; see thumblab_core.sub_scores"),
    *(
        Column(name, Float, comment="0 to 1; NULL when it could not be measured")
        for name in ("clarity", "prominence", "contrast", "emotion", "hierarchy", "title_match")
    ),
    Column(
        "evidence",
        JSONB,
        comment="the evidence of the sub-scores; NULL if a version of the lab measured them that kept no evidence",
    ),
)

library_exclusions = Table(
    "library_exclusions",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("excluded_at", MOMENT, nullable=False, server_default=func.now()),
    comment="videos that a person excluded from the library: the lab still collects them, but no index contains them",
)

index_rebuilds = Table(
    "index_rebuilds",
    metadata,
    Column("niche", String, primary_key=True),
    Column("asked_at", MOMENT, nullable=False, server_default=func.now()),
    Column("reason", Text, nullable=False),
    comment="niches whose index must be built again; the row is deleted after that",
)

channel_baselines = Table(
    "channel_baselines",
    metadata,
    Column("niche", String, primary_key=True),
    Column("channel_id", String, ForeignKey("channels.channel_id", ondelete="CASCADE"), primary_key=True),
    Column("age_band", String, primary_key=True, comment="the age of the videos at their latest observation, or all"),
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
        comment="the pairs: all, 2x (the winner has twice the views), margin FROM-TO, niche:NAME or channel:ID",
    ),
    Column(
        "scorer",
        String,
        primary_key=True,
        comment="`model`, or the name of a reference model with which the model is compared",
    ),
    Column("metric", String, primary_key=True, comment="the metric, such as auc; see docs/evaluation.md"),
    Column(
        "question",
        String,
        primary_key=True,
        server_default="package",
        comment="package, one_title or one_video; see docs/evaluation.md",
    ),
    Column("value", Float, comment="the figure; NULL if it could not be measured"),
    Column("low", Float, comment="the lower end of the 95 % interval; NULL if there is no interval"),
    Column("high", Float, comment="the upper end of the 95 % interval; NULL if there is no interval"),
    Column("pairs", Integer, nullable=False, comment="the number of pairs; 0 for a figure that was measured on videos"),
    Column("channels", Integer, nullable=False),
    Column("evaluated_at", MOMENT, nullable=False),
)

reach_reports = Table(
    "reach_reports",
    metadata,
    Column("report_id", String, primary_key=True),
    Column("job_id", String, nullable=False),
    Column("starts_at", MOMENT, nullable=False, comment="the start of the day that is reported"),
    Column("ends_at", MOMENT, nullable=False),
    Column(
        "created_at",
        MOMENT,
        nullable=False,
        comment="when YouTube made the report; a newer report of a day corrects an older report",
    ),
    Column("imported_at", MOMENT, nullable=False),
)

video_reach = Table(
    "video_reach",
    metadata,
    Column("video_id", String, primary_key=True, comment="a video that the lab may not have collected"),
    Column(
        "source",
        String,
        primary_key=True,
        comment="studio: an export of YouTube Studio; reach: a daily report of the Reporting API",
    ),
    Column("day", Date, primary_key=True, comment="day of the report; for a Studio export, the day it was made"),
    Column("impressions", BigInteger, nullable=False),
    Column("click_through_rate", Float, nullable=False, comment="clicks divided by impressions, 0 to 1"),
    Column(
        "is_short",
        Boolean,
        comment="whether the video was shown in the feed of Shorts, or else is short; NULL if the source does not say this",
    ),
    Column(
        "report_id",
        String,
        ForeignKey("reach_reports.report_id"),
        comment="the report; NULL for an export of YouTube Studio",
    ),
    Column("imported_at", MOMENT, nullable=False),
    CheckConstraint("click_through_rate BETWEEN 0 AND 1", name="fraction"),
)

LATEST_STATS = """
SELECT DISTINCT ON (video_id) video_id, observed_at, view_count
FROM video_stats WHERE view_count IS NOT NULL ORDER BY video_id, observed_at DESC
"""
"""A subquery that gives the latest view count of each video."""

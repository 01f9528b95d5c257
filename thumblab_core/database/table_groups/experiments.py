"""The tables of experiments: what happened when a creator tried two or three thumbnails or titles on one video.

Migration 0010 makes the trigger `experiment_is_whole`. At the end of a transaction, the trigger checks each changed
experiment together with its variants. An experiment must have two or three variants, at the positions 1, 2 and 3. The
shares of watch time of its variants must all be unknown, or their sum may differ from 1 by at most 0.02. The winner, if
there is one, must be one of its variants.

The tables have no foreign keys to the lab's channels and videos. An experiment is the user's own data. The lab keeps
the experiment when it deletes the video (docs/retention.md). Also, the lab may never have collected the video of an
experiment.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
)

from thumblab_core.database.metadata import MOMENT, metadata

experiments = Table(
    "experiments",
    metadata,
    Column("experiment_id", Integer, Identity(), primary_key=True),
    Column("channel_id", String, nullable=False, comment="a channel that the lab may not have collected"),
    Column("video_id", String, nullable=False, comment="a video that the lab may not have collected"),
    Column("started_on", Date, nullable=False, comment="the first day on which the variants were shown"),
    Column("ended_on", Date, comment="the last day on which the variants were shown; NULL if it is unknown"),
    Column(
        "outcome", String, nullable=False, comment="what YouTube decided: winner, performed_the_same or inconclusive"
    ),
    Column("winner", SmallInteger, comment="the position of the winning variant; NULL if the outcome is not winner"),
    Column("changed_at", MOMENT, nullable=False, comment="when the lab stored or last changed the experiment"),
    CheckConstraint("outcome IN ('winner', 'performed_the_same', 'inconclusive')", name="outcome"),
    CheckConstraint("(outcome = 'winner') = (winner IS NOT NULL)", name="winner_has_outcome_winner"),
    CheckConstraint("ended_on >= started_on", name="dates_ordered"),
    Index("ix_experiments_start", "channel_id", "video_id", "started_on", unique=True),
    comment="tests of two or three thumbnails or titles on one video, and what YouTube decided; this is the user's own data",
)

experiment_variants = Table(
    "experiment_variants",
    metadata,
    Column("experiment_id", Integer, ForeignKey("experiments.experiment_id", ondelete="CASCADE"), primary_key=True),
    Column(
        "position",
        SmallInteger,
        primary_key=True,
        autoincrement=False,
        comment="1, 2 or 3, in the order that the user gave",
    ),
    Column(
        "sha256", String(64), comment="the SHA-256 of the picture in the image store; NULL if only titles were tested"
    ),
    Column("title", Text, comment="the title of this variant; NULL if it is unknown"),
    Column("watch_time_share", Float, comment="the fraction of the test's watch time, 0 to 1; NULL if it is unknown"),
    Column("impressions", BigInteger, comment="how often the variant was shown; NULL if it is unknown"),
    CheckConstraint("position BETWEEN 1 AND 3", name="position"),
    CheckConstraint("sha256 IS NOT NULL OR title IS NOT NULL", name="picture_or_title"),
    CheckConstraint("watch_time_share BETWEEN 0 AND 1", name="share"),
    CheckConstraint("impressions >= 0", name="impressions"),
    comment="the variants of an experiment",
)

"""The tables of kept predictions: what the scoring service answered, and what happened afterwards.

The service fills `predictions` and `prediction_candidates` if the setting `keep_predictions` is on. The asset
`prediction_quality` fills `prediction_outcomes`.

A prediction has no foreign key to a channel. A prediction is the user's own data, and the user may score pictures for a
channel that the lab has not collected. A row of `prediction_outcomes` has a foreign key to the video or the experiment
from which it was taken. So the row is deleted together with this video or experiment (docs/retention.md).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)

from thumblab_core.database.metadata import MOMENT, metadata

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", Uuid, primary_key=True, comment="the id, which the service chooses"),
    Column("scored_at", MOMENT, nullable=False, comment="when the service answered, by its clock"),
    Column("model_release", String, nullable=False),
    Column("channel_id", String, comment="the channel that the request named; NULL if it named no channel"),
    Column("niche", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("verdict", String, comment="the verdict of the answer; NULL if no candidate could be ranked"),
    Column(
        "confidence",
        Float,
        comment="the probability that the winner beats the second candidate; NULL if there is no second candidate",
    ),
    Column(
        "knowledge",
        String,
        nullable=False,
        comment="new_channels: like an unseen channel; future: with the model's adapter; adapted: with an added adapter",
    ),
    Column("ordered_by", String, comment="what decides the ranks: model or evidence; NULL if no candidate was ranked"),
    CheckConstraint("ordered_by IN ('model', 'evidence')", name="ordered_by"),
    CheckConstraint("knowledge IN ('new_channels', 'future', 'adapted')", name="knowledge"),
    Index("ix_predictions_scored_at", "scored_at"),
    Index("ix_predictions_channel_id", "channel_id"),
    comment="the answers of the scoring service that the lab keeps; this is the user's own data",
)

prediction_candidates = Table(
    "prediction_candidates",
    metadata,
    Column("prediction_id", Uuid, ForeignKey("predictions.prediction_id", ondelete="CASCADE"), primary_key=True),
    Column(
        "position",
        SmallInteger,
        primary_key=True,
        autoincrement=False,
        comment="the position of the candidate in the request, from 1",
    ),
    Column("sha256", String(64), nullable=False, comment="digest of the picture's file; the file is not kept"),
    Column(
        "phash", BigInteger, nullable=False, comment="the 64-bit perceptual hash of the picture, as a signed number"
    ),
    Column("score", Float, comment="the percentile of the candidate, 0 to 100; NULL if the answer had no percentile"),
    Column(
        "win_probability", Float, comment="the win probability; NULL if the candidate was not ranked against others"
    ),
    Column("rank", SmallInteger, comment="the rank, 1 for the best candidate; NULL if the candidate was not ranked"),
    CheckConstraint("position >= 1", name="position"),
    CheckConstraint("win_probability BETWEEN 0 AND 1", name="win_probability"),
    comment="the candidates of a prediction whose pictures could be read",
)

prediction_outcomes = Table(
    "prediction_outcomes",
    metadata,
    Column("outcome_id", BigInteger, Identity(), primary_key=True),
    Column("prediction_id", Uuid, nullable=False),
    Column("position", SmallInteger, nullable=False, comment="the position of the candidate in the request"),
    Column("experiment_id", Integer, ForeignKey("experiments.experiment_id", ondelete="CASCADE")),
    Column(
        "variant", SmallInteger, comment="the position of the experiment's variant that shows the candidate's picture"
    ),
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE")),
    Column(
        "result",
        String,
        nullable=False,
        comment="the result of the variant in its experiment; published if a video used the picture",
    ),
    Column("excess", Float, comment="log views at age_hours above the channel's trend; NULL if they are unknown"),
    Column("age_hours", Integer, comment="age of the video at which its views were compared"),
    Column("joined_at", MOMENT, nullable=False),
    ForeignKeyConstraint(
        ["prediction_id", "position"],
        ["prediction_candidates.prediction_id", "prediction_candidates.position"],
        ondelete="CASCADE",
        name="fk_prediction_outcomes_candidate",
    ),
    CheckConstraint("result IN ('won', 'lost', 'performed_the_same', 'inconclusive', 'published')", name="result"),
    CheckConstraint("(experiment_id IS NULL) = (variant IS NULL)", name="variant_of_an_experiment"),
    CheckConstraint("(experiment_id IS NULL) = (video_id IS NOT NULL)", name="experiment_or_video"),
    CheckConstraint("(video_id IS NOT NULL) = (result = 'published')", name="video_is_published"),
    CheckConstraint("(excess IS NULL) = (age_hours IS NULL)", name="excess_at_an_age"),
    Index("ix_prediction_outcomes_experiment", "experiment_id", "prediction_id", "variant", unique=True),
    Index("ix_prediction_outcomes_video", "video_id", "prediction_id", unique=True),
    Index("ix_prediction_outcomes_candidate", "prediction_id", "position"),
    comment="what happened to candidates: the results of experiments, and the views of videos that used a candidate",
)

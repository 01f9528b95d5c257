"""Add tables for the kept predictions of the scoring service, for their candidates and for what happened afterwards."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.Uuid(), nullable=False, comment="chosen by the service"),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False, comment="by the clock of the service"),
        sa.Column("model_release", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), comment="as the request named it; NULL where it named none"),
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(), comment="as answered; NULL where no candidate could be ranked"),
        sa.Column(
            "confidence", sa.Float(), comment="probability that the winner beats the second; NULL without a second"
        ),
        sa.Column(
            "knowledge",
            sa.String(),
            nullable=False,
            comment="new_channels: ranked like an unseen channel; future: adapted by the model; "
            "adapted: by an added adapter",
        ),
        sa.Column(
            "ordered_by", sa.String(), comment="what the ranks follow: model or evidence; NULL where nothing is ranked"
        ),
        sa.CheckConstraint("ordered_by IN ('model', 'evidence')", name=op.f("ck_predictions_ordered_by")),
        sa.CheckConstraint("knowledge IN ('new_channels', 'future', 'adapted')", name=op.f("ck_predictions_knowledge")),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_predictions")),
        comment="the user's own data: requests that the scoring service answered",
    )
    op.create_index("ix_predictions_scored_at", "predictions", ["scored_at"])
    op.create_index("ix_predictions_channel_id", "predictions", ["channel_id"])
    op.create_table(
        "prediction_candidates",
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False, comment="in the request, from 1"),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of the picture's file, which is not kept"),
        sa.Column("phash", sa.BigInteger(), nullable=False, comment="64-bit perceptual hash, as a signed number"),
        sa.Column("score", sa.Float(), comment="percentile, 0 to 100; NULL where none was answered"),
        sa.Column("win_probability", sa.Float(), comment="NULL where the candidate was not ranked against others"),
        sa.Column("rank", sa.SmallInteger(), comment="1 is best; NULL where the candidate was not ranked"),
        sa.CheckConstraint("position >= 1", name=op.f("ck_prediction_candidates_position")),
        sa.CheckConstraint("win_probability BETWEEN 0 AND 1", name=op.f("ck_prediction_candidates_win_probability")),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.prediction_id"],
            name=op.f("fk_prediction_candidates_prediction_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", "position", name=op.f("pk_prediction_candidates")),
        comment="the readable candidates of a prediction",
    )
    op.create_table(
        "prediction_outcomes",
        sa.Column("outcome_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False, comment="of the candidate"),
        sa.Column("experiment_id", sa.Integer()),
        sa.Column("variant", sa.SmallInteger(), comment="position of the variant that shows the candidate's picture"),
        sa.Column("video_id", sa.String()),
        sa.Column(
            "result",
            sa.String(),
            nullable=False,
            comment="of the variant in its experiment, or published as a video's picture",
        ),
        sa.Column(
            "excess", sa.Float(), comment="log views at age_hours above the channel's trend; NULL where not known"
        ),
        sa.Column("age_hours", sa.Integer(), comment="age of the video at which its views were compared"),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "result IN ('won', 'lost', 'performed_the_same', 'inconclusive', 'published')",
            name=op.f("ck_prediction_outcomes_result"),
        ),
        sa.CheckConstraint(
            "(experiment_id IS NULL) = (variant IS NULL)", name=op.f("ck_prediction_outcomes_variant_of_an_experiment")
        ),
        sa.CheckConstraint(
            "(experiment_id IS NULL) = (video_id IS NOT NULL)", name=op.f("ck_prediction_outcomes_experiment_or_video")
        ),
        sa.CheckConstraint(
            "(video_id IS NOT NULL) = (result = 'published')", name=op.f("ck_prediction_outcomes_video_is_published")
        ),
        sa.CheckConstraint(
            "(excess IS NULL) = (age_hours IS NULL)", name=op.f("ck_prediction_outcomes_excess_at_an_age")
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id", "position"],
            ["prediction_candidates.prediction_id", "prediction_candidates.position"],
            name="fk_prediction_outcomes_candidate",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.experiment_id"],
            name=op.f("fk_prediction_outcomes_experiment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_prediction_outcomes_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("outcome_id", name=op.f("pk_prediction_outcomes")),
        comment="what happened to candidates: results of experiments, and views of videos that were published with them",
    )
    op.create_index(
        "ix_prediction_outcomes_experiment",
        "prediction_outcomes",
        ["experiment_id", "prediction_id", "variant"],
        unique=True,
    )
    op.create_index("ix_prediction_outcomes_video", "prediction_outcomes", ["video_id", "prediction_id"], unique=True)
    op.create_index("ix_prediction_outcomes_candidate", "prediction_outcomes", ["prediction_id", "position"])


def downgrade() -> None:
    op.drop_table("prediction_outcomes")
    op.drop_table("prediction_candidates")
    op.drop_table("predictions")

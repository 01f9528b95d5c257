"""Create the tables of niche reports: the newest report of each niche, and the videos that it shows as examples."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "niche_reports",
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "report",
            postgresql.JSONB(),
            nullable=False,
            comment="see thumblab_core.niche_report.niche_figures; without its examples",
        ),
        sa.PrimaryKeyConstraint("niche", name=op.f("pk_niche_reports")),
        comment="what winners of each niche do that other videos of their channels do not; the newest report",
    )
    op.create_table(
        "niche_report_examples",
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("feature", sa.String(), nullable=False, comment="what was measured, such as text_area"),
        sa.Column("position", sa.SmallInteger(), nullable=False, comment="among the examples, from 1"),
        sa.Column("winner_id", sa.String(), nullable=False),
        sa.Column("other_id", sa.String(), nullable=False, comment="another video of the same channel"),
        sa.ForeignKeyConstraint(
            ["niche"],
            ["niche_reports.niche"],
            name=op.f("fk_niche_report_examples_niche"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["winner_id"],
            ["videos.video_id"],
            name=op.f("fk_niche_report_examples_winner_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["other_id"],
            ["videos.video_id"],
            name=op.f("fk_niche_report_examples_other_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("niche", "feature", "position", name=op.f("pk_niche_report_examples")),
        comment="pairs of videos that show a difference of a niche report",
    )
    op.create_index("ix_niche_report_examples_winner_id", "niche_report_examples", ["winner_id"])
    op.create_index("ix_niche_report_examples_other_id", "niche_report_examples", ["other_id"])


def downgrade() -> None:
    op.drop_table("niche_report_examples")
    op.drop_table("niche_reports")

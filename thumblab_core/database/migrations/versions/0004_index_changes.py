"""Create tables of videos that a person excluded from the library, and of niches whose index must be rebuilt."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "library_exclusions",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("excluded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"],
            ["videos.video_id"],
            name=op.f("fk_library_exclusions_video_id_videos"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_library_exclusions")),
        comment="what a person took out of the library: it is collected on, and stands in no index",
    )
    op.create_table(
        "index_rebuilds",
        sa.Column("niche", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("niche", name=op.f("pk_index_rebuilds")),
        comment="niches whose index is to be built anew; the row goes when it was",
    )


def downgrade() -> None:
    op.drop_table("index_rebuilds")
    op.drop_table("library_exclusions")

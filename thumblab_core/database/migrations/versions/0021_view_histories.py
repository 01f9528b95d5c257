"""Store a digest of the data from which a video's views at fixed ages were estimated.

If the digest is unchanged, the views are not estimated again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "view_histories",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("counts", sa.Integer(), nullable=False, comment="number of its counts of views"),
        sa.Column("digest", sa.BigInteger(), nullable=False, comment="of its counts, its publication and the method"),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name="fk_view_histories_video_id_videos", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", name="pk_view_histories"),
        comment="the counts from which the rows of views_at_age were estimated; another digest means: estimate again",
    )


def downgrade() -> None:
    op.drop_table("view_histories")

"""Add the column `earlier_deleted` to the versions of thumbnails.

The column is true if the lab deleted versions that the video showed before this version. Then a part of the video's
views was counted while the video showed a picture that the lab no longer has.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "thumbnail_versions",
        sa.Column(
            "earlier_deleted",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="whether versions before this one were deleted, so that nobody knows what its views were earned by",
        ),
    )


def downgrade() -> None:
    op.drop_column("thumbnail_versions", "earlier_deleted")

"""Add columns for the evidence of the sub-scores: text, faces, saliency and contrast."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "visual_features",
        sa.Column(
            "evidence", postgresql.JSONB(), comment="what was seen; NULL where it was measured before it was kept"
        ),
    )


def downgrade() -> None:
    op.drop_column("visual_features", "evidence")

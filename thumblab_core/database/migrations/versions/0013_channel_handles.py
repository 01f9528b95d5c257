"""Store the @handle of a channel, so that the lab can find a channel by its @handle without a call to YouTube."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "the @handle in lower case; NULL where unknown"
    op.add_column("channels", sa.Column("handle", sa.Text(), nullable=True, comment=comment))
    op.create_index("ix_channels_handle", "channels", ["handle"])


def downgrade() -> None:
    op.drop_index("ix_channels_handle", "channels")
    op.drop_column("channels", "handle")

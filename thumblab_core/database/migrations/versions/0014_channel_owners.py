"""Store the owner of a channel: the API key with which the channel was added, or the lab itself.

Channels that are already stored belong to the lab. `thumblab channel give` gives such a channel to a key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "the API key to which the channel belongs; NULL: the lab itself"
    op.add_column("channels", sa.Column("owner", sa.Text(), nullable=True, comment=comment))


def downgrade() -> None:
    op.drop_column("channels", "owner")

"""Keep to whom a channel belongs: to the API key that it came in with, or to the lab itself.

The channels that are stored already belong to the lab. `thumblab channel give` gives one to a key.
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

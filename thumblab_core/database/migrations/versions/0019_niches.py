"""Create the table of niches, with the seven niches that were fixed in the code before."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_FIRST_NICHES = (
    ("tech", 28),
    ("gaming", 20),
    ("education", 27),
    ("entertainment", 24),
    ("people", 22),
    ("beauty", 26),
    ("news", 25),
)


def upgrade() -> None:
    none = sa.text("'{}'")
    texts = postgresql.ARRAY(sa.String())
    niches = op.create_table(
        "niches",
        sa.Column("name", sa.String(), nullable=False, comment="also the partition key in Dagster"),
        sa.Column("number", sa.Integer(), sa.Identity(always=True), nullable=False, comment="the order of the niches"),
        sa.Column(
            "category_id",
            sa.Integer(),
            comment="videoCategoryId of YouTube; NULL where only searches and channels count",
        ),
        sa.Column("region", sa.String(), comment="ISO 3166-1; NULL for the setting THUMBLAB_REGION"),
        sa.Column("language", sa.String(), comment="BCP 47; NULL for the setting THUMBLAB_LANGUAGE"),
        sa.Column("searches", texts, nullable=False, server_default=none, comment="texts to search YouTube for"),
        sa.Column("channels", texts, nullable=False, server_default=none, comment="ids and @handles"),
        sa.Column("exclude", texts, nullable=False, server_default=none, comment="words that a title must not have"),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("retired_at", sa.DateTime(timezone=True), comment="NULL while the niche is collected and served"),
        sa.CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,39}$'", name=op.f("ck_niches_name")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_niches")),
        comment="the niches of the lab, and where the videos of each come from",
    )
    op.bulk_insert(niches, [{"name": name, "category_id": category} for name, category in _FIRST_NICHES])


def downgrade() -> None:
    op.drop_table("niches")

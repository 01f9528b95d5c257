"""Store the number of changes of a niche, the moment when it was restored, and what each search of the crawl searched
for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_KEY = ["niche", "query", "published_after", "published_before", "order"]


def upgrade() -> None:
    op.add_column(
        "niches",
        sa.Column(
            "version", sa.Integer(), nullable=False, server_default="1", comment="grows with each change of the niche"
        ),
    )
    op.add_column(
        "niches", sa.Column("restored_at", sa.DateTime(timezone=True), comment="when it was last taken up again")
    )
    op.add_column(
        "crawl_searches",
        sa.Column(
            "query", sa.Text(), nullable=False, server_default="", comment="the texts or the category that is searched"
        ),
    )
    # For each week that was searched already, store the present searches of its niche. The lab has no record of earlier
    # searches.
    op.execute("""
        UPDATE crawl_searches s
        SET query = CASE WHEN cardinality(n.searches) > 0 THEN array_to_string(n.searches, '|') ELSE '' END
            || CASE WHEN n.category_id IS NULL THEN '' ELSE ' in category ' || n.category_id END
        FROM niches n WHERE n.name = s.niche
    """)
    op.drop_constraint("pk_crawl_searches", "crawl_searches", type_="primary")
    op.create_primary_key("pk_crawl_searches", "crawl_searches", _KEY)


def downgrade() -> None:
    op.drop_constraint("pk_crawl_searches", "crawl_searches", type_="primary")
    # Before this migration, the table has no column for the query. So of the rows that differ only in the query, keep
    # one.
    op.execute("""
        DELETE FROM crawl_searches s USING crawl_searches o
        WHERE (s.niche, s.published_after, s.published_before, s."order")
            = (o.niche, o.published_after, o.published_before, o."order") AND s.query > o.query
    """)
    op.drop_column("crawl_searches", "query")
    op.create_primary_key(
        "pk_crawl_searches", "crawl_searches", ["niche", "published_after", "published_before", "order"]
    )
    op.drop_column("niches", "restored_at")
    op.drop_column("niches", "version")

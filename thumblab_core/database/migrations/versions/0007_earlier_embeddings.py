"""Create a table for the vectors of earlier pictures and titles of a video, which the video no longer shows.

A part of the video's views was counted while the video showed these earlier pictures and titles.
"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BEFORE = "the title that the picture was last seen with"
_AFTER = "the title that the picture was shown with"

_RATE = """
  SELECT (max(s.view_count) - min(s.view_count))
         / NULLIF(EXTRACT(EPOCH FROM max(s.observed_at) - min(s.observed_at)) / 3600.0, 0) AS views_per_hour
  FROM video_stats s WHERE s.video_id = n.video_id AND s.view_count IS NOT NULL
    AND s.observed_at BETWEEN {0}.first_seen AND {0}.last_seen
"""

# The table `thumbnail_versions` also has a row for a change of the title alone. The view must not show such changes.
# `upgrade` adds the condition that leaves them out.
_THUMBNAIL_CHANGES = f"""
CREATE OR REPLACE VIEW thumbnail_changes AS
SELECT n.video_id, o.sha256 AS old_sha256, n.sha256 AS new_sha256, o.title AS old_title, n.title AS new_title,
       o.last_seen AS old_last_seen, n.first_seen AS new_first_seen,
       before.views_per_hour AS views_per_hour_before, after.views_per_hour AS views_per_hour_after
FROM (SELECT *, lag(first_seen) OVER (PARTITION BY video_id ORDER BY first_seen) AS old_first_seen
      FROM thumbnail_versions) n
JOIN thumbnail_versions o ON o.video_id = n.video_id AND o.first_seen = n.old_first_seen
LEFT JOIN LATERAL ({_RATE.format("o")}) before ON true
LEFT JOIN LATERAL ({_RATE.format("n")}) after ON true
"""  # noqa: S608


def upgrade() -> None:
    op.create_table(
        "earlier_embeddings",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False, comment="fingerprint of the encoder"),
        sa.Column(
            "source_digest", sa.String(64), nullable=False, comment="SHA-256 of the picture or title that was encoded"
        ),
        sa.Column("vector", Vector(), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"],
            ["videos.video_id"],
            name=op.f("fk_earlier_embeddings_video_id_videos"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("video_id", "encoder", "source_digest", name=op.f("pk_earlier_embeddings")),
        comment="of pictures and titles that a video showed while its views were counted, and shows no more",
    )
    op.alter_column("thumbnail_versions", "title", comment=_AFTER)
    op.execute(f"{_THUMBNAIL_CHANGES} WHERE o.sha256 <> n.sha256")


def downgrade() -> None:
    op.execute(_THUMBNAIL_CHANGES)
    op.alter_column("thumbnail_versions", "title", comment=_BEFORE)
    op.drop_table("earlier_embeddings")

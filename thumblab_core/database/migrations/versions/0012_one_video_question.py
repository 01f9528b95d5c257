"""Correct the comments of the column `question` and of the table `earlier_embeddings`.

`question` can now be `one_video`. `earlier_embeddings` now also has the vectors of pictures and titles that were tested
in experiments.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_BEFORE = "package or one_title, see docs/evaluation.md"
_AFTER = "package, one_title or one_video, see docs/evaluation.md"
_VECTORS_BEFORE = "vectors of pictures and titles that a video had while its views were counted, and has no longer"
_VECTORS_AFTER = "vectors of pictures and titles that a video had earlier, or that an experiment tested"


def upgrade() -> None:
    op.alter_column("model_evaluations", "question", comment=_AFTER)
    op.create_table_comment("earlier_embeddings", _VECTORS_AFTER)


def downgrade() -> None:
    # The version of the lab before this migration cannot read rows with the question `one_video`. So these rows are
    # deleted. The model releases still contain these figures.
    op.execute("DELETE FROM model_evaluations WHERE question = 'one_video'")
    op.alter_column("model_evaluations", "question", comment=_BEFORE)
    op.create_table_comment("earlier_embeddings", _VECTORS_BEFORE)

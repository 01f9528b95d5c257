"""Name the question of one video in the comment of a column of the evaluations."""

from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

_BEFORE = "package or one_title, see docs/evaluation.md"
_AFTER = "package, one_title or one_video, see docs/evaluation.md"


def upgrade() -> None:
    op.alter_column("model_evaluations", "question", comment=_AFTER)


def downgrade() -> None:
    # The version before this one does not know the question. The releases still hold its figures.
    op.execute("DELETE FROM model_evaluations WHERE question = 'one_video'")
    op.alter_column("model_evaluations", "question", comment=_BEFORE)

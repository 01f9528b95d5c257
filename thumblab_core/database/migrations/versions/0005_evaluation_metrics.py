"""Store any metric of a model's evaluation, one figure per row, instead of only AUC."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLE, _KEY = "model_evaluations", "pk_model_evaluations"
_RENAMED = (("auc", "value"), ("auc_low", "low"), ("auc_high", "high"))

# The keys are the new names of the columns. The values are their comments before and after this migration.
_COMMENTS = {
    "split": ("future or new_channels", "future, new_channels or adapted"),
    "slice": (
        "all, or 2x: pairs whose corrected views differ twofold",
        "all, 2x: twice the views; margin FROM-TO, niche:NAME, channel:ID",
    ),
    "scorer": ("model, age, length or title", "model, or what stands beside it"),
    "value": (None, "NULL where nothing could be measured"),
    "low": ("2.5 % of the bootstrap over channels", "2.5 % of the bootstrap; NULL where there is no interval"),
    "pairs": (None, "0 for a figure of videos"),
}


def upgrade() -> None:
    op.add_column(_TABLE, sa.Column("metric", sa.String(), nullable=False, server_default="auc"))
    op.alter_column(_TABLE, "metric", server_default=None, comment="auc and others, see docs/evaluation.md")
    for before, after in _RENAMED:
        op.alter_column(_TABLE, before, new_column_name=after)
    for column, (_, comment) in _COMMENTS.items():
        op.alter_column(_TABLE, column, comment=comment)
    op.drop_constraint(_KEY, _TABLE, type_="primary")
    op.create_primary_key(_KEY, _TABLE, ["release_id", "split", "slice", "scorer", "metric"])


def downgrade() -> None:
    # The old table has no place for metrics other than AUC, and none for figures of the split `adapted`. So the rows
    # with such figures are deleted. The model releases still contain these figures.
    op.execute("DELETE FROM model_evaluations WHERE metric <> 'auc' OR split = 'adapted'")
    op.drop_constraint(_KEY, _TABLE, type_="primary")
    op.create_primary_key(_KEY, _TABLE, ["release_id", "split", "slice", "scorer"])
    for column, (comment, _) in _COMMENTS.items():
        op.alter_column(_TABLE, column, comment=comment)
    for before, after in _RENAMED:
        op.alter_column(_TABLE, after, new_column_name=before)
    op.drop_column(_TABLE, "metric")

"""Add a column for the question that an evaluation asks, and reword the comments of some columns.

docs/evaluation.md explains the questions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLE, _KEY = "model_evaluations", "pk_model_evaluations"

_COMMENTS: dict[tuple[str, str | None], tuple[str, str]] = {
    ("channels", "refreshed_at"): (
        "when the API last told these facts; NULL for a catalogue's",
        "when the API last gave these facts; NULL for a channel of a catalogue",
    ),
    ("channels", "video_count"): (
        "public videos, as the API tells it",
        "number of public videos, as the API gives it",
    ),
    ("videos", "refreshed_at"): (
        "when these facts were last told",
        "when these facts were last given by the API or a catalogue",
    ),
    ("videos", "may_train"): (
        "what videoTrainability.get said; NULL: not asked",
        "answer of videoTrainability.get; NULL: not asked",
    ),
    ("thumbnails", "etag"): (
        "what its server named this version",
        "the ETag that the server gave this version",
    ),
    ("thumbnail_versions", "earlier_deleted"): (
        "whether versions before this one were deleted, so that nobody knows what its views were earned by",
        "whether earlier versions were deleted; some of the views then belong to unknown pictures",
    ),
    ("earlier_embeddings", None): (
        "of pictures and titles that a video showed while its views were counted, and shows no more",
        "vectors of pictures and titles that a video had while its views were counted, and has no longer",
    ),
    ("model_evaluations", "scorer"): (
        "model, or what stands beside it",
        "model, or the reference model that was evaluated beside it",
    ),
    ("model_evaluations", "slice"): (
        "all, 2x: twice the views; margin FROM-TO, niche:NAME, channel:ID",
        "all; 2x: twice the views; margin FROM-TO, niche:NAME, channel:ID; see docs/evaluation.md",
    ),
    ("model_evaluations", "low"): (
        "2.5 % of the bootstrap; NULL where there is no interval",
        "lower end of the 95 % interval; NULL where there is none",
    ),
    ("model_evaluations", "high"): (
        "97.5 %",
        "upper end of the 95 % interval",
    ),
    ("reach_reports", "starts_at"): (
        "of the day that is reported",
        "start of the reported day",
    ),
    ("reach_reports", "created_at"): (
        "YouTube corrects a day by a newer report of it",
        "YouTube corrects a day with a newer report",
    ),
    ("quota_ledger", "exhausted_at"): (
        "when YouTube said that there is no more, whatever was counted here",
        "when YouTube refused a call because the quota was spent, whatever the lab had counted",
    ),
}
"""The old and the new comment of each column, by table and column. The column None means the table itself."""


def upgrade() -> None:
    op.add_column(
        _TABLE,
        sa.Column(
            "question",
            sa.String(),
            nullable=False,
            server_default="package",
            comment="package or one_title, see docs/evaluation.md",
        ),
    )
    op.drop_constraint(_KEY, _TABLE, type_="primary")
    op.create_primary_key(_KEY, _TABLE, ["release_id", "split", "slice", "scorer", "metric", "question"])
    for (table, column), (_, comment) in _COMMENTS.items():
        _comment(table, column, comment)


def downgrade() -> None:
    for (table, column), (comment, _) in _COMMENTS.items():
        _comment(table, column, comment)
    # The old table has no column for the question, and contains only figures for the question `package`. So the figures
    # for other questions are deleted from the table. The releases still contain these figures.
    op.execute("DELETE FROM model_evaluations WHERE question <> 'package'")
    op.drop_constraint(_KEY, _TABLE, type_="primary")
    op.create_primary_key(_KEY, _TABLE, ["release_id", "split", "slice", "scorer", "metric"])
    op.drop_column(_TABLE, "question")


def _comment(table: str, column: str | None, comment: str) -> None:
    if column is None:
        op.create_table_comment(table, comment)
    else:
        op.alter_column(table, column, comment=comment)

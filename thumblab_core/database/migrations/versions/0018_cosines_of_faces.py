"""Replace the word "similarity" by "cosine" in the comments of the tables.

The lab shows two measures of two faces: the cosine of their vectors, and the match score. A calibration turns the
cosine into the match score. The word "similarity" could mean either measure.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_COMMENTS = {
    "COLUMN face_assignments.similarity": (
        "to the cluster, when the lab put the face here; NULL where a person did",
        "cosine with the centroid of the cluster, when the lab put the face here; NULL where a person did",
    ),
    "COLUMN face_change_faces.similarity_before": (None, "cosine with the centroid of the cluster before the change"),
    "TABLE face_calibrations": (
        "what the similarity of two faces means, by network",
        "what the cosine of two faces means, by network",
    ),
}
"""The comments before and after this migration."""


def upgrade() -> None:
    for place, (_, comment) in _COMMENTS.items():
        _comment_on(place, comment)


def downgrade() -> None:
    for place, (comment, _) in _COMMENTS.items():
        _comment_on(place, comment)


def _comment_on(place: str, comment: str | None) -> None:
    op.execute(f"COMMENT ON {place} IS " + ("NULL" if comment is None else f"'{comment}'"))

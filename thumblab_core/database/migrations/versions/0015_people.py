"""Add tables for the faces in pictures, for clusters of faces, and for the changes that a person made to clusters."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_thumbnails_sha256", "thumbnails", ["sha256"])
    op.create_index("ix_thumbnail_versions_sha256", "thumbnail_versions", ["sha256"])
    op.create_table(
        "people_pictures",
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="the picture in the image store"),
        sa.Column("name", sa.Text(), nullable=False, comment="name of the file that was given"),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_people_pictures")),
        comment="the user's own pictures, given to find people in; they stay while they are listed here",
    )
    op.create_table(
        "face_pictures",
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="the picture in the image store"),
        sa.Column(
            "detector",
            sa.String(),
            nullable=False,
            comment="fingerprint of the detector that searched the picture last",
        ),
        sa.Column(
            "face_count",
            sa.Integer(),
            nullable=True,
            comment="faces that the detector found, forgotten faces left out; NULL: see problem",
        ),
        sa.Column("problem", sa.Text(), nullable=True, comment="why the picture could not be searched"),
        sa.Column("searched_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(face_count IS NULL) <> (problem IS NULL)", name=op.f("ck_face_pictures_count_or_problem")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_face_pictures")),
        comment="pictures that were searched for faces",
    )
    op.create_table(
        "faces",
        sa.Column(
            "face_id",
            sa.String(),
            nullable=False,
            comment="digest of picture, detector and box when it was first found",
        ),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("detector", sa.String(), nullable=False, comment="fingerprint of the detector that gave this box"),
        sa.Column("x0", sa.Float(), nullable=False, comment="fraction of the picture's width or height"),
        sa.Column("y0", sa.Float(), nullable=False, comment="fraction of the picture's width or height"),
        sa.Column("x1", sa.Float(), nullable=False, comment="fraction of the picture's width or height"),
        sa.Column("y1", sa.Float(), nullable=False, comment="fraction of the picture's width or height"),
        sa.Column(
            "landmarks",
            postgresql.ARRAY(sa.Float()),
            nullable=False,
            comment="x and y of five points, as fractions of the picture",
        ),
        sa.Column("confidence", sa.Float(), nullable=False, comment="of the detector, 0 to 1"),
        sa.Column("quality", sa.Float(), nullable=False, comment="0 to 1, see thumblab_core.faces"),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False, comment="when the face was first found"),
        sa.CheckConstraint("cardinality(landmarks) = 10", name=op.f("ck_faces_five_landmarks")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_faces_confidence")),
        sa.CheckConstraint("quality BETWEEN 0 AND 1", name=op.f("ck_faces_quality")),
        sa.CheckConstraint(
            "x0 >= 0 AND y0 >= 0 AND x1 <= 1 AND y1 <= 1 AND x0 < x1 AND y0 < y1", name=op.f("ck_faces_box")
        ),
        sa.ForeignKeyConstraint(["sha256"], ["face_pictures.sha256"], name=op.f("fk_faces_sha256"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("face_id", name=op.f("pk_faces")),
        comment="faces that were found in pictures; a crop is cut from the stored picture when it is needed",
    )
    op.create_index("ix_faces_picture", "faces", ["sha256", "face_id"], unique=True)
    op.create_table(
        "face_embeddings",
        sa.Column("face_id", sa.String(), nullable=False),
        sa.Column("embedder", sa.String(), nullable=False, comment="fingerprint of the network"),
        sa.Column("vector", Vector(), nullable=True, comment="unit vector; NULL: see problem"),
        sa.Column("problem", sa.Text(), nullable=True, comment="why the network makes no vector of this face"),
        sa.CheckConstraint("(vector IS NULL) <> (problem IS NULL)", name=op.f("ck_face_embeddings_vector_or_problem")),
        sa.ForeignKeyConstraint(
            ["face_id"], ["faces.face_id"], name=op.f("fk_face_embeddings_face_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("face_id", "embedder", name=op.f("pk_face_embeddings")),
        comment="vectors of faces",
    )
    op.create_index("ix_face_embeddings_embedder", "face_embeddings", ["embedder"], unique=False)
    op.create_table(
        "face_clusters",
        sa.Column(
            "cluster_key", sa.String(length=12), nullable=False, comment="12 hexadecimal digits; it never changes"
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="as a person gave it; NULL: unknown"),
        sa.Column("name_key", sa.Text(), nullable=True, comment="the name in the form in which names are compared"),
        sa.Column(
            "is_owner", sa.Boolean(), server_default="false", nullable=False, comment="the person who runs the channel"
        ),
        sa.Column(
            "merged_into",
            sa.String(length=12),
            nullable=True,
            comment="cluster that a person merged this one into; NULL: the cluster is in use",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(name IS NULL) = (name_key IS NULL)", name=op.f("ck_face_clusters_name_has_key")),
        sa.CheckConstraint("merged_into <> cluster_key", name=op.f("ck_face_clusters_merged_into_another")),
        sa.CheckConstraint("name IS NULL OR merged_into IS NULL", name=op.f("ck_face_clusters_merged_has_no_name")),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["face_clusters.cluster_key"], name=op.f("fk_face_clusters_merged_into")
        ),
        sa.PrimaryKeyConstraint("cluster_key", name=op.f("pk_face_clusters")),
        comment="groups of faces: named people, and groups of unknown faces",
    )
    op.create_index("ix_face_clusters_merged_into", "face_clusters", ["merged_into"], unique=False)
    op.create_index("ix_face_clusters_name_key", "face_clusters", ["name_key"], unique=True)
    op.create_table(
        "face_assignments",
        sa.Column("face_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="the picture of the face"),
        sa.Column("cluster_key", sa.String(length=12), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False, comment="a person put the face here; the lab never moves it"),
        sa.Column(
            "similarity",
            sa.Float(),
            nullable=True,
            comment="to the cluster, when the lab put the face here; NULL where a person did",
        ),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_key"], ["face_clusters.cluster_key"], name=op.f("fk_face_assignments_cluster_key")
        ),
        sa.ForeignKeyConstraint(
            ["sha256", "face_id"],
            ["faces.sha256", "faces.face_id"],
            name="fk_face_assignments_face",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("face_id", name=op.f("pk_face_assignments")),
        comment="the cluster of each face; a face without a row is in none",
    )
    op.create_index("ix_face_assignments_cluster_picture", "face_assignments", ["cluster_key", "sha256"], unique=True)
    op.create_table(
        "face_bans",
        sa.Column("face_id", sa.String(), nullable=False),
        sa.Column("cluster_key", sa.String(length=12), nullable=False),
        sa.Column("banned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_key"], ["face_clusters.cluster_key"], name=op.f("fk_face_bans_cluster_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["face_id"], ["faces.face_id"], name=op.f("fk_face_bans_face_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("face_id", "cluster_key", name=op.f("pk_face_bans")),
        comment="what a person said: this face is not this person",
    )
    op.create_index("ix_face_bans_cluster_key", "face_bans", ["cluster_key"], unique=False)
    op.create_table(
        "face_changes",
        sa.Column("change_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cluster_key", sa.String(length=12), nullable=True, comment="changed cluster"),
        sa.Column(
            "other_key", sa.String(length=12), nullable=True, comment="cluster that was merged into the changed one"
        ),
        sa.Column(
            "name_before", sa.Text(), nullable=True, comment="of the changed cluster; of a merge: of the other cluster"
        ),
        sa.Column(
            "owner_before",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="is_owner of the cluster that name_before is of",
        ),
        sa.Column("reverts", sa.BigInteger(), nullable=True, comment="the merge that this change took back"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True, comment="when a person took the change back"),
        sa.CheckConstraint("(kind = 'unmerge') = (reverts IS NOT NULL)", name=op.f("ck_face_changes_unmerge_reverts")),
        sa.CheckConstraint(
            "(kind IN ('merge', 'unmerge')) = (other_key IS NOT NULL)",
            name=op.f("ck_face_changes_merge_has_two_clusters"),
        ),
        sa.CheckConstraint(
            "kind IN ('label', 'unlabel', 'owner', 'merge', 'unmerge', 'move', 'ban')",
            name=op.f("ck_face_changes_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["cluster_key"], ["face_clusters.cluster_key"], name=op.f("fk_face_changes_cluster_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["other_key"], ["face_clusters.cluster_key"], name=op.f("fk_face_changes_other_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["reverts"], ["face_changes.change_id"], name=op.f("fk_face_changes_reverts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_face_changes")),
        comment="what a person changed in clusters, for undo and for taking a merge back",
    )
    op.create_index("ix_face_changes_cluster_key", "face_changes", ["cluster_key"], unique=False)
    op.create_index("ix_face_changes_other_key", "face_changes", ["other_key"], unique=False)
    op.create_index("ix_face_changes_reverts", "face_changes", ["reverts"], unique=False)
    op.create_table(
        "face_change_faces",
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.Column("face_id", sa.String(), nullable=False),
        sa.Column("cluster_before", sa.String(length=12), nullable=True, comment="NULL: the face was in no cluster"),
        sa.Column("pinned_before", sa.Boolean(), nullable=False),
        sa.Column("similarity_before", sa.Float(), nullable=True),
        sa.Column("assigned_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "bans_before",
            postgresql.ARRAY(sa.String(length=12)),
            nullable=False,
            comment="clusters that the face was banned from",
        ),
        sa.ForeignKeyConstraint(
            ["change_id"], ["face_changes.change_id"], name=op.f("fk_face_change_faces_change_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["cluster_before"],
            ["face_clusters.cluster_key"],
            name=op.f("fk_face_change_faces_cluster_before"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["face_id"], ["faces.face_id"], name=op.f("fk_face_change_faces_face_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("change_id", "face_id", name=op.f("pk_face_change_faces")),
        comment="where the faces of a change were before",
    )
    op.create_index("ix_face_change_faces_cluster_before", "face_change_faces", ["cluster_before"], unique=False)
    op.create_index("ix_face_change_faces_face_id", "face_change_faces", ["face_id"], unique=False)
    op.create_table(
        "forgotten_faces",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column(
            "x0", sa.Float(), nullable=False, comment="fraction of the picture's width or height; 0, 0, 1, 1: all of it"
        ),
        sa.Column(
            "y0", sa.Float(), nullable=False, comment="fraction of the picture's width or height; 0, 0, 1, 1: all of it"
        ),
        sa.Column(
            "x1", sa.Float(), nullable=False, comment="fraction of the picture's width or height; 0, 0, 1, 1: all of it"
        ),
        sa.Column(
            "y1", sa.Float(), nullable=False, comment="fraction of the picture's width or height; 0, 0, 1, 1: all of it"
        ),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "x0 >= 0 AND y0 >= 0 AND x1 <= 1 AND y1 <= 1 AND x0 < x1 AND y0 < y1", name=op.f("ck_forgotten_faces_box")
        ),
        sa.PrimaryKeyConstraint("sha256", "x0", "y0", "x1", "y1", name=op.f("pk_forgotten_faces")),
        comment="where a person had a face forgotten; no face is recorded there again",
    )
    op.create_table(
        "face_centroids",
        sa.Column("cluster_key", sa.String(length=12), nullable=False),
        sa.Column("embedder", sa.String(), nullable=False, comment="fingerprint of the network"),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False, comment="0, 1 and so on"),
        sa.Column("vector", Vector(), nullable=False, comment="unit vector"),
        sa.Column("face_count", sa.Integer(), nullable=False, comment="faces of which it is the mean"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_face_centroids_position")),
        sa.ForeignKeyConstraint(
            ["cluster_key"],
            ["face_clusters.cluster_key"],
            name=op.f("fk_face_centroids_cluster_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("cluster_key", "embedder", "position", name=op.f("pk_face_centroids")),
        comment="mean vectors of the people, several where the faces of one person spread",
    )
    op.create_table(
        "face_calibrations",
        sa.Column("embedder", sa.String(), nullable=False, comment="fingerprint of the network"),
        sa.Column(
            "calibration",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what the cosine of two faces means; see docs",
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("embedder", name=op.f("pk_face_calibrations")),
        comment="what the similarity of two faces means, by network",
    )


def downgrade() -> None:
    for table in (
        "face_calibrations",
        "face_centroids",
        "forgotten_faces",
        "face_change_faces",
        "face_changes",
        "face_bans",
        "face_assignments",
        "face_clusters",
        "face_embeddings",
        "faces",
        "face_pictures",
        "people_pictures",
    ):
        op.drop_table(table)
    op.drop_index("ix_thumbnail_versions_sha256")
    op.drop_index("ix_thumbnails_sha256")

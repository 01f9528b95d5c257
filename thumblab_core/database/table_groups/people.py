"""The tables of the faces that the lab has found in pictures, and of the people that a person has named.

A face belongs to a picture, not to a video, because several videos may show one picture. `thumblab_core.people` reads
and changes these tables. `thumblab_core.people` also deletes the faces of a picture when the last video with this
picture is deleted.

The unique index on `face_assignments` prevents two faces of one picture in one cluster. Migration 0017 makes triggers
on this table: every change of the faces of a cluster deletes the centroids of the cluster.
"""

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from thumblab_core.database.metadata import MOMENT, metadata

_BOX = ("x0", "y0", "x1", "y1")
_BOX_RULE = "x0 >= 0 AND y0 >= 0 AND x1 <= 1 AND y1 <= 1 AND x0 < x1 AND y0 < y1"


def _box() -> list[Column[float]]:
    return [Column(name, Float, nullable=False, comment="fraction of the picture's width or height") for name in _BOX]


people_pictures = Table(
    "people_pictures",
    metadata,
    Column("sha256", String(64), primary_key=True, comment="the picture in the image store"),
    Column("name", Text, nullable=False, comment="name of the file that was given"),
    Column("added_at", MOMENT, nullable=False, server_default=func.now()),
    comment="the user's own pictures, given to find people in; they stay while they are listed here",
)

face_pictures = Table(
    "face_pictures",
    metadata,
    Column("sha256", String(64), primary_key=True, comment="the picture in the image store"),
    Column("detector", String, nullable=False, comment="fingerprint of the detector that searched the picture last"),
    Column("face_count", Integer, comment="faces that the detector found, forgotten faces left out; NULL: see problem"),
    Column("problem", Text, comment="why the picture could not be searched"),
    Column("searched_at", MOMENT, nullable=False),
    CheckConstraint("(face_count IS NULL) <> (problem IS NULL)", name="count_or_problem"),
    comment="pictures that were searched for faces",
)

faces = Table(
    "faces",
    metadata,
    Column("face_id", String, primary_key=True, comment="digest of picture, detector and box when it was first found"),
    Column("sha256", String(64), ForeignKey("face_pictures.sha256", ondelete="CASCADE"), nullable=False),
    Column("detector", String, nullable=False, comment="fingerprint of the detector that gave this box"),
    *_box(),
    Column("landmarks", ARRAY(Float), nullable=False, comment="x and y of five points, as fractions of the picture"),
    Column("confidence", Float, nullable=False, comment="of the detector, 0 to 1"),
    Column("quality", Float, nullable=False, comment="0 to 1, see thumblab_core.faces"),
    Column("detected_at", MOMENT, nullable=False, comment="when the face was first found"),
    CheckConstraint(_BOX_RULE, name="box"),
    CheckConstraint("cardinality(landmarks) = 10", name="five_landmarks"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
    CheckConstraint("quality BETWEEN 0 AND 1", name="quality"),
    Index("ix_faces_picture", "sha256", "face_id", unique=True),
    comment="faces that were found in pictures; a crop is cut from the stored picture when it is needed",
)

face_embeddings = Table(
    "face_embeddings",
    metadata,
    Column("face_id", String, ForeignKey("faces.face_id", ondelete="CASCADE"), primary_key=True),
    Column("embedder", String, primary_key=True, comment="fingerprint of the network"),
    Column("vector", Vector(), comment="unit vector; NULL: see problem"),
    Column("problem", Text, comment="why the network makes no vector of this face"),
    CheckConstraint("(vector IS NULL) <> (problem IS NULL)", name="vector_or_problem"),
    Index("ix_face_embeddings_embedder", "embedder"),
    comment="vectors of faces",
)

face_clusters = Table(
    "face_clusters",
    metadata,
    Column("cluster_key", String(12), primary_key=True, comment="12 hexadecimal digits; it never changes"),
    Column("name", Text, comment="as a person gave it; NULL: unknown"),
    Column("name_key", Text, comment="the name in the form in which names are compared"),
    Column("is_owner", Boolean, nullable=False, server_default="false", comment="the person who runs the channel"),
    Column(
        "merged_into",
        String(12),
        ForeignKey("face_clusters.cluster_key"),
        comment="cluster that a person merged this one into; NULL: the cluster is in use",
    ),
    Column("created_at", MOMENT, nullable=False),
    CheckConstraint("(name IS NULL) = (name_key IS NULL)", name="name_has_key"),
    CheckConstraint("name IS NULL OR merged_into IS NULL", name="merged_has_no_name"),
    CheckConstraint("merged_into <> cluster_key", name="merged_into_another"),
    Index("ix_face_clusters_name_key", "name_key", unique=True),
    Index("ix_face_clusters_merged_into", "merged_into"),
    comment="groups of faces: named people, and groups of unknown faces",
)

face_assignments = Table(
    "face_assignments",
    metadata,
    Column("face_id", String, primary_key=True),
    Column("sha256", String(64), nullable=False, comment="the picture of the face"),
    Column("cluster_key", String(12), ForeignKey("face_clusters.cluster_key"), nullable=False),
    Column("pinned", Boolean, nullable=False, comment="a person put the face here; the lab never moves it"),
    Column(
        "similarity",
        Float,
        comment="cosine with the centroid of the cluster, when the lab put the face here; NULL where a person did",
    ),
    Column("assigned_at", MOMENT, nullable=False),
    ForeignKeyConstraint(
        ["sha256", "face_id"], ["faces.sha256", "faces.face_id"], ondelete="CASCADE", name="fk_face_assignments_face"
    ),
    Index("ix_face_assignments_cluster_picture", "cluster_key", "sha256", unique=True),
    comment="the cluster of each face; a face without a row is in none",
)

face_bans = Table(
    "face_bans",
    metadata,
    Column("face_id", String, ForeignKey("faces.face_id", ondelete="CASCADE"), primary_key=True),
    Column("cluster_key", String(12), ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"), primary_key=True),
    Column("banned_at", MOMENT, nullable=False),
    Index("ix_face_bans_cluster_key", "cluster_key"),
    comment="what a person said: this face is not this person",
)

face_changes = Table(
    "face_changes",
    metadata,
    Column("change_id", BigInteger, Identity(), primary_key=True),
    Column("kind", String, nullable=False),
    Column(
        "cluster_key",
        String(12),
        ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"),
        comment="changed cluster",
    ),
    Column(
        "other_key",
        String(12),
        ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"),
        comment="cluster that was merged into the changed one",
    ),
    Column("name_before", Text, comment="of the changed cluster; of a merge: of the other cluster"),
    Column(
        "owner_before",
        Boolean,
        nullable=False,
        server_default="false",
        comment="is_owner of the cluster that name_before is of",
    ),
    Column(
        "reverts",
        BigInteger,
        ForeignKey("face_changes.change_id", ondelete="CASCADE"),
        comment="the merge that this change took back",
    ),
    Column("changed_at", MOMENT, nullable=False),
    Column("undone_at", MOMENT, comment="when a person took the change back"),
    CheckConstraint("kind IN ('label', 'unlabel', 'owner', 'merge', 'unmerge', 'move', 'ban')", name="kind"),
    CheckConstraint("(kind IN ('merge', 'unmerge')) = (other_key IS NOT NULL)", name="merge_has_two_clusters"),
    CheckConstraint("(kind = 'unmerge') = (reverts IS NOT NULL)", name="unmerge_reverts"),
    Index("ix_face_changes_cluster_key", "cluster_key"),
    Index("ix_face_changes_other_key", "other_key"),
    Index("ix_face_changes_reverts", "reverts"),
    comment="what a person changed in clusters, for undo and for taking a merge back",
)

face_change_faces = Table(
    "face_change_faces",
    metadata,
    Column("change_id", BigInteger, ForeignKey("face_changes.change_id", ondelete="CASCADE"), primary_key=True),
    Column("face_id", String, ForeignKey("faces.face_id", ondelete="CASCADE"), primary_key=True),
    Column(
        "cluster_before",
        String(12),
        ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"),
        comment="NULL: the face was in no cluster",
    ),
    Column("pinned_before", Boolean, nullable=False),
    Column("similarity_before", Float, comment="cosine with the centroid of the cluster before the change"),
    Column("assigned_before", MOMENT),
    Column("bans_before", ARRAY(String(12)), nullable=False, comment="clusters that the face was banned from"),
    Index("ix_face_change_faces_face_id", "face_id"),
    Index("ix_face_change_faces_cluster_before", "cluster_before"),
    comment="where the faces of a change were before",
)

forgotten_faces = Table(
    "forgotten_faces",
    metadata,
    Column("sha256", String(64), primary_key=True),
    *(
        Column(
            name, Float, primary_key=True, comment="fraction of the picture's width or height; 0, 0, 1, 1: all of it"
        )
        for name in _BOX
    ),
    Column("forgotten_at", MOMENT, nullable=False),
    CheckConstraint(_BOX_RULE, name="box"),
    comment="where a person had a face forgotten; no face is recorded there again",
)

face_centroids = Table(
    "face_centroids",
    metadata,
    Column("cluster_key", String(12), ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"), primary_key=True),
    Column("embedder", String, primary_key=True, comment="fingerprint of the network"),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="0, 1 and so on"),
    Column("vector", Vector(), nullable=False, comment="unit vector"),
    Column("face_count", Integer, nullable=False, comment="faces of which it is the mean"),
    Column("made_at", MOMENT, nullable=False),
    CheckConstraint("position >= 0", name="position"),
    comment="mean vectors of the people, several where the faces of one person spread",
)

face_calibrations = Table(
    "face_calibrations",
    metadata,
    Column("embedder", String, primary_key=True, comment="fingerprint of the network"),
    Column("calibration", JSONB, nullable=False, comment="what the cosine of two faces means; see docs"),
    Column("made_at", MOMENT, nullable=False),
    comment="what the cosine of two faces means, by network",
)

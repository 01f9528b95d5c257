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
    Column("sha256", String(64), primary_key=True, comment="the SHA-256 of the picture in the image store"),
    Column("name", Text, nullable=False, comment="name of the file that the user gave"),
    Column("added_at", MOMENT, nullable=False, server_default=func.now()),
    comment="the user's own pictures in which the lab finds people; the lab keeps a picture while it is listed here",
)

face_pictures = Table(
    "face_pictures",
    metadata,
    Column("sha256", String(64), primary_key=True, comment="the SHA-256 of the picture in the image store"),
    Column(
        "detector", String, nullable=False, comment="the fingerprint of the detector that searched the picture last"
    ),
    Column(
        "face_count",
        Integer,
        comment="faces that the detector found, forgotten faces left out; NULL: `problem` says why",
    ),
    Column("problem", Text, comment="why the picture could not be searched"),
    Column("searched_at", MOMENT, nullable=False),
    CheckConstraint("(face_count IS NULL) <> (problem IS NULL)", name="count_or_problem"),
    comment="pictures that were searched for faces",
)

faces = Table(
    "faces",
    metadata,
    Column(
        "face_id",
        String,
        primary_key=True,
        comment="a digest of the picture, the detector and the box when the face was first found",
    ),
    Column("sha256", String(64), ForeignKey("face_pictures.sha256", ondelete="CASCADE"), nullable=False),
    Column("detector", String, nullable=False, comment="the fingerprint of the detector that gave this box"),
    *_box(),
    Column(
        "landmarks",
        ARRAY(Float),
        nullable=False,
        comment="x and y of five points of the face, as fractions of the picture's width and height",
    ),
    Column("confidence", Float, nullable=False, comment="how sure the detector is that this is a face, 0 to 1"),
    Column(
        "quality", Float, nullable=False, comment="the quality of the face's picture, 0 to 1; see thumblab_core.faces"
    ),
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
    Column("embedder", String, primary_key=True, comment="the fingerprint of the network that makes the vectors"),
    Column("vector", Vector(), comment="unit vector; NULL: `problem` says why"),
    Column("problem", Text, comment="why the network gave no vector for this face"),
    CheckConstraint("(vector IS NULL) <> (problem IS NULL)", name="vector_or_problem"),
    Index("ix_face_embeddings_embedder", "embedder"),
    comment="vectors of faces",
)

face_clusters = Table(
    "face_clusters",
    metadata,
    Column(
        "cluster_key",
        String(12),
        primary_key=True,
        comment="the id of the cluster: 12 hexadecimal digits that never change",
    ),
    Column("name", Text, comment="the name that a user gave; NULL: unknown"),
    Column("name_key", Text, comment="the name in the form in which names are compared"),
    Column("is_owner", Boolean, nullable=False, server_default="false", comment="whether this person runs the channel"),
    Column(
        "merged_into",
        String(12),
        ForeignKey("face_clusters.cluster_key"),
        comment="the cluster into which a person merged this cluster; NULL if it was not merged",
    ),
    Column("created_at", MOMENT, nullable=False),
    CheckConstraint("(name IS NULL) = (name_key IS NULL)", name="name_has_key"),
    CheckConstraint("name IS NULL OR merged_into IS NULL", name="merged_has_no_name"),
    CheckConstraint("merged_into <> cluster_key", name="merged_into_another"),
    Index("ix_face_clusters_name_key", "name_key", unique=True),
    Index("ix_face_clusters_merged_into", "merged_into"),
    comment="groups of faces: the faces of a named person, or faces that look alike and have no name",
)

face_assignments = Table(
    "face_assignments",
    metadata,
    Column("face_id", String, primary_key=True),
    Column("sha256", String(64), nullable=False, comment="the SHA-256 of the picture with the face"),
    Column("cluster_key", String(12), ForeignKey("face_clusters.cluster_key"), nullable=False),
    Column(
        "pinned",
        Boolean,
        nullable=False,
        comment="whether a person put the face into this cluster; the lab never moves such a face",
    ),
    Column(
        "similarity",
        Float,
        comment="the cosine of the face and its cluster's centroid when the lab put it there; NULL if a person put it there",
    ),
    Column("assigned_at", MOMENT, nullable=False),
    ForeignKeyConstraint(
        ["sha256", "face_id"], ["faces.sha256", "faces.face_id"], ondelete="CASCADE", name="fk_face_assignments_face"
    ),
    Index("ix_face_assignments_cluster_picture", "cluster_key", "sha256", unique=True),
    comment="the cluster of each face; a face without a row is in no cluster",
)

face_bans = Table(
    "face_bans",
    metadata,
    Column("face_id", String, ForeignKey("faces.face_id", ondelete="CASCADE"), primary_key=True),
    Column("cluster_key", String(12), ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"), primary_key=True),
    Column("banned_at", MOMENT, nullable=False),
    Index("ix_face_bans_cluster_key", "cluster_key"),
    comment="faces of which a person said that they do not show this person",
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
        comment="the cluster that was changed",
    ),
    Column(
        "other_key",
        String(12),
        ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"),
        comment="the cluster that was merged into the changed cluster",
    ),
    Column("name_before", Text, comment="earlier name of the changed cluster; for a merge, of the other cluster"),
    Column(
        "owner_before",
        Boolean,
        nullable=False,
        server_default="false",
        comment="earlier is_owner of the same cluster",
    ),
    Column(
        "reverts",
        BigInteger,
        ForeignKey("face_changes.change_id", ondelete="CASCADE"),
        comment="the merge that this change has undone",
    ),
    Column("changed_at", MOMENT, nullable=False),
    Column("undone_at", MOMENT, comment="when a person undid this change"),
    CheckConstraint("kind IN ('label', 'unlabel', 'owner', 'merge', 'unmerge', 'move', 'ban')", name="kind"),
    CheckConstraint("(kind IN ('merge', 'unmerge')) = (other_key IS NOT NULL)", name="merge_has_two_clusters"),
    CheckConstraint("(kind = 'unmerge') = (reverts IS NOT NULL)", name="unmerge_reverts"),
    Index("ix_face_changes_cluster_key", "cluster_key"),
    Index("ix_face_changes_other_key", "other_key"),
    Index("ix_face_changes_reverts", "reverts"),
    comment="the user's changes of clusters, kept so that they can be undone",
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
        comment="the cluster of the face before the change; NULL if the face was in no cluster",
    ),
    Column("pinned_before", Boolean, nullable=False),
    Column("similarity_before", Float, comment="the cosine of the face and its cluster's centroid before the change"),
    Column("assigned_before", MOMENT),
    Column(
        "bans_before",
        ARRAY(String(12)),
        nullable=False,
        comment="the clusters into which the lab was not allowed to put the face before the change",
    ),
    Index("ix_face_change_faces_face_id", "face_id"),
    Index("ix_face_change_faces_cluster_before", "cluster_before"),
    comment="the clusters of the faces that a change moved, as they were before the change",
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
    comment="parts of pictures in which a user deleted a face; no face is stored there again",
)

face_centroids = Table(
    "face_centroids",
    metadata,
    Column("cluster_key", String(12), ForeignKey("face_clusters.cluster_key", ondelete="CASCADE"), primary_key=True),
    Column("embedder", String, primary_key=True, comment="the fingerprint of the network that makes the vectors"),
    Column(
        "position",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="the number of the centroid in its cluster, from 0",
    ),
    Column("vector", Vector(), nullable=False, comment="the mean of the faces' vectors, scaled to length 1"),
    Column("face_count", Integer, nullable=False, comment="number of the faces whose mean is the vector"),
    Column("made_at", MOMENT, nullable=False),
    CheckConstraint("position >= 0", name="position"),
    comment="mean vectors of the people's faces; a person whose faces differ much has several",
)

face_calibrations = Table(
    "face_calibrations",
    metadata,
    Column("embedder", String, primary_key=True, comment="the fingerprint of the network that makes the vectors"),
    Column(
        "calibration",
        JSONB,
        nullable=False,
        comment="the map from the cosine of two faces to a match score; see docs/people.md",
    ),
    Column("made_at", MOMENT, nullable=False),
    comment="for each network, what the cosine of two faces means",
)

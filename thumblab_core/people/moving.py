"""Change the clusters of faces at the request of a person: move faces to a cluster, or take out a face that does not
show the person.

A face that a person put in a cluster is pinned: the lab never moves this face by itself.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import face_assignments, face_bans, faces
from thumblab_core.errors import LabError
from thumblab_core.people.clusters import (
    ClusterRow,
    banned_clusters,
    in_use,
    make_cluster,
    merged_clusters,
    require_cluster,
)
from thumblab_core.people.errors import FaceConflictError, UnknownFaceError
from thumblab_core.people.locking import changes_people
from thumblab_core.people.log import BAN, MOVE, log_change

MOST_FACES = 10_000
"""The largest number of faces that one call moves."""

_SHOWN = 40

_PIN = text("""
INSERT INTO face_assignments (face_id, sha256, cluster_key, pinned, similarity, assigned_at)
SELECT face_id, sha256, :cluster_key, true, NULL, clock_timestamp() FROM faces WHERE face_id = ANY(:face_ids)
ON CONFLICT (face_id) DO UPDATE SET
  pinned = true,
  similarity = CASE WHEN face_assignments.cluster_key = excluded.cluster_key THEN face_assignments.similarity END,
  assigned_at = CASE WHEN face_assignments.cluster_key = excluded.cluster_key
    THEN face_assignments.assigned_at ELSE excluded.assigned_at END,
  cluster_key = excluded.cluster_key
""")


@changes_people
def move(connection: Connection, face_ids: Sequence[str], to: str | None = None) -> ClusterRow:
    """Put faces in a cluster, and pin the faces there. Return this cluster.

    `to`: the id of the cluster, or None for a new cluster. If the cluster already has another face from the same
    picture as a moved face, and the lab itself put that face there, it is taken out. If a moved face was banned from
    this cluster, the ban is deleted.

    Raises:
        UnknownFaceError: The lab has no such face or cluster.
        FaceConflictError: Two of the faces are in one picture, or a person put another face of the picture in `to`.
        LabError: No face is given, or more than `MOST_FACES`.
    """
    pictures = _pictures_of(connection, face_ids)
    target = None if to is None else require_cluster(connection, to)
    if target is None:
        target = make_cluster(connection)
    evicted = _evicted(connection, target, pictures)
    bans = {face_id for face_id, key in banned_clusters(connection, pictures) if key == target.key}
    pinned = select(face_assignments.c.face_id).where(
        face_assignments.c.face_id == func.any(list(pictures)),
        face_assignments.c.cluster_key == target.key,
        face_assignments.c.pinned,
    )
    if not bans and set(connection.scalars(pinned)) == set(pictures):
        return target
    log_change(connection, MOVE, target.key, [*pictures, *evicted])
    connection.execute(delete(face_assignments).where(face_assignments.c.face_id == func.any(evicted)))
    connection.execute(_PIN, {"cluster_key": target.key, "face_ids": list(pictures)})
    _lift_bans(connection, bans, target.key)
    return target


@changes_people
def not_this_person(connection: Connection, face_id: str, cluster_id: str | None = None) -> ClusterRow:
    """Take a face out of its cluster, and keep it out of this cluster from now on. Return the cluster.

    `cluster_id`: the cluster of the wrong person; by default the cluster that has the face now. A second call with the
    same arguments changes nothing.

    Raises:
        UnknownFaceError: The lab has no such face or cluster.
        FaceConflictError: The face is in no cluster, and no `cluster_id` is given.
    """
    _pictures_of(connection, [face_id])
    own = connection.scalar(select(face_assignments.c.cluster_key).where(face_assignments.c.face_id == face_id))
    if cluster_id is None and own is None:
        raise FaceConflictError(f"the face {face_id} is in no cluster; say which cluster it does not belong to")
    cluster = require_cluster(connection, cluster_id or str(own))
    if own != cluster.key and (face_id, cluster.key) in banned_clusters(connection, [face_id]):
        return cluster
    log_change(connection, BAN, cluster.key, [face_id])
    ban = {"face_id": face_id, "cluster_key": cluster.key, "banned_at": func.now()}
    connection.execute(insert(face_bans).values(ban).on_conflict_do_nothing())
    if own == cluster.key:
        connection.execute(delete(face_assignments).where(face_assignments.c.face_id == face_id))
    return cluster


def _pictures_of(connection: Connection, face_ids: Sequence[str]) -> dict[str, str]:
    """Return the picture of each face.

    Raises `LabError` if no face is given, or more than `MOST_FACES`. Raises `UnknownFaceError` if the lab has no such
    face, and `FaceConflictError` if two of the faces are in one picture.
    """
    ids = [each.encode(errors="replace").decode() for each in dict.fromkeys(face_ids)]
    if not ids:
        raise LabError("no face is given; give the id of at least one face")
    if len(ids) > MOST_FACES:
        raise LabError(f"{len(ids)} faces are given; give at most {MOST_FACES} at once")
    rows = connection.execute(select(faces.c.face_id, faces.c.sha256).where(faces.c.face_id == func.any(ids)))
    pictures = {row.face_id: row.sha256 for row in rows}
    unknown = [face_id for face_id in ids if face_id not in pictures]
    if unknown:
        raise UnknownFaceError(f"the lab has no face {unknown[0][:_SHOWN]!r}; use the id of a stored face")
    by_picture: dict[str, str] = {}
    for face_id in ids:
        other = by_picture.setdefault(pictures[face_id], face_id)
        if other != face_id:
            raise FaceConflictError(
                f"the faces {other} and {face_id} are in one picture, so they cannot be one person; move one of them"
            )
    return {face_id: pictures[face_id] for face_id in ids}


def _evicted(connection: Connection, target: ClusterRow, pictures: dict[str, str]) -> list[str]:
    """Return the faces that must leave the cluster `target`, because other faces of their pictures are moved there.

    Raises `FaceConflictError` if a person put one of these faces in `target`.
    """
    rows = connection.execute(
        select(face_assignments.c.face_id, face_assignments.c.sha256, face_assignments.c.pinned).where(
            face_assignments.c.cluster_key == target.key,
            face_assignments.c.sha256 == func.any(list(set(pictures.values()))),
            face_assignments.c.face_id != func.all(list(pictures)),
        )
    ).all()
    for row in rows:
        if row.pinned:
            moved = next(face_id for face_id, picture in pictures.items() if picture == row.sha256)
            raise FaceConflictError(
                f"a person put the face {row.face_id} in {target.id}, and the face {moved} is in the same picture, so "
                f"the two faces cannot be one person; take {row.face_id} out first"
            )
    return [row.face_id for row in rows]


def _lift_bans(connection: Connection, face_ids: set[str], key: str) -> None:
    """Delete the bans that keep these faces out of the cluster, or out of a cluster that was merged into it."""
    into = merged_clusters(connection)
    keys = [key, *(merged for merged in into if in_use(merged, into) == key)]
    bans = face_bans.c.face_id == func.any(list(face_ids)), face_bans.c.cluster_key == func.any(keys)
    connection.execute(delete(face_bans).where(*bans))

"""Name clusters, merge them, and record which person owns the channel.

A person who names or merges a cluster decides about the faces that are in it at that time. So these faces are pinned.
"""

from sqlalchemy import Connection, func, select, update

from thumblab_core.database.tables import face_assignments, face_clusters
from thumblab_core.people.clusters import ClusterRow, banned_clusters, cluster_named, require_cluster
from thumblab_core.people.errors import FaceConflictError, KnownNameError
from thumblab_core.people.locking import changes_people
from thumblab_core.people.log import LABEL, MERGE, OWNER, UNLABEL, log_change
from thumblab_core.people.names import clean_name, name_key


@changes_people
def label(connection: Connection, cluster_id: str, name: str, may_merge: bool = True) -> ClusterRow:
    """Give a cluster the name of a person, and pin its faces if the cluster was unknown. Return the cluster.

    If a person has this name already, the cluster is merged into this person's cluster, and the person's cluster is
    returned. If `may_merge` is false, `KnownNameError` is raised instead. If the cluster has this name already, nothing
    changes.

    Raises:
        LabError: The name is not allowed, see `clean_name`.
        UnknownFaceError: The lab has no such cluster.
        FaceConflictError: The cluster cannot be merged into that person, see `merge`.
        KnownNameError: Another cluster has this name, and `may_merge` is false.
    """
    name = clean_name(name)
    cluster = require_cluster(connection, cluster_id)
    other = cluster_named(connection, name_key(name))
    if other is not None and other.key != cluster.key:
        if not may_merge:
            raise KnownNameError(f"the name “{other.name}” is known already: {other.id} has it")
        return _merge(connection, cluster, other)
    if cluster.name == name:
        return cluster
    pinned = [] if cluster.name is not None else _loose_faces(connection, cluster.key)
    log_change(connection, LABEL, cluster.key, pinned, before=cluster)
    pin(connection, pinned)
    named = {"name": name, "name_key": name_key(name)}
    connection.execute(update(face_clusters).where(face_clusters.c.cluster_key == cluster.key).values(named))
    return ClusterRow(cluster.key, name, name_key(name), cluster.is_owner)


@changes_people
def unlabel(connection: Connection, cluster_id: str) -> ClusterRow:
    """Remove the name of a cluster. The faces of the cluster stay pinned in it. Return the cluster."""
    cluster = require_cluster(connection, cluster_id)
    if cluster.name is not None:
        log_change(connection, UNLABEL, cluster.key, [], before=cluster)
        unnamed = {"name": None, "name_key": None, "is_owner": False}
        connection.execute(update(face_clusters).where(face_clusters.c.cluster_key == cluster.key).values(unnamed))
    return ClusterRow(cluster.key, None, None, False)


@changes_people
def set_owner(connection: Connection, cluster_id: str, is_owner: bool = True) -> ClusterRow:
    """Store whether the person of a cluster owns the channel. Return the cluster. Raises `FaceConflictError` if the
    cluster has no name.
    """
    cluster = require_cluster(connection, cluster_id)
    if is_owner and cluster.name is None:
        raise FaceConflictError(f"{cluster.id} has no name; name the person first")
    if cluster.is_owner != is_owner:
        log_change(connection, OWNER, cluster.key, [], before=cluster)
        of_cluster = face_clusters.c.cluster_key == cluster.key
        connection.execute(update(face_clusters).where(of_cluster).values(is_owner=is_owner))
    return ClusterRow(cluster.key, cluster.name, cluster.name_key, is_owner)


@changes_people
def merge(connection: Connection, cluster_id: str, into_id: str) -> ClusterRow:
    """Merge a cluster into another cluster. Return the cluster that then has the faces of both.

    If only `cluster_id` has a name, the other cluster is merged into `cluster_id`, so that the name stays. If both have
    a name, the name of `into_id` stays. After the merge, the id of the merged cluster means the cluster that has its
    faces. `unmerge` takes the merge back. Merging the same two clusters again changes nothing.

    Raises:
        UnknownFaceError: The lab has no such cluster.
        FaceConflictError: The two clusters have faces of the same picture. Or a person said that a face of one cluster
            does not belong to the other cluster.
    """
    merged, into = require_cluster(connection, cluster_id), require_cluster(connection, into_id)
    if merged.name is not None and into.name is None:
        merged, into = into, merged
    return _merge(connection, merged, into)


def _merge(connection: Connection, merged: ClusterRow, into: ClusterRow) -> ClusterRow:
    if merged.key == into.key:
        return into
    _refuse_conflicts(connection, merged, into)
    confirmed = [] if into.name is not None else _loose_faces(connection, into.key)
    moved = list(
        connection.scalars(select(face_assignments.c.face_id).where(face_assignments.c.cluster_key == merged.key))
    )
    log_change(connection, MERGE, into.key, moved + confirmed, other=merged, before=merged)
    pin(connection, confirmed)
    of_merged = face_assignments.c.cluster_key == merged.key
    connection.execute(update(face_assignments).where(of_merged).values(cluster_key=into.key, pinned=True))
    gone = {"name": None, "name_key": None, "is_owner": False, "merged_into": into.key}
    connection.execute(update(face_clusters).where(face_clusters.c.cluster_key == merged.key).values(gone))
    return into


def _refuse_conflicts(connection: Connection, merged: ClusterRow, into: ClusterRow) -> None:
    """Raise `FaceConflictError` if the faces of the two clusters cannot belong to one person."""
    one, other = face_assignments.alias(), face_assignments.alias()
    both = connection.execute(
        select(one.c.face_id, other.c.face_id.label("other_id"))
        .join(other, one.c.sha256 == other.c.sha256)
        .where(one.c.cluster_key == merged.key, other.c.cluster_key == into.key)
        .order_by(one.c.face_id)
    ).all()
    if both:
        more = "" if len(both) == 1 else f", and both clusters have a face of {len(both) - 1} more pictures"
        raise FaceConflictError(
            f"the face {both[0].face_id} of {merged.id} and the face {both[0].other_id} of {into.id} are in one "
            f"picture{more}, so they cannot be one person; first move one face of each picture out of its cluster"
        )
    members = select(face_assignments.c.face_id, face_assignments.c.cluster_key).where(
        face_assignments.c.cluster_key.in_([merged.key, into.key])
    )
    cluster_of = {row.face_id: row.cluster_key for row in connection.execute(members)}
    for face_id, key in sorted(banned_clusters(connection, cluster_of)):
        if key in (merged.key, into.key) and cluster_of[face_id] != key:
            not_in = merged.id if key == merged.key else into.id
            raise FaceConflictError(
                f"a person said that the face {face_id} is not {not_in}; move this face out before you merge"
            )


def pin(connection: Connection, face_ids: list[str]) -> None:
    """Pin faces in their present clusters."""
    of_faces = face_assignments.c.face_id == func.any(face_ids)
    connection.execute(update(face_assignments).where(of_faces).values(pinned=True))


def _loose_faces(connection: Connection, key: str) -> list[str]:
    """Return the faces of the cluster that are not pinned."""
    loose = face_assignments.c.cluster_key == key, ~face_assignments.c.pinned
    return list(connection.scalars(select(face_assignments.c.face_id).where(*loose)))

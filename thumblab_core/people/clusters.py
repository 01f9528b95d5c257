"""Find clusters by the ids that users give. For a merged cluster, find the cluster that has its faces now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, insert, or_, select
from sqlalchemy.sql import func

from thumblab_core.database.tables import face_assignments, face_bans, face_change_faces, face_changes, face_clusters
from thumblab_core.people.errors import UnknownFaceError
from thumblab_core.people.names import key_in, new_key, shown_id


@dataclass(frozen=True)
class ClusterRow:
    """A cluster that is in use: it was not merged into another cluster."""

    key: str
    name: str | None
    name_key: str | None
    is_owner: bool

    @property
    def id(self) -> str:
        """The id that users see, such as person_0123456789ab."""
        return shown_id(self.key, self.name)


def merged_clusters(connection: Connection) -> dict[str, str]:
    """For the key of each merged cluster, return the key of the cluster that has its faces now."""
    rows = connection.execute(
        select(face_clusters.c.cluster_key, face_clusters.c.merged_into).where(face_clusters.c.merged_into.is_not(None))
    )
    into = {row.cluster_key: row.merged_into for row in rows}
    return {key: in_use(key, into) for key in into}


def in_use(key: str, into: Mapping[str, str]) -> str:
    """Return the cluster in use that has the faces of the cluster `key`. `into` maps each merged cluster to the cluster
    that it was merged into.
    """
    while key in into:
        key = into[key]
    return key


def require_cluster(connection: Connection, cluster_id: str) -> ClusterRow:
    """Return the cluster with this id. If it was merged, return the cluster that now has its faces.

    Raises `UnknownFaceError` if there is no such cluster.
    """
    key = in_use(key_in(cluster_id), merged_clusters(connection))
    row = connection.execute(select(face_clusters).where(face_clusters.c.cluster_key == key)).one_or_none()
    if row is None:
        raise UnknownFaceError(f"the lab has no cluster {cluster_id}; `thumblab people show` lists the clusters")
    return ClusterRow(row.cluster_key, row.name, row.name_key, row.is_owner)


def cluster_named(connection: Connection, key_of_name: str) -> ClusterRow | None:
    """Return the cluster of the person with this name, or None if nobody has the name.

    `key_of_name`: the name as `name_key` returns it.
    """
    row = connection.execute(select(face_clusters).where(face_clusters.c.name_key == key_of_name)).one_or_none()
    return None if row is None else ClusterRow(row.cluster_key, row.name, row.name_key, row.is_owner)


def make_cluster(connection: Connection) -> ClusterRow:
    """Insert a new cluster without a name and without faces."""
    key = new_key()
    connection.execute(insert(face_clusters).values(cluster_key=key, created_at=func.now()))
    return ClusterRow(key, None, None, False)


def banned_clusters(connection: Connection, face_ids: Iterable[str] | None = None) -> set[tuple[str, str]]:
    """Return (face id, cluster key) for each ban: a person said that the face does not belong to the cluster.

    For a cluster that was merged into another cluster, the key is the key of the other cluster.
    """
    into = merged_clusters(connection)
    statement = select(face_bans.c.face_id, face_bans.c.cluster_key)
    if face_ids is not None:
        statement = statement.where(face_bans.c.face_id == func.any(list(face_ids)))
    return {(row.face_id, in_use(row.cluster_key, into)) for row in connection.execute(statement)}


def drop_empty_clusters(connection: Connection) -> list[str]:
    """Delete the unknown clusters that have no faces, unless a merge or another change by a person refers to the
    cluster. Return the keys of the deleted clusters.
    """
    key, other = face_clusters.c.cluster_key, face_clusters.alias()
    referred = or_(
        exists().where(face_assignments.c.cluster_key == key),
        exists().where(other.c.merged_into == key),
        exists().where(or_(face_changes.c.cluster_key == key, face_changes.c.other_key == key)),
        exists().where(face_change_faces.c.cluster_before == key),
    )
    unknown = face_clusters.c.name.is_(None), face_clusters.c.merged_into.is_(None)
    return list(connection.scalars(delete(face_clusters).where(*unknown, ~referred).returning(key)))

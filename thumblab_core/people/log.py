"""Store where faces were before a change by a person, so that the change can be undone."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, text

from thumblab_core.database.tables import face_change_faces, face_changes, face_clusters
from thumblab_core.people.clusters import ClusterRow
from thumblab_core.people.records import Change

LABEL, UNLABEL, OWNER, MERGE, UNMERGE, MOVE, BAN = "label", "unlabel", "owner", "merge", "unmerge", "move", "ban"
"""The kinds of changes."""

_REMEMBER = text("""
INSERT INTO face_change_faces (
  change_id, face_id, cluster_before, pinned_before, similarity_before, assigned_before, bans_before
)
SELECT :change_id, f.face_id, a.cluster_key, COALESCE(a.pinned, false), a.similarity, a.assigned_at,
  ARRAY(SELECT b.cluster_key FROM face_bans b WHERE b.face_id = f.face_id ORDER BY b.cluster_key)
FROM faces f LEFT JOIN face_assignments a USING (face_id) WHERE f.face_id = ANY(:face_ids)
""")


def log_change(
    connection: Connection,
    kind: str,
    cluster_key: str,
    face_ids: Sequence[str],
    other: ClusterRow | None = None,
    before: ClusterRow | None = None,
    reverts: int | None = None,
) -> int:
    """Store a change that is about to be made, with the present places of its faces. Return its number.

    `before` is the cluster whose name the change may remove. `other` is the cluster that is merged into the changed
    cluster, or separated from it. `reverts`: the merge that the change takes back.
    """
    values = {
        "kind": kind,
        "cluster_key": cluster_key,
        "other_key": None if other is None else other.key,
        "name_before": None if before is None else before.name,
        "owner_before": before is not None and before.is_owner,
        "reverts": reverts,
        "changed_at": func.clock_timestamp(),
    }
    change_id = connection.execute(insert(face_changes).values(values).returning(face_changes.c.change_id)).scalar_one()
    connection.execute(_REMEMBER, {"change_id": change_id, "face_ids": list(face_ids)})
    return int(change_id)


def list_changes(connection: Connection, limit: int = 50, kind: str | None = None) -> list[Change]:
    """Return the latest changes, the latest first. A change that `undo` took back is left out. A merge that `unmerge`
    took back is in the list, with `reverted` set to True.
    """
    counts = select(func.count()).where(face_change_faces.c.change_id == face_changes.c.change_id).scalar_subquery()
    other = face_clusters.alias()
    statement = (
        select(face_changes, counts.label("face_count"), face_clusters.c.name, other.c.name.label("other_name"))
        .outerjoin(face_clusters, face_clusters.c.cluster_key == face_changes.c.cluster_key)
        .outerjoin(other, other.c.cluster_key == face_changes.c.other_key)
        .order_by(face_changes.c.change_id.desc())
        .limit(limit)
    )
    if kind is not None:
        statement = statement.where(face_changes.c.kind == kind)
    return [
        Change(
            change_id=row.change_id,
            kind=row.kind,
            cluster_key=row.cluster_key,
            other_key=row.other_key,
            name_before=row.name_before,
            changed_at=row.changed_at,
            faces=row.face_count,
            reverted=row.undone_at is not None,
            name=row.name,
            other_name=row.other_name,
        )
        for row in connection.execute(statement)
    ]

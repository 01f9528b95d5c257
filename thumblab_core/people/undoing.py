"""Take back what a person changed: a merge, or the latest change."""

from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, text, update

from thumblab_core.database.tables import (
    face_assignments,
    face_change_faces,
    face_changes,
    face_clusters,
)
from thumblab_core.people.clusters import (
    ClusterRow,
    banned_clusters,
    cluster_named,
    drop_empty_clusters,
    in_use,
    merged_clusters,
    require_cluster,
)
from thumblab_core.people.errors import FaceConflictError, UnknownFaceError
from thumblab_core.people.locking import changes_people
from thumblab_core.people.log import LABEL, MERGE, OWNER, UNLABEL, UNMERGE, log_change
from thumblab_core.people.names import name_key
from thumblab_core.people.naming import pin
from thumblab_core.people.records import Change

# Make room for faces that go back to their cluster. If the lab itself put another face of the same picture there, that
# other face is taken out. A face that a person put there is pinned, and stays.
_MAKE_ROOM = text("""
DELETE FROM face_assignments a USING face_change_faces c JOIN faces f USING (face_id)
WHERE c.change_id = :change_id AND a.cluster_key = c.cluster_before AND a.sha256 = f.sha256 AND NOT a.pinned
""")
# Select the faces of a change. For each face, `holder` is the pinned face of the same picture that is now in the face's
# earlier cluster. `holder` is null if there is no such face.
_PLACES = text("""
SELECT c.face_id, a.face_id AS holder FROM face_change_faces c JOIN faces f USING (face_id)
LEFT JOIN face_assignments a
  ON a.cluster_key = c.cluster_before AND a.sha256 = f.sha256 AND a.face_id <> c.face_id AND a.pinned
WHERE c.change_id = :change_id
""")
_LAST_NUMBER = text("SELECT pg_sequence_last_value(pg_get_serial_sequence('face_changes', 'change_id')::regclass)")
_CLEAR = text("""
DELETE FROM face_assignments a USING face_change_faces c WHERE c.change_id = :change_id AND a.face_id = c.face_id
""")
_PUT_BACK = text("""
INSERT INTO face_assignments (face_id, sha256, cluster_key, pinned, similarity, assigned_at)
SELECT f.face_id, f.sha256, c.cluster_before, c.pinned_before, c.similarity_before, c.assigned_before
FROM face_change_faces c JOIN faces f USING (face_id)
WHERE c.change_id = :change_id AND c.cluster_before IS NOT NULL
""")
_CLEAR_BANS = text("""
DELETE FROM face_bans b USING face_change_faces c WHERE c.change_id = :change_id AND b.face_id = c.face_id
""")
_PUT_BANS_BACK = text("""
INSERT INTO face_bans (face_id, cluster_key, banned_at)
SELECT c.face_id, k.cluster_key, now() FROM face_change_faces c, unnest(c.bans_before) AS before (cluster_key)
JOIN face_clusters k USING (cluster_key) WHERE c.change_id = :change_id
""")


@changes_people
def unmerge(connection: Connection, merge_id: int) -> ClusterRow:
    """Take a merge back: the merged cluster gets its faces and its name again. Return this cluster.

    `merge_id`: the number of the merge in `list_changes`. Faces that were moved elsewhere since the merge stay there.
    The faces of both clusters are pinned, so that the lab does not merge the clusters again. If another person has got
    the name since then, the cluster comes back without a name. Taking a merge back a second time changes nothing.
    Raises `UnknownFaceError` if there is no such merge, or if the merge was deleted from the log.
    """
    is_merge = face_changes.c.change_id == merge_id, face_changes.c.kind == MERGE
    merged = connection.execute(select(face_changes).where(*is_merge)).one_or_none()
    if merged is None:
        raise UnknownFaceError(_no_merge(connection, merge_id))
    if merged.undone_at is not None:
        return require_cluster(connection, merged.other_key)
    into = in_use(merged.other_key, merged_clusters(connection))
    of_merge = select(face_change_faces.c.face_id).where(
        face_change_faces.c.change_id == merge_id, face_change_faces.c.cluster_before == merged.other_key
    )
    in_cluster = select(face_assignments.c.face_id).where(face_assignments.c.cluster_key == into)
    back = list(connection.scalars(in_cluster.where(face_assignments.c.face_id.in_(of_merge))))
    rest = list(
        connection.scalars(
            in_cluster.where(
                face_assignments.c.face_id.not_in(of_merge),
                face_assignments.c.assigned_at <= merged.changed_at,
                ~face_assignments.c.pinned,
            )
        )
    )
    other = ClusterRow(merged.other_key, None, None, False)
    log_change(connection, UNMERGE, into, back + rest, other=other, reverts=merge_id)
    connection.execute(update(face_changes).where(*is_merge).values(undone_at=func.clock_timestamp()))
    _restore_cluster(connection, merged.other_key, merged.name_before, merged.owner_before)
    of_back = face_assignments.c.face_id == func.any(back)
    connection.execute(update(face_assignments).where(of_back).values(cluster_key=merged.other_key, pinned=True))
    pin(connection, rest)
    return require_cluster(connection, merged.other_key)


@changes_people
def undo(connection: Connection) -> Change:
    """Take back the latest change that a person made, and return it. The faces go back to where they were before.

    Faces that were forgotten or deleted after the change do not come back. A face stays where it is if a person has put
    another face of the same picture in its earlier cluster. Then `conflict` of the result gives the reason. Even in
    this case, the change is deleted from the log, because otherwise no earlier change could ever be undone. The caller
    commits, and then shows `conflict` to the user.

    Raises `FaceConflictError` if there is no change to take back.
    """
    latest = select(face_changes).where(face_changes.c.undone_at.is_(None)).order_by(face_changes.c.change_id.desc())
    change = connection.execute(latest.limit(1)).one_or_none()
    if change is None:
        raise FaceConflictError("there is nothing to undo; no person has changed anything")
    _undo_clusters(connection, change)
    count = select(func.count()).where(face_change_faces.c.change_id == change.change_id)
    faces = int(connection.scalar(count) or 0)
    kept_out = _kept_out(connection, change.change_id)
    of_change = face_change_faces.c.change_id == change.change_id
    stay = of_change, face_change_faces.c.face_id == func.any(list(kept_out))
    connection.execute(delete(face_change_faces).where(*stay))
    for statement in (_MAKE_ROOM, _CLEAR, _PUT_BACK, _CLEAR_BANS, _PUT_BANS_BACK):
        connection.execute(statement, {"change_id": change.change_id})
    connection.execute(delete(face_changes).where(face_changes.c.change_id == change.change_id))
    if change.kind == UNMERGE:
        # A merged cluster has no faces. So the faces that cannot go back are in no cluster.
        connection.execute(delete(face_assignments).where(face_assignments.c.cluster_key == change.other_key))
        _take_out_banned(connection)
    drop_empty_clusters(connection)
    of_cluster = face_clusters.c.cluster_key == change.cluster_key
    return Change(
        change_id=change.change_id,
        kind=change.kind,
        cluster_key=change.cluster_key,
        other_key=change.other_key,
        name_before=change.name_before,
        changed_at=change.changed_at,
        faces=faces,
        reverted=False,
        name=connection.scalar(select(face_clusters.c.name).where(of_cluster)),
        conflict=_conflict(change, faces, kept_out),
    )


def _kept_out(connection: Connection, change_id: int) -> dict[str, str]:
    """Return the faces of a change that cannot go back to their earlier cluster. A face cannot go back if a person put
    another face of the same picture there. The result maps each of these faces to the face that the person put there.

    A cluster has at most one face of a picture. Usually, the latest change is undone first, so the earlier cluster is
    free. But when a person is forgotten, changes are deleted from the log without being undone. Then another face of
    the same picture may be in the earlier cluster.
    """
    rows = connection.execute(_PLACES, {"change_id": change_id}).all()
    going = {row.face_id for row in rows}
    kept_out: dict[str, str] = {}
    while more := [row for row in rows if row.holder and row.face_id in going and row.holder not in going]:
        going.difference_update(row.face_id for row in more)
        kept_out.update({row.face_id: row.holder for row in more})
    return kept_out


def _conflict(change: Row[Any], faces: int, kept_out: dict[str, str]) -> str | None:
    """Return why faces of the change did not go back, and what a person can do about this. None if all faces went back."""
    if not kept_out:
        return None
    face_id, holder = min(kept_out.items())
    return (
        f"change {change.change_id} ({change.kind}) cannot be taken back for {len(kept_out)} of its {faces} faces, because "
        f"a person put another face of the same picture in their place: {holder} is where {face_id} was. The change is off "
        f"the list now, so the next undo takes back the change before it. To put {face_id} back, move {holder} away first"
    )


def _no_merge(connection: Connection, change_id: int) -> str:
    """Return the reason why `unmerge` cannot take back the change `change_id`. If `undo` has deleted the change, only
    its number is known.
    """
    lists = "`thumblab people changes` lists the merges"
    kind = connection.scalar(select(face_changes.c.kind).where(face_changes.c.change_id == change_id))
    if kind is not None:
        return f"change {change_id} is no merge, but of the kind {kind}; {lists}"
    if change_id <= int(connection.scalar(_LAST_NUMBER) or 0):
        return f"there is no merge {change_id} any more: undo took it back already, or a person was forgotten; {lists}"
    return f"there is no merge {change_id}; {lists}"


def _undo_clusters(connection: Connection, change: Row[Any]) -> None:
    """Take back what the change did to clusters, but not what it did to faces."""
    if change.kind in (LABEL, UNLABEL, OWNER):
        _restore_cluster(connection, change.cluster_key, change.name_before, change.owner_before)
    elif change.kind == MERGE:
        _restore_cluster(connection, change.other_key, change.name_before, change.owner_before)
    elif change.kind == UNMERGE:
        merged = face_changes.c.change_id == change.reverts
        into = connection.scalar(
            update(face_changes).where(merged).values(undone_at=None).returning(face_changes.c.cluster_key)
        )
        # After the unmerge, the lab may have put faces in the cluster. These faces are taken out, because a
        # cluster that was merged into another one has no faces.
        loose = face_assignments.c.cluster_key == change.other_key, ~face_assignments.c.pinned
        connection.execute(delete(face_assignments).where(*loose))
        gone = {"name": None, "name_key": None, "is_owner": False, "merged_into": into}
        connection.execute(update(face_clusters).where(face_clusters.c.cluster_key == change.other_key).values(gone))


def _take_out_banned(connection: Connection) -> None:
    """Take faces out of a cluster if a person said that the faces do not belong to the cluster.

    This is needed when an unmerge is undone. The two clusters are then one cluster again. A face that a person has
    banned from one of the two clusters must not be in this cluster.
    """
    for face_id, key in banned_clusters(connection):
        there = face_assignments.c.face_id == face_id, face_assignments.c.cluster_key == key
        connection.execute(delete(face_assignments).where(*there))


def _restore_cluster(connection: Connection, key: str, name: str | None, is_owner: bool) -> None:
    """Bring a merged cluster back into use, or give a cluster its earlier name.

    If another cluster now has the name `name`, the restored cluster stays without a name.
    """
    holder = None if name is None else cluster_named(connection, name_key(name))
    if holder is not None and holder.key != key:
        name, is_owner = None, False
    values = {
        "name": name,
        "name_key": None if name is None else name_key(name),
        "is_owner": is_owner and name is not None,
        "merged_into": None,
    }
    connection.execute(update(face_clusters).where(face_clusters.c.cluster_key == key).values(values))

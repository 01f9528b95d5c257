"""Read the faces as arrays for a clustering, and store the result of the clustering.

People may change clusters while a clustering runs. So the result is compared with these changes. A face that a person
moved stays in its cluster. If the result contradicts another change by a person, the face is put in no cluster.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, select, text

from thumblab_core.arrays import Flags, Float32s, Floats, Rows
from thumblab_core.database.library_rows import read_vectors
from thumblab_core.database.tables import face_assignments, face_clusters, face_embeddings, faces
from thumblab_core.people.clusters import (
    banned_clusters,
    drop_empty_clusters,
    in_use,
    merged_clusters,
)
from thumblab_core.people.locking import lock_people
from thumblab_core.people.names import new_key
from thumblab_core.people.pictures import SHOWN, Scope, scope_parameters

NONE = -1
"""The cluster code of a face that is in no cluster."""

_DELETE = text("DELETE FROM face_assignments WHERE face_id = ANY(:face_ids)")
_INSERT = text("""
INSERT INTO face_assignments (face_id, sha256, cluster_key, pinned, similarity, assigned_at)
SELECT n.face_id, f.sha256, n.cluster_key, false, n.similarity, clock_timestamp()
FROM unnest(CAST(:face_ids AS text[]), CAST(:keys AS text[]), CAST(:similarities AS float8[]))
  AS n (face_id, cluster_key, similarity) JOIN faces f USING (face_id)
""")
_UPDATE = text("""
UPDATE face_assignments a SET similarity = n.similarity
FROM unnest(CAST(:face_ids AS text[]), CAST(:similarities AS float8[])) AS n (face_id, similarity)
WHERE a.face_id = n.face_id AND NOT a.pinned
""")


@dataclass(frozen=True)
class FacesToCluster:
    """The n faces that have a vector of one embedder, in the order of their ids.

    `vectors`: float32 [n, d], unit vectors. `pictures`: [n], the same number for faces of one picture. `quality`: [n],
    0 to 1. `keys`: the keys of the clusters in use; a cluster's place in this list is its code. `named`: [k], whether
    each cluster is a person with a name. `pinned`: [n], the code of the cluster that a person put the face in, or -1.
    `previous`: [n], the code of the cluster that the face is in, or -1. `banned`: [m, 2], pairs of a face's row and a
    cluster's code. For each pair, a person said that the face does not belong to the cluster.
    """

    face_ids: tuple[str, ...]
    vectors: Float32s
    pictures: Rows
    quality: Floats
    keys: tuple[str, ...]
    named: Flags
    pinned: Rows
    previous: Rows
    banned: Rows


@dataclass(frozen=True)
class StoredClustering:
    """The changes that `store_clustering` made.

    `moved`: faces that are now in another cluster than before, or in no cluster. `new`: the keys of new clusters, by
    the clusters' codes in the result. `dropped`: keys of unknown clusters that were deleted because they were empty.
    `left_out`: faces that the result put in a cluster, but that a later change by a person keeps out of this cluster.
    """

    moved: int
    new: Mapping[int, str]
    dropped: tuple[str, ...]
    left_out: int


def faces_for_clustering(connection: Connection, embedder: str, scope: Scope | None = None) -> FacesToCluster:
    """Return the faces with a vector of this embedder, and the changes that a person made to them.

    If `scope` is given, only the faces in pictures of this scope are returned.
    """
    into = merged_clusters(connection)
    clusters = connection.execute(
        select(face_clusters.c.cluster_key, face_clusters.c.name)
        .where(face_clusters.c.merged_into.is_(None))
        .order_by(face_clusters.c.cluster_key)
    ).all()
    code_of = {row.cluster_key: code for code, row in enumerate(clusters)}
    statement = (
        select(
            faces.c.face_id,
            faces.c.sha256,
            faces.c.quality,
            func.vector_send(face_embeddings.c.vector).label("vector"),
            face_assignments.c.cluster_key,
            face_assignments.c.pinned,
        )
        .join(face_embeddings, face_embeddings.c.face_id == faces.c.face_id)
        .outerjoin(face_assignments, face_assignments.c.face_id == faces.c.face_id)
        .where(face_embeddings.c.embedder == embedder, face_embeddings.c.vector.is_not(None))
        .order_by(faces.c.face_id)
    )
    if scope is not None:
        in_scope = text(f"faces.sha256 IN (SELECT sha256 FROM ({SHOWN}) shown)")  # noqa: S608
        statement = statement.where(in_scope.bindparams(**scope_parameters(scope)))
    rows = connection.execute(statement).all()
    row_of = {row.face_id: number for number, row in enumerate(rows)}
    picture_of: dict[str, int] = {}
    # Between two statements, another transaction may have merged a cluster. Its faces then count as faces of the
    # cluster that it was merged into.
    previous = [code_of.get(in_use(row.cluster_key, into), NONE) if row.cluster_key else NONE for row in rows]
    banned = [
        (row_of[face_id], code_of[key])
        for face_id, key in sorted(banned_clusters(connection))
        if face_id in row_of and key in code_of
    ]
    return FacesToCluster(
        face_ids=tuple(row_of),
        vectors=read_vectors([row.vector for row in rows]),
        pictures=np.array([picture_of.setdefault(row.sha256, len(picture_of)) for row in rows], np.intp),
        quality=np.array([row.quality for row in rows], np.float64),
        keys=tuple(code_of),
        named=np.array([row.name is not None for row in clusters], np.bool_),
        pinned=np.array([code if row.pinned else NONE for row, code in zip(rows, previous, strict=True)], np.intp),
        previous=np.array(previous, np.intp),
        banned=np.array(banned, np.intp).reshape(-1, 2),
    )


def require_legal(given: FacesToCluster, codes: Rows) -> None:
    """Raise `ValueError` if a clustering moves a pinned face, breaks a ban, or joins two faces of one picture."""
    pinned = given.pinned != NONE
    if codes.shape != given.pinned.shape or (codes[pinned] != given.pinned[pinned]).any():
        raise ValueError("the clustering has a wrong number of faces, or moves a pinned face")
    if (codes[given.banned[:, 0]] == given.banned[:, 1]).any():
        raise ValueError("the clustering puts a face in a cluster that a person took it out of")
    placed = codes != NONE
    pairs = np.stack([codes[placed], given.pictures[placed]], axis=1)
    if len(np.unique(pairs, axis=0)) != len(pairs):
        raise ValueError("the clustering puts two faces of one picture in one cluster")


def store_clustering(
    connection: Connection, given: FacesToCluster, codes: Rows, similarity: Floats
) -> StoredClustering:
    """Store the clusters of the faces that no person has put in a cluster. No cluster gets or loses a name.

    `codes`: [n], the code of each face's cluster, or -1. A code that `given.keys` does not have stands for a new
    cluster. `similarity`: [n], the similarity of each face to its cluster. Unknown clusters that become empty are
    deleted if no change by a person refers to them. Raises `ValueError` in the cases of `require_legal`.
    """
    require_legal(given, codes)
    lock_people(connection)
    into = merged_clusters(connection)
    present = _present_faces(connection)
    alive = set(connection.scalars(select(face_clusters.c.cluster_key).where(face_clusters.c.merged_into.is_(None))))
    new = {int(code): new_key() for code in np.unique(codes) if code >= len(given.keys)}
    keys = {code: in_use(key, into) for code, key in enumerate(given.keys)} | new
    alive.update(new.values())
    banned = banned_clusters(connection)
    free = [
        row
        for row in range(len(given.face_ids))
        if (face := present.get(given.face_ids[row])) is not None and not face.pinned
    ]
    changing = {given.face_ids[row] for row in free}
    taken = {(face.cluster_key, face.sha256) for face_id, face in present.items() if face_id not in changing}
    places: dict[str, tuple[str, float]] = {}
    left_out = 0
    for row in sorted(free, key=lambda row: -float(similarity[row])):
        if codes[row] == NONE:
            continue
        face_id, key = given.face_ids[row], keys[int(codes[row])]
        place = (key, present[face_id].sha256)
        if key not in alive or (face_id, key) in banned or place in taken:
            left_out += 1
            continue
        taken.add(place)
        places[face_id] = (key, float(similarity[row]))
    moved = _write(connection, {face_id: present[face_id].cluster_key for face_id in sorted(changing)}, places, new)
    return StoredClustering(moved, new, tuple(drop_empty_clusters(connection)), left_out)


def _present_faces(connection: Connection) -> dict[str, Any]:
    """Return the stored faces by their ids. Each face comes with its picture, its cluster, and whether the face is
    pinned.
    """
    statement = select(
        faces.c.face_id, faces.c.sha256, face_assignments.c.cluster_key, face_assignments.c.pinned
    ).outerjoin(face_assignments, face_assignments.c.face_id == faces.c.face_id)
    return {row.face_id: row for row in connection.execute(statement)}


def _write(
    connection: Connection,
    before: Mapping[str, str | None],
    places: Mapping[str, tuple[str, float]],
    new: Mapping[int, str],
) -> int:
    """Write the new clusters of faces. Return how many faces moved to another cluster, or out of a cluster.

    `before`: the present cluster of each face, or None. `places`: the new cluster of each face, and the similarity of
    the face to this cluster.
    """
    if new:
        connection.execute(
            insert(face_clusters).values(created_at=func.now()), [{"cluster_key": key} for key in new.values()]
        )
    moved = [face_id for face_id, key in before.items() if key != places.get(face_id, (None, 0.0))[0]]
    connection.execute(_DELETE, {"face_ids": [face_id for face_id in moved if before[face_id] is not None]})
    arriving = [face_id for face_id in moved if face_id in places]
    connection.execute(_INSERT, {"face_ids": arriving, **_columns(places, arriving)})
    staying = [face_id for face_id in places if places[face_id][0] == before[face_id]]
    connection.execute(_UPDATE, {"face_ids": staying, "similarities": _columns(places, staying)["similarities"]})
    return len(moved)


def _columns(places: Mapping[str, tuple[str, float]], face_ids: Sequence[str] | Iterable[str]) -> dict[str, list[Any]]:
    ids = list(face_ids)
    return {"keys": [places[each][0] for each in ids], "similarities": [places[each][1] for each in ids]}

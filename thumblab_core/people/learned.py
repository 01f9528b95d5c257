"""Store what was learned about people: the centroids of clusters, and the calibration of similarities."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.arrays import Float32s
from thumblab_core.database.library_rows import read_vectors
from thumblab_core.database.tables import face_calibrations, face_centroids, face_clusters, face_embeddings
from thumblab_core.people.locking import lock_people
from thumblab_core.people.pictures import SHOWN, Scope, scope_parameters

_WAITING = text(f"""
SELECT EXISTS (
  SELECT FROM faces f JOIN ({SHOWN}) shown USING (sha256)
  WHERE NOT EXISTS (SELECT FROM face_embeddings e WHERE e.face_id = f.face_id AND e.embedder = :embedder)
)
""")  # noqa: S608  (a statement of this package)


def save_centroids(
    connection: Connection, embedder: str, centroids: Mapping[str, tuple[Float32s, Sequence[int]]]
) -> None:
    """Replace all centroids of an embedder.

    `centroids`: for the key of each cluster, its centroids as unit vectors, float32 [c, d], and the number of faces of
    each centroid. Clusters that the lab no longer has are left out. The caller must call `lock_people` before it reads
    the faces, so that no cluster gets or loses a face in the meantime. A later change of the faces deletes the
    centroids.
    """
    lock_people(connection)
    connection.execute(delete(face_centroids).where(face_centroids.c.embedder == embedder))
    in_use = face_clusters.c.merged_into.is_(None)
    known = set(connection.scalars(select(face_clusters.c.cluster_key).where(in_use)))
    rows = [
        {"cluster_key": key, "embedder": embedder, "position": position, "vector": vector.tolist(), "face_count": count}
        for key, (vectors, counts) in centroids.items()
        if key in known
        for position, (vector, count) in enumerate(zip(vectors, counts, strict=True))
    ]
    if rows:
        connection.execute(insert(face_centroids).values(made_at=func.now()), rows)


def read_centroids(connection: Connection, embedder: str) -> tuple[list[str], Float32s]:
    """Return the keys of clusters and their centroids, float32 [c, d]. A cluster may have several centroids."""
    vector = func.vector_send(face_centroids.c.vector).label("vector")
    statement = (
        select(face_centroids.c.cluster_key, vector)
        .where(face_centroids.c.embedder == embedder)
        .order_by(face_centroids.c.cluster_key, face_centroids.c.position)
    )
    rows = connection.execute(statement).all()
    return [row.cluster_key for row in rows], read_vectors([row.vector for row in rows])


def save_calibration(connection: Connection, embedder: str, calibration: Mapping[str, Any]) -> None:
    """Replace the calibration of an embedder. The calibration must be JSON, without ids of faces and without names."""
    upsert = insert(face_calibrations).values(embedder=embedder, calibration=dict(calibration), made_at=func.now())
    given = {name: upsert.excluded[name] for name in ("calibration", "made_at")}
    connection.execute(upsert.on_conflict_do_update(index_elements=["embedder"], set_=given))


def read_calibration(connection: Connection, embedder: str) -> dict[str, Any] | None:
    """Return the calibration of an embedder, or None if it has no calibration."""
    of_embedder = face_calibrations.c.embedder == embedder
    found: dict[str, Any] | None = connection.scalar(select(face_calibrations.c.calibration).where(of_embedder))
    return found


def faces_wait(connection: Connection, embedder: str, scope: Scope) -> bool:
    """Return whether the scope has a face that this embedder has not embedded yet. If there is such a face, the vectors
    of earlier embedders are still needed.
    """
    return bool(connection.scalar(_WAITING, {"embedder": embedder, **scope_parameters(scope)}))


def delete_other_vectors(connection: Connection, kept: Sequence[str]) -> int:
    """Delete the face vectors of all embedders that are not in `kept`. Return the number of deleted vectors."""
    lock_people(connection)
    return connection.execute(delete(face_embeddings).where(face_embeddings.c.embedder.not_in(list(kept)))).rowcount


def delete_other_spaces(connection: Connection, kept: Sequence[str]) -> None:
    """Delete the centroids and calibrations of all spaces (`recognition.space`) that are not in `kept`."""
    lock_people(connection)
    for table in (face_centroids, face_calibrations):
        connection.execute(delete(table).where(table.c.embedder.not_in(list(kept))))

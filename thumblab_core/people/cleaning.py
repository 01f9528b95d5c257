"""Delete faces, and all data that were made from the faces."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, update

from thumblab_core.database.tables import face_pictures, faces
from thumblab_core.people.clusters import drop_empty_clusters


def delete_face_pictures(connection: Connection, pictures: Sequence[str]) -> list[str]:
    """Delete the faces of these pictures, and all data about the faces. Return the ids of the deleted faces."""
    if not pictures:
        return []
    gone = list(connection.scalars(select(faces.c.face_id).where(faces.c.sha256 == func.any(list(pictures)))))
    delete_faces(connection, gone)
    connection.execute(delete(face_pictures).where(face_pictures.c.sha256 == func.any(list(pictures))))
    return gone


def delete_faces(connection: Connection, face_ids: Sequence[str]) -> list[str]:
    """Delete these faces, and the unknown clusters that become empty. Return the keys of the deleted clusters.

    Because of foreign keys, the database also deletes the vectors, the assignments and the changes that a person made
    to the faces. The database also deletes the centroids of the clusters of these faces. A centroid is a mean of
    vectors, so it depends on the deleted vectors.
    """
    if not face_ids:
        return []
    ids = list(face_ids)
    pictures = set(connection.scalars(delete(faces).where(faces.c.face_id == func.any(ids)).returning(faces.c.sha256)))
    left = select(func.count()).where(faces.c.sha256 == face_pictures.c.sha256).scalar_subquery()
    counted = face_pictures.c.sha256 == func.any(list(pictures)), face_pictures.c.face_count.is_not(None)
    connection.execute(update(face_pictures).where(*counted).values(face_count=left))
    return drop_empty_clusters(connection)

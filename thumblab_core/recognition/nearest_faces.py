"""Find the stored faces that look most like a stored face.

pgvector compares the face with every other stored face. So no face is missed, and a deleted face is not found. There is
no index of faces, because it would be a second copy of the vectors (docs/people.md).
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from thumblab_core.errors import LabError
from thumblab_core.people.reading import read_face, read_faces, require_part
from thumblab_core.people.records import Face

_NEAREST = text("""
WITH asked AS (
  SELECT q.embedder, q.vector FROM face_embeddings q WHERE q.face_id = :face_id AND q.vector IS NOT NULL
  ORDER BY (SELECT count(*) FROM face_embeddings other WHERE other.embedder = q.embedder) DESC, q.embedder LIMIT 1
)
SELECT e.face_id, -(e.vector <#> asked.vector) AS cosine
FROM asked JOIN face_embeddings e USING (embedder)
WHERE e.face_id <> :face_id AND e.vector IS NOT NULL
ORDER BY e.vector <#> asked.vector, e.face_id LIMIT :most
""")


@dataclass(frozen=True)
class NearFace:
    """A face that looks like another face. `cosine`: the cosine of the vectors of the two faces. Both vectors come from
    the embedder that has embedded the most faces.
    """

    face: Face
    cosine: float


def nearest_faces(connection: Connection, face_id: str, limit: int = 100) -> tuple[NearFace, ...]:
    """Return the faces that look most like a given face. The most similar face comes first.

    Raises `UnknownFaceError` if the lab has no such face, and `LabError` if the face has no vector or `limit` is not
    allowed.
    """
    require_part(limit, 0)
    read_face(connection, face_id)
    rows = connection.execute(_NEAREST, {"face_id": face_id, "most": limit}).all()
    if not rows and not _has_vector(connection, face_id):
        raise LabError(f"the face {face_id} has no vector, so it cannot be compared with other faces")
    by_id = {face.face_id: face for face in read_faces(connection, [row.face_id for row in rows])}
    return tuple(NearFace(by_id[row.face_id], row.cosine) for row in rows if row.face_id in by_id)


def _has_vector(connection: Connection, face_id: str) -> bool:
    known = text("SELECT EXISTS (SELECT FROM face_embeddings WHERE face_id = :face_id AND vector IS NOT NULL)")
    return bool(connection.scalar(known, {"face_id": face_id}))

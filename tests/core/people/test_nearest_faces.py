"""Test the search for the faces that are nearest to a given face."""

import numpy as np
import pytest
from face_helpers import EMBEDDER, detect, face, face_ids, picture, sha
from sqlalchemy import Connection, text

from thumblab_core.errors import LabError
from thumblab_core.people.clustering import faces_for_clustering
from thumblab_core.people.errors import UnknownFaceError
from thumblab_core.people.forgetting import forget_face
from thumblab_core.people.records import SearchedPicture
from thumblab_core.recognition.nearest_faces import nearest_faces


def test_the_nearest_faces_are_the_faces_with_the_largest_cosines(connection: Connection) -> None:
    detect(connection, *(picture(name, 2) for name in "abcdefgh"))
    given = faces_for_clustering(connection, EMBEDDER)
    asked = 3
    cosines = given.vectors @ given.vectors[asked]
    order = [row for row in np.argsort(-cosines) if row != asked]
    found = nearest_faces(connection, given.face_ids[asked], limit=5)
    assert [each.face.face_id for each in found] == [given.face_ids[row] for row in order[:5]]
    assert [each.cosine for each in found] == pytest.approx(cosines[order[:5]].tolist(), abs=1e-6)
    assert len(nearest_faces(connection, given.face_ids[asked])) == len(given.face_ids) - 1


def test_a_forgotten_face_is_no_longer_found(connection: Connection) -> None:
    first, *_ = detect(connection, *(picture(name) for name in "abcd"))
    nearest = nearest_faces(connection, first)[0].face.face_id
    forget_face(connection, nearest)
    assert nearest not in {each.face.face_id for each in nearest_faces(connection, first)}
    with pytest.raises(UnknownFaceError):
        nearest_faces(connection, nearest)


def test_vectors_of_different_networks_are_never_compared(connection: Connection) -> None:
    first, second, third = detect(connection, *(picture(name) for name in "abc"))
    move = text("UPDATE face_embeddings SET embedder = 'other', vector = '[1,0]' WHERE face_id = :face_id")
    connection.execute(move, {"face_id": third})
    assert [each.face.face_id for each in nearest_faces(connection, first)] == [second]
    assert nearest_faces(connection, third) == ()


def test_a_face_without_a_vector_and_a_wrong_limit_are_refused(connection: Connection) -> None:
    (known,) = detect(connection, picture("a"))
    blind = SearchedPicture(sha("b"), [face(quality=0.1)])
    detect(connection, blind)
    without = face_ids(connection, sha("b"))[0]
    connection.execute(
        text("UPDATE face_embeddings SET vector = NULL, problem = 'no' WHERE face_id = :face_id"), {"face_id": without}
    )
    with pytest.raises(LabError, match="has no vector"):
        nearest_faces(connection, without)
    assert nearest_faces(connection, known) == ()
    with pytest.raises(LabError, match="limit"):
        nearest_faces(connection, known, limit=0)

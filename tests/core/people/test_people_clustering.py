"""Test that storing a clustering keeps the changes that a person has made, including changes that are made while the
clustering runs.
"""

import numpy as np
import pytest
from face_helpers import EMBEDDER, detect, group, members, picture, places, said
from sqlalchemy import Connection, select

from thumblab_core.database.tables import face_clusters, face_embeddings
from thumblab_core.people.clustering import NONE, FacesToCluster, faces_for_clustering, store_clustering
from thumblab_core.people.learned import (
    delete_other_spaces,
    delete_other_vectors,
    read_calibration,
    read_centroids,
    save_calibration,
    save_centroids,
)
from thumblab_core.people.log import MERGE, list_changes
from thumblab_core.people.moving import move, not_this_person
from thumblab_core.people.naming import label, merge
from thumblab_core.people.undoing import unmerge


def stored(connection: Connection, given: FacesToCluster, codes: dict[str, int]) -> object:
    """Store a clustering. `codes` maps the id of a face to the code of the face's new cluster. All other faces keep
    their clusters.
    """
    new = given.previous.copy()
    for face_id, code in codes.items():
        new[given.face_ids.index(face_id)] = code
    return store_clustering(connection, given, new, np.full(len(new), 0.5))


def test_the_arrays_hold_the_faces_and_the_changes_of_a_person(connection: Connection) -> None:
    left, right = detect(connection, picture("both", 2))
    (other,) = detect(connection, picture("other"))
    one, two = group(connection, [left], [right])
    label(connection, one, "Ada")
    not_this_person(connection, other, two)
    given = faces_for_clustering(connection, EMBEDDER)
    assert given.face_ids == tuple(sorted([left, right, other]))
    assert given.keys == tuple(sorted([one, two]))
    row = {face_id: number for number, face_id in enumerate(given.face_ids)}
    code = {key: number for number, key in enumerate(given.keys)}
    assert given.pictures[row[left]] == given.pictures[row[right]] != given.pictures[row[other]]
    assert given.named.tolist() == [key == one for key in given.keys]
    assert (given.pinned[row[left]], given.pinned[row[right]]) == (code[one], NONE)
    assert (given.previous[row[right]], given.previous[row[other]]) == (code[two], NONE)
    assert given.banned.tolist() == [[row[other], code[two]]]
    assert given.vectors.shape == (3, 8)
    assert given.vectors.dtype == np.float32
    vector = connection.scalar(select(face_embeddings.c.vector).where(face_embeddings.c.face_id == left))
    assert given.vectors[row[left]] == pytest.approx(vector, abs=1e-6)


def test_a_ban_from_a_merged_cluster_holds_for_the_cluster_that_has_its_faces(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "abc"))
    one, two = group(connection, [ids[0]], [ids[1]])
    not_this_person(connection, ids[2], one)
    merge(connection, one, two)
    given = faces_for_clustering(connection, EMBEDDER)
    assert given.keys == (two,)
    assert given.banned.tolist() == [[given.face_ids.index(ids[2]), 0]]


def test_a_lab_without_faces_gives_empty_arrays(connection: Connection) -> None:
    given = faces_for_clustering(connection, EMBEDDER)
    assert given.vectors.shape == (0, 0)
    result = store_clustering(connection, given, np.zeros(0, np.intp), np.zeros(0))
    assert (result.moved, result.new) == (0, {})


def test_an_unchanged_clustering_changes_nothing(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "abc"))
    group(connection, ids[:2])
    before = places(connection)
    assert stored(connection, faces_for_clustering(connection, EMBEDDER), {}).moved == 0
    assert places(connection) == before


def test_an_unknown_cluster_without_faces_is_deleted_and_a_named_cluster_stays(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "abcd"))
    one, two, three = group(connection, ids[:2], ids[2:3], ids[3:])
    label(connection, three, "Ada")
    not_this_person(connection, ids[3])
    given = faces_for_clustering(connection, EMBEDDER)
    result = stored(connection, given, {ids[2]: given.keys.index(one)})
    assert (result.moved, result.dropped) == (1, (two,))
    assert set(connection.scalars(select(face_clusters.c.cluster_key))) == {one, three}


@pytest.mark.parametrize("broken", ["pinned", "banned", "picture", "length"])
def test_an_illegal_clustering_is_refused(connection: Connection, broken: str) -> None:
    left, right = detect(connection, picture("both", 2))
    (other,) = detect(connection, picture("other"))
    one, two = group(connection, [left], [right])
    move(connection, [left], one)
    not_this_person(connection, other, two)
    given = faces_for_clustering(connection, EMBEDDER)
    code = given.keys.index
    wrong = {"pinned": {left: NONE}, "banned": {other: code(two)}, "picture": {right: code(one)}, "length": {}}
    before = places(connection)
    with pytest.raises(ValueError, match="the clustering"):
        if broken == "length":
            store_clustering(connection, given, given.previous[1:], np.zeros(2))
        else:
            stored(connection, given, wrong[broken])
    assert places(connection) == before


def test_a_change_by_a_person_during_a_clustering_wins(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "abcde"))
    left, right = detect(connection, picture("both", 2))
    one, two, three = group(connection, ids[:2], ids[2:4], [left])
    given = faces_for_clustering(connection, EMBEDDER)
    # The clustering has read the faces. Before its result is stored, a person makes these changes.
    elsewhere = move(connection, [ids[0]]).key
    not_this_person(connection, ids[4], two)
    merge(connection, one, three)
    label(connection, three, "Ada")
    code = given.keys.index
    result = stored(
        connection,
        given,
        {ids[0]: code(two), ids[1]: NONE, ids[3]: code(one), ids[4]: code(two), right: code(one)},
    )
    assert places(connection) == {
        ids[0]: (elsewhere, True),
        ids[1]: (three, True),
        ids[2]: (two, False),
        # `one` was merged into `three`, so this face goes to `three`. The face `right` must not go to `three`, because
        # `left` of the same picture is in `three`.
        ids[3]: (three, False),
        left: (three, True),
    }
    assert result.left_out == 2
    assert said(connection)["names"] == {three: ("Ada", False)}


def test_a_clustering_does_not_join_faces_that_a_person_separated(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "ab"))
    one, two = group(connection, ids[:1], ids[1:])
    merge(connection, one, two)
    unmerge(connection, list_changes(connection, kind=MERGE)[0].change_id)
    given = faces_for_clustering(connection, EMBEDDER)
    assert {given.keys[code] for code in given.pinned} == {one, two}
    with pytest.raises(ValueError, match="pinned"):
        store_clustering(connection, given, np.zeros(2, np.intp), np.ones(2))


def test_a_face_that_was_forgotten_during_a_clustering_does_not_come_back(connection: Connection) -> None:
    from thumblab_core.people.forgetting import forget_face

    ids = detect(connection, *(picture(name) for name in "ab"))
    given = faces_for_clustering(connection, EMBEDDER)
    forget_face(connection, ids[0])
    result = stored(connection, given, {ids[0]: 0, ids[1]: 0})
    assert members(connection, result.new[0]) == {ids[1]}


def test_centroids_and_calibration_are_kept_for_each_embedder(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "ab"))
    one, two = group(connection, ids[:1], ids[1:])
    vectors = np.eye(3, dtype=np.float32)
    save_centroids(connection, EMBEDDER, {one: (vectors[:2], [3, 4]), "0" * 12: (vectors[:1], [1])})
    save_centroids(connection, "other", {two: (vectors[2:], [1])})
    save_calibration(connection, EMBEDDER, {"method": "pairs", "count": 3})
    keys, read = read_centroids(connection, EMBEDDER)
    assert keys == [one, one]
    assert read == pytest.approx(vectors[:2])
    assert read_calibration(connection, EMBEDDER) == {"method": "pairs", "count": 3}
    assert read_calibration(connection, "other") is None
    merge(connection, one, two)
    assert read_centroids(connection, EMBEDDER)[0] == []
    delete_other_spaces(connection, ["other"])
    assert delete_other_vectors(connection, ["other"]) == 2
    assert read_calibration(connection, EMBEDDER) is None

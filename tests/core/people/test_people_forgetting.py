"""Test that all data of a forgotten person, face or picture are deleted from all tables, and are not added again."""

import numpy as np
import pytest
from face_helpers import DETECTOR, EMBEDDER, GivenFace, detect, face_ids, group, members, picture, places, sha, show
from sqlalchemy import Connection, select, text

from thumblab_core.database.tables import face_embeddings, face_pictures, forgotten_faces, metadata, people_pictures
from thumblab_core.people.clustering import faces_for_clustering
from thumblab_core.people.detection import record_detection
from thumblab_core.people.errors import UnknownFaceError
from thumblab_core.people.forgetting import forget_face, forget_person, forget_picture
from thumblab_core.people.learned import read_centroids, save_centroids
from thumblab_core.people.log import MERGE, list_changes
from thumblab_core.people.moving import move, not_this_person
from thumblab_core.people.naming import label, merge, unlabel
from thumblab_core.people.pictures import Scope, add_given_pictures, wanted_pictures
from thumblab_core.people.records import SearchedPicture
from thumblab_core.people.undoing import undo, unmerge


def everything(connection: Connection) -> str:
    """Return the text of all rows of all tables of the database."""
    parts = []
    for table in metadata.sorted_tables:
        rows = connection.execute(text(f"SELECT t::text FROM {table.name} AS t")).scalars()
        parts += [f"{table.name}: {row}" for row in rows]
    return "\n".join(parts).casefold()


def vectors(connection: Connection, ids: list[str]) -> list[str]:
    statement = text("SELECT vector::text FROM face_embeddings WHERE face_id = ANY(:ids)")
    return list(connection.scalars(statement, {"ids": ids}))


def test_no_table_keeps_data_of_a_forgotten_person(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "abcde"))
    (group_face, neighbour) = detect(connection, picture("both", 2))
    add_given_pictures(connection, [(sha("shared"), "Zenobia and Ada.jpg")])
    (bystander,) = detect(connection, picture("shared"))
    one, two, three, four = group(connection, [*ids[:2], group_face], ids[2:4], [neighbour], ids[4:])
    # The person Zenobia is named, renamed and merged. These changes also move faces to her clusters and from her
    # clusters.
    label(connection, one, "Zenobia")
    label(connection, two, "Zenobia of Palmyra")
    merge(connection, two, one)
    unmerge(connection, list_changes(connection, kind=MERGE)[0].change_id)
    merge(connection, two, one)
    label(connection, four, "Zénobia")
    label(connection, four, "zenobia")
    # The cluster `three` has the name Zenobia only for a while.
    label(connection, three, "Someone")
    unlabel(connection, one)
    label(connection, three, "ZENOBIA")
    label(connection, three, "Someone")
    label(connection, one, "Zenobia")
    not_this_person(connection, bystander, one)
    centroid = faces_for_clustering(connection, EMBEDDER).vectors[:1]
    save_centroids(connection, EMBEDDER, {one: (centroid, [1])})
    hers = sorted(members(connection, one))
    assert len(hers) == 6
    hidden = [*hers, *vectors(connection, hers), one, two, four, "zenobia", "zénobia"]
    before = everything(connection)
    assert all(secret in before for secret in hidden)

    forgotten = forget_person(connection, f"person_{one}")

    after = everything(connection)
    assert [secret for secret in hidden if secret in after] == []
    assert read_centroids(connection, EMBEDDER)[0] == []
    assert sorted(forgotten.face_ids) == hers
    assert {one, two, four} <= set(forgotten.cluster_keys)
    # The other people stay, with their names.
    assert neighbour in after
    assert bystander in after
    assert places(connection)[neighbour][0] == three
    assert "someone" in after
    # Some pictures showed only Zenobia, and no table mentions them any more. The caller of `forget_person` deletes
    # these pictures from the image store.
    assert set(forgotten.unnamed_pictures) == {sha(name) for name in "abcde"}
    assert not {sha(name) for name in "abcde"} & set(connection.scalars(select(people_pictures.c.sha256)))


def test_a_forgotten_face_is_not_recorded_again_by_any_detector(connection: Connection) -> None:
    show(connection, "v", sha("both"))
    both = picture("both", 2)
    record_detection(connection, [both], DETECTOR, EMBEDDER)
    left, right = face_ids(connection, both.sha256)
    forget_face(connection, left)
    assert connection.scalar(select(face_pictures.c.face_count)) == 1
    assert record_detection(connection, [both], DETECTOR, EMBEDDER).forgotten == 1
    shifted = [GivenFace((0.0, 0.15, 0.09, 0.42), np.ones(8, np.float32)), both.faces[1]]
    recorded = record_detection(connection, [SearchedPicture(both.sha256, shifted)], "other", "other embedder")
    assert (recorded.forgotten, recorded.known, recorded.new) == (1, 1, 0)
    assert face_ids(connection, both.sha256) == [right]
    assert wanted_pictures(connection, "other", "other embedder", Scope()) == []


def test_a_forgotten_picture_is_never_searched_again(connection: Connection) -> None:
    show(connection, "v", sha("shown"))
    ids = detect(connection, picture("given", 2), picture("shown", 2))
    group(connection, ids[:1])
    forgotten = forget_picture(connection, sha("given"))
    assert set(forgotten.face_ids) == set(ids) - set(face_ids(connection, sha("shown")))
    assert forgotten.unnamed_pictures == (sha("given"),)
    assert forget_picture(connection, sha("shown")).unnamed_pictures == ()
    assert forget_picture(connection, sha("shown")).face_ids == ()
    assert wanted_pictures(connection, "another", EMBEDDER, Scope()) == []
    add_given_pictures(connection, [(sha("given"), "again.jpg")])
    assert wanted_pictures(connection, "another", EMBEDDER, Scope()) == []
    assert record_detection(connection, [picture("given", 2)], "another", EMBEDDER).gone == 1
    assert list(connection.scalars(select(face_embeddings.c.face_id))) == []
    assert len(connection.execute(select(forgotten_faces)).all()) == 2


def test_an_unknown_cluster_goes_with_its_last_face(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "ab"))
    one, two = group(connection, ids[:1], ids[1:])
    assert forget_face(connection, ids[0]).cluster_keys == (one,)
    label(connection, two, "Ada")
    assert forget_face(connection, ids[1]).cluster_keys == ()
    with pytest.raises(UnknownFaceError, match="no face"):
        forget_face(connection, ids[1])


def test_to_forget_an_unknown_person_or_picture_is_refused(connection: Connection) -> None:
    with pytest.raises(UnknownFaceError, match="no cluster"):
        forget_person(connection, "0" * 12)
    with pytest.raises(UnknownFaceError, match="no picture"):
        forget_picture(connection, sha("nothing"))


def names_of_files(connection: Connection) -> dict[str, str]:
    return dict(connection.execute(select(people_pictures.c.sha256, people_pictures.c.name)).all())


def test_a_person_who_was_merged_by_mistake_keeps_name_and_file_names(connection: Connection) -> None:
    add_given_pictures(connection, [(sha("a"), "person_11/1.png"), (sha("b"), "bob/1.png")])
    ids = [detect(connection, picture(name))[0] for name in "ab"]
    carol, bob = group(connection, ids[:1], ids[1:])
    label(connection, carol, "Person 11")
    label(connection, bob, "Bob")
    merge(connection, carol, bob)
    unmerge(connection, list_changes(connection, kind=MERGE)[0].change_id)
    unlabel(connection, carol)
    forget_person(connection, bob)
    assert names_of_files(connection) == {sha("a"): "person_11/1.png"}
    assert undo(connection).name == "Person 11"


def test_a_name_that_was_given_by_mistake_stays_with_the_person_who_had_it(connection: Connection) -> None:
    add_given_pictures(connection, [(sha("a"), "other/1.png"), (sha("b"), "Person 03/1.png")])
    ids = [detect(connection, picture(name))[0] for name in "ab"]
    one, two = group(connection, ids[:1], ids[1:])
    label(connection, one, "Person 03")
    label(connection, one, "Bob Other")
    label(connection, two, "Person 03")
    unlabel(connection, two)
    forget_person(connection, one)
    assert undo(connection).name == "Person 03"
    assert names_of_files(connection) == {sha("b"): "Person 03/1.png"}
    assert "bob other" not in everything(connection)


def test_undo_brings_no_forgotten_face_back(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "ab"))
    _, two = group(connection, ids[:1], ids[1:])
    label(connection, two, "Ada")
    move(connection, ids[:1], two)
    forget_face(connection, ids[0])
    undo(connection)
    assert places(connection) == {ids[1]: (two, True)}
    assert ids[0] not in everything(connection)

"""Test that a centroid is deleted as soon as its cluster gets or loses a face, by any operation."""

from collections.abc import Callable

import numpy as np
import pytest
from face_helpers import EMBEDDER, detect, group, members, picture
from sqlalchemy import Connection, delete

from thumblab_core.database.tables import faces
from thumblab_core.people.forgetting import forget_face, forget_person
from thumblab_core.people.learned import read_centroids, save_centroids
from thumblab_core.people.log import MERGE, list_changes
from thumblab_core.people.moving import move, not_this_person
from thumblab_core.people.naming import label, merge
from thumblab_core.people.undoing import undo, unmerge
from thumblab_core.recognition.known_people import read_known_people

Ids = dict[str, str]


def store_centroids(connection: Connection, *keys: str) -> None:
    """Store a centroid of each cluster for each of two embedders."""
    vector = np.ones((1, 8), np.float32) / np.sqrt(8)
    for space in (EMBEDDER, "another space"):
        save_centroids(connection, space, {key: (vector, [len(members(connection, key))]) for key in keys})


def left(connection: Connection) -> set[str]:
    """Return the clusters that still have a centroid of at least one embedder."""
    return {key for space in (EMBEDDER, "another space") for key in read_centroids(connection, space)[0]}


OPERATIONS: dict[str, tuple[Callable[[Connection, Ids], object], set[str]]] = {
    "move": (lambda connection, ids: move(connection, [ids["a"]], ids["two"]), {"one", "two"}),
    "split": (lambda connection, ids: move(connection, [ids["a"]]), {"one"}),
    "put in": (lambda connection, ids: move(connection, [ids["g"]], ids["two"]), {"two"}),
    "ban": (lambda connection, ids: not_this_person(connection, ids["a"]), {"one"}),
    "merge": (lambda connection, ids: merge(connection, ids["one"], ids["two"]), {"one", "two"}),
    "forget": (lambda connection, ids: forget_face(connection, ids["a"]), {"one"}),
    "delete a row": (
        lambda connection, ids: connection.execute(delete(faces).where(faces.c.face_id == ids["a"])),
        {"one"},
    ),
    "name": (lambda connection, ids: label(connection, ids["one"], "Ada"), set()),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_an_operation_drops_the_centroids_of_the_clusters_that_it_changes(
    connection: Connection, operation: str
) -> None:
    found = {name: detect(connection, picture(name))[0] for name in "abcdefg"}
    keys = group(connection, *([found[name] for name in pair] for pair in ("ab", "cd", "ef")))
    ids = found | dict(zip(("one", "two", "three"), keys, strict=True))
    store_centroids(connection, *keys)
    change, touched = OPERATIONS[operation]
    change(connection, ids)
    assert left(connection) == {ids[name] for name in {"one", "two", "three"} - touched}


def test_taking_a_change_back_drops_centroids_too(connection: Connection) -> None:
    ids = [detect(connection, picture(name))[0] for name in "abcd"]
    one, two = group(connection, ids[:2], ids[2:])
    move(connection, ids[:1], two)
    store_centroids(connection, one, two)
    undo(connection)
    assert left(connection) == set()
    merge(connection, one, two)
    store_centroids(connection, two)
    unmerge(connection, list_changes(connection, kind=MERGE)[0].change_id)
    assert left(connection) == set()


def test_a_person_whose_faces_were_in_another_cluster_by_mistake_is_forgotten_there_too(connection: Connection) -> None:
    ids = [detect(connection, picture(name))[0] for name in "abcd"]
    alice, other = group(connection, ids[:2], ids[2:])
    label(connection, alice, "Alice")
    move(connection, ids[2:], alice)
    store_centroids(connection, alice)
    moved = move(connection, ids[2:])
    # The old centroid, which mixes two people, is deleted. Until the next grouping, Alice has no centroid, so the
    # number `waiting` includes her.
    assert left(connection) == set()
    assert read_known_people(connection, EMBEDDER, 0.7).waiting == 1
    forget_person(connection, moved.key)
    assert left(connection) == set()
    assert members(connection, alice) == set(ids[:2])
    assert other not in left(connection)

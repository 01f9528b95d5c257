"""Test that the error gives the reason if a change cannot be undone."""

import numpy as np
import pytest
from face_helpers import detect, group, picture, places
from sqlalchemy import Connection, func, insert

from thumblab_core.database.tables import face_clusters
from thumblab_core.people.clustering import faces_for_clustering, store_clustering
from thumblab_core.people.errors import FaceConflictError, UnknownFaceError
from thumblab_core.people.forgetting import forget_person
from thumblab_core.people.locking import changes_people
from thumblab_core.people.log import MERGE, list_changes
from thumblab_core.people.moving import move
from thumblab_core.people.naming import label, merge
from thumblab_core.people.undoing import undo, unmerge


def test_the_error_of_unmerging_a_merge_after_an_undo_says_that_it_was_taken_back(
    connection: Connection,
) -> None:
    ids = detect(connection, *(picture(name) for name in "abcd"))
    one, two = group(connection, ids[:2], ids[2:])
    label(connection, two, "Ada")
    named = list_changes(connection)[0].change_id
    merge(connection, one, two)
    merged = list_changes(connection)[0].change_id
    undo(connection)
    with pytest.raises(UnknownFaceError, match=f"no merge {merged} any more: undo took it back already"):
        unmerge(connection, merged)
    with pytest.raises(UnknownFaceError, match=f"change {named} is no merge, but of the kind label"):
        unmerge(connection, named)
    with pytest.raises(UnknownFaceError, match="there is no merge 999999;"):
        unmerge(connection, 999_999)


def test_a_change_that_cannot_be_taken_back_says_so_and_does_not_block_earlier_ones(connection: Connection) -> None:
    first, second = detect(connection, picture("both", 2))
    third, fourth, moved = (detect(connection, picture(name))[0] for name in "abc")
    one, two, three = group(connection, [first, moved], [third], [fourth])
    label(connection, two, "Ada")
    move(connection, [first, moved], two)
    given = faces_for_clustering(connection, "embedder-1")
    codes = given.previous.copy()
    codes[given.face_ids.index(second)] = given.keys.index(one)
    move(connection, [third])  # Otherwise the cluster would be deleted with its last face.
    undo(connection)
    store_clustering(connection, given, codes, np.full(len(codes), 0.8))
    merge(connection, one, three)
    unmerge(connection, list_changes(connection, kind=MERGE)[0].change_id)
    assert places(connection)[second] == (one, True)
    # Forgetting the person deletes the records of the merge and of the unmerge, but the face `second` stays pinned.
    forget_person(connection, three)

    change = undo(connection)

    assert change.kind == "move"
    assert change.conflict is not None
    assert f"{second} is where {first} was" in change.conflict
    where = places(connection)
    assert where[first] == (two, True)
    assert where[second] == (one, True)
    assert where[moved] == (one, False)
    assert undo(connection).kind == "label"
    assert places(connection)[first][0] == two


def test_a_row_that_the_database_refuses_is_a_conflict_without_sql(connection: Connection) -> None:
    (one,) = group(connection, detect(connection, picture("a")))

    @changes_people
    def broken(connection: Connection) -> None:
        connection.execute(insert(face_clusters).values(cluster_key=one, name="Secret", created_at=func.now()))

    with pytest.raises(FaceConflictError, match=r"contradicts .*\(\w+\)") as raised:
        broken(connection)
    assert not any(secret in str(raised.value) for secret in ("INSERT", "Secret"))
    assert raised.value.__suppress_context__

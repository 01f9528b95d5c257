"""Test when the service refuses a change to a cluster of faces.

A change is refused if another person has the new name already, or if the lab is storing a grouping. Some changes also
cannot be undone.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from planted_people import Planted
from sqlalchemy import text

from thumblab_core.people.locking import lock_people

NAME = "Zenobia Quill"


def test_a_name_that_another_cluster_has_is_refused_if_no_merge_is_wanted(planted: Planted) -> None:
    named = planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": "Straße", "merge": False}))
    body = {"name": "STRASSE", "merge": False}
    refusal = planted.refused(planted.post(f"/clusters/{planted.two}/label", body), 409, "known-name")
    assert named["cluster_id"] in refusal
    assert planted.done(planted.get(f"/clusters/{planted.two}"))["name"] is None
    again = planted.done(planted.post(f"/clusters/{named['cluster_id']}/label", body))
    assert (again["name"], again["merged"]) == ("STRASSE", False), "a new spelling of a person's name is no merge"


def test_while_the_lab_stores_a_grouping_reads_are_answered_and_changes_are_told_to_come_back(planted: Planted) -> None:
    with planted.engine.begin() as connection, ThreadPoolExecutor(6) as pool:
        lock_people(connection)
        start = time.monotonic()
        asked = [pool.submit(planted.post, f"/clusters/{planted.one}/label", {"name": NAME}) for _ in range(6)]
        for path in ("/stats", "/clusters", f"/clusters/{planted.one}", "/changes"):
            planted.done(planted.get(path))
        assert not any(change.done() for change in asked)
        for change in asked:
            detail = planted.refused(change.result(), 503, "people-busy")
            assert "storing a grouping" in detail
            assert change.result().headers["retry-after"] == "5"
        assert time.monotonic() - start < 40
    assert planted.done(planted.get(f"/clusters/{planted.one}"))["name"] is None
    assert planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))["name"] == NAME


def test_an_undo_of_a_move_to_a_place_that_is_taken_is_a_conflict_only_once(planted: Planted) -> None:
    planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    planted.done(planted.post("/move", {"faces": [planted.pair[0], planted.alone[2]], "to": planted.one}))
    with planted.engine.begin() as connection:  # Insert rows that can exist after a person was forgotten.
        key = planted.two.rpartition("_")[2]
        put = "INSERT INTO face_assignments SELECT face_id, sha256, :key, true, NULL, now() FROM faces WHERE face_id = :face"
        connection.execute(text(put), {"key": key, "face": planted.pair[1]})
    detail = planted.refused(planted.post("/undo"), 409, "face-conflict")
    assert "cannot be taken back for 1 of its 2 faces" in detail
    assert planted.faces(planted.two) == {*planted.alone[2:4], planted.pair[1]}
    assert planted.done(planted.post("/undo"))["kind"] == "label"

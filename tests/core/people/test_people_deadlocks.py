"""Test that two changes of people at the same time wait for each other, and not for ever."""

from concurrent.futures import ThreadPoolExecutor

from face_helpers import EMBEDDER, detect, face_ids, picture, sha
from sqlalchemy import Engine, text

from thumblab_core.people.detection import record_detection
from thumblab_core.people.forgetting import forget_face
from thumblab_core.people.locking import lock_people

_WAITING = text("""
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def test_a_given_picture_can_be_forgotten_while_a_search_records_it(emptied: Engine) -> None:
    with emptied.begin() as connection:
        (face_id,) = detect(connection, picture("given"))

    def record() -> int:
        with emptied.begin() as connection:
            return record_detection(connection, [picture("given")], "detector-2", EMBEDDER).pictures

    with ThreadPoolExecutor(1) as threads:
        with emptied.begin() as connection:
            lock_people(connection)
            recorded = threads.submit(record)
            while not connection.scalar(_WAITING):
                assert not recorded.done()
            assert forget_face(connection, face_id).unnamed_pictures == (sha("given"),)
        assert recorded.result() == 0
    with emptied.connect() as connection:
        assert face_ids(connection, sha("given")) == []

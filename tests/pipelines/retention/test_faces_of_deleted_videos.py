"""Test that the faces in a picture are deleted together with the last video that shows the picture.

If the lab still needs the picture, its faces stay.
"""

from datetime import timedelta

import numpy as np
import pytest
from full_lab import FullLab
from sqlalchemy import Connection, delete, select, text, update

from thumblab_core.database.tables import (
    face_embeddings,
    face_pictures,
    faces,
    metadata,
    thumbnail_versions,
    thumbnails,
)
from thumblab_core.people.clustering import faces_for_clustering, store_clustering
from thumblab_core.people.detection import record_detection
from thumblab_core.people.naming import label
from thumblab_core.people.pictures import Scope, add_given_pictures, wanted_pictures
from thumblab_core.people.reading import list_clusters
from thumblab_core.people.records import SearchedPicture


class FoundFace:
    """A face as a detector returns it."""

    box = (0.2, 0.2, 0.4, 0.5)
    landmarks = tuple(np.linspace(0.2, 0.4, 10))
    confidence = quality = 0.9
    vector = np.ones(4, np.float32)


def search_all(full: FullLab) -> dict[str, str]:
    """Record one face in every picture of the lab. Each face is in a cluster that has a name.

    Return a dictionary that maps the SHA-256 of each picture to the id of its face.
    """
    with full.lab.engine.begin() as connection:
        wanted = wanted_pictures(connection, "detector", "embedder", Scope())
        record_detection(connection, [SearchedPicture(each, [FoundFace()]) for each in wanted], "detector", "embedder")
        given = faces_for_clustering(connection, "embedder")
        count = len(given.face_ids)
        stored = store_clustering(connection, given, np.arange(count), np.ones(count))
        for number, key in enumerate(stored.new.values()):
            label(connection, key, f"Person {number}")
        return {row.sha256: row.face_id for row in connection.execute(select(faces))}


def holding(connection: Connection, face_id: str) -> set[str]:
    """Return the names of the tables in which a row contains the id of the face."""
    return {
        table.name
        for table in metadata.sorted_tables
        if connection.scalar(
            text(f"SELECT EXISTS (SELECT FROM {table.name} AS t WHERE t::text LIKE :id)"), {"id": f"%{face_id}%"}
        )
    }


@pytest.mark.slow
def test_a_deleted_video_takes_its_faces_with_it(full: FullLab) -> None:
    victim, other = full.ids[:2]
    face_of = search_all(full)
    gone, stays = face_of[full.picture(victim)], face_of[full.picture(other)]
    everywhere = {"faces", "face_embeddings", "face_assignments", "face_change_faces"}
    with full.lab.engine.connect() as connection:
        assert holding(connection, gone) == everywhere
    full.emulator.remove(victim)
    full.emulator.advance(timedelta(days=26))
    full.retain_day()
    with full.lab.engine.connect() as connection:
        assert holding(connection, gone) == set()
        assert holding(connection, stays) == everywhere
        pictures = set(connection.scalars(select(face_pictures.c.sha256)))
        # The cluster of the deleted face has a name that a person gave, so the cluster stays.
        assert list_clusters(connection).total == len(face_of)
    # Other videos of the emulator may have been deleted too, so the test checks only two pictures.
    assert full.picture(victim) not in pictures
    assert full.picture(other) in pictures


def test_the_faces_of_a_picture_that_something_else_shows_stay(full: FullLab) -> None:
    victim, second, other = full.ids[:3]
    with full.lab.engine.begin() as connection:
        both = {"sha256": full.picture(other)}
        connection.execute(update(thumbnails).where(thumbnails.c.video_id == victim).values(both))
        connection.execute(update(thumbnail_versions).where(thumbnail_versions.c.video_id == victim).values(both))
        add_given_pictures(connection, [(full.picture(second), "given.jpg")])
    face_of = search_all(full)
    shared, given = full.picture(other), full.picture(second)
    for video in (victim, second):
        full.emulator.remove(video)
    full.emulator.advance(timedelta(days=26))
    full.age_files()
    full.retain_day()
    with full.lab.engine.connect() as connection:
        assert {face_of[shared], face_of[given]} <= set(connection.scalars(select(faces.c.face_id)))
    assert full.lab.images.path(shared).is_file()
    assert full.lab.images.path(given).is_file()


def test_the_next_run_deletes_faces_of_rows_that_something_else_deleted(full: FullLab) -> None:
    picture = full.picture(full.ids[0])
    face_id = search_all(full)[picture]
    with full.lab.engine.begin() as connection:
        for table in (thumbnails, thumbnail_versions):
            connection.execute(delete(table).where(table.c.video_id == full.ids[0]))
        assert face_id in set(connection.scalars(select(face_embeddings.c.face_id)))
    full.retain_day()
    with full.lab.engine.connect() as connection:
        assert holding(connection, face_id) == set()
        assert picture not in set(connection.scalars(select(face_pictures.c.sha256)))

"""Test over HTTP that a forgotten person, face or picture is gone from the tables, the releases and the image store."""

import os
from pathlib import Path

import numpy as np
import pytest
from planted_people import Planted, plant, show
from safetensors.numpy import save_file
from sqlalchemy import text

from thumblab_core.database.tables import metadata
from thumblab_core.faces.head import TRAINED_ON, WEIGHTS, FaceHead, save_trained_on, served_head
from thumblab_core.image_store import ImageFolder
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.releases.release import FACE_HEAD, Release, UnreadError
from thumblab_core.releases.release_store import ReleaseStore

SALT = "00" * 16


def publish(store: ReleaseStore, people: list[str], faces: list[str], seed: int) -> Release:
    """Publish and serve a head for face matching that was trained on the given clusters and faces."""
    matrix = np.random.default_rng(seed).normal(size=(8, 8)).astype(np.float32)
    head = FaceHead("embedder-1", matrix)

    def write(folder: Path) -> None:
        save_file({"matrix": matrix}, folder / WEIGHTS)
        save_trained_on(folder, SALT, people, faces)
        assert (folder / TRAINED_ON).exists()

    release = store.publish(
        FACE_HEAD, "embedder-1", write, {"embedder": "embedder-1", "head": head.fingerprint, "salt": SALT}
    )
    store.serving.promote(release)
    return release


def rows(planted: Planted) -> str:
    """Return the text of all rows of all tables."""
    with planted.engine.connect() as connection:
        return "\n".join(
            row
            for table in metadata.sorted_tables
            for row in connection.execute(text(f"SELECT t::text FROM {table.name} AS t")).scalars()
        ).casefold()


def test_a_forgotten_person_is_gone_everywhere_and_does_not_come_back(planted: Planted) -> None:
    store = ReleaseStore(planted.service.lab.settings.releases)
    person = planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": "Zenobia"}))["cluster_id"]
    key = person.removeprefix("person_")
    older = publish(store, [planted.two.rpartition("_")[2]], planted.alone[2:4], 1)
    newer = publish(store, [key], planted.alone[:2], 2)
    with planted.engine.begin() as connection:
        show(connection, "video1", planted.sha256[0])
    forgotten = planted.done(planted.delete(f"/people/{person}"))
    # The first picture of the person is the thumbnail of a video, so only the person's second picture is deleted.
    assert forgotten == {"faces": 2, "pictures": 1, "heads": [newer.release_id]}
    planted.refused(planted.get(f"/clusters/{person}"), 404, "not-found")
    planted.refused(planted.delete(f"/people/{person}"), 404, "not-found")
    assert not any(gone in rows(planted) for gone in ("zenobia", key, *planted.alone[:2]))
    assert planted.images.path(planted.sha256[0]).exists()
    assert not planted.images.path(planted.sha256[1]).exists()
    assert [release.release_id for release in store.all(FACE_HEAD, "embedder-1")] == [older.release_id]
    assert served_head(store, "embedder-1") is not None
    planted.refused(planted.get(f"/{planted.alone[0]}/crop"), 404, "not-found")
    with planted.engine.begin() as connection:
        assert plant(connection, (planted.sha256[0], 1)) == [[]]


def test_a_forgotten_face_leaves_the_other_face_of_its_picture(planted: Planted) -> None:
    assert planted.done(planted.delete(f"/{planted.pair[0]}")) == {"faces": 1, "pictures": 0, "heads": []}
    left = planted.done(planted.get(f"/pictures/{planted.sha256[5]}"))["faces"]
    assert [face["face_id"] for face in left] == planted.pair[1:]
    assert planted.images.path(planted.sha256[5]).exists()
    assert planted.done(planted.get("/stats"))["forgotten"] == 1


def test_a_forgotten_picture_loses_all_faces_and_its_file(planted: Planted) -> None:
    assert planted.done(planted.delete(f"/pictures/{planted.sha256[5]}"))["faces"] == 2
    assert not planted.images.path(planted.sha256[5]).exists()
    planted.refused(planted.get(f"/pictures/{planted.sha256[5]}"), 404, "not-found")
    planted.refused(planted.delete("/pictures/" + "0" * 64), 404, "not-found")


def test_if_a_head_cannot_be_deleted_nothing_is_forgotten_and_it_can_be_repeated(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_core.people import forgetting_everywhere

    def refuse(*_: object) -> None:
        raise PermissionError(13, os.strerror(13))

    with monkeypatch.context() as patch:
        patch.setattr(forgetting_everywhere, "remove_heads_of", refuse)
        reply = planted.delete(f"/people/{planted.one}")
    detail = planted.refused(reply, 503, "not-forgotten")
    assert detail.startswith("nothing was forgotten, because a trained head cannot be deleted (Permission denied)")
    assert reply.headers["retry-after"] == "60"
    assert planted.faces(planted.one) == set(planted.alone[:2])
    assert planted.done(planted.delete(f"/people/{planted.one}"))["faces"] == 2


def test_the_answer_does_not_name_the_bucket_if_an_object_store_is_away(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_core.people import forgetting_everywhere

    away = StoreError("s3://secret-bucket/lab cannot be used for ab/cd (no connection)")

    def unread(*_: object) -> None:
        raise UnreadError(f"the releases cannot be listed now ({away}); try again later") from away

    def refuse(*_: object) -> bool:
        raise away

    with monkeypatch.context() as patch:
        patch.setattr(forgetting_everywhere, "remove_heads_of", unread)
        head = planted.refused(planted.delete(f"/people/{planted.one}"), 503, "not-forgotten")
    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "remove", refuse)
        file = planted.refused(planted.delete(f"/pictures/{planted.sha256[5]}"), 503, "not-forgotten")
    assert "cannot be deleted: the release store cannot be used now" in head
    assert "cannot be deleted: the image store cannot be used now" in file
    assert not any(word in head + file for word in ("s3://", "secret-bucket", "ab/cd"))

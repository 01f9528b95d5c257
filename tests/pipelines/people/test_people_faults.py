"""Test difficult cases of the steps that find people: no faces, unreadable files, a damaged matching head, and excluded
faces.

The networks and the pictures of people are in the folder of real data, which is not in the repository.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from given_experiments import put_channel
from sqlalchemy import insert, text

from thumblab_core.database.tables import people_pictures, thumbnails
from thumblab_core.errors import LabError
from thumblab_core.faces.embedder import OnnxFaceEmbedder
from thumblab_core.faces.head import heads_that_learnt_from, served_head
from thumblab_core.people.clustering import faces_for_clustering
from thumblab_core.people.figures import people_statistics
from thumblab_core.people.moving import move
from thumblab_core.people.naming import label
from thumblab_core.people.reading import faces_of_cluster, list_clusters
from thumblab_core.recognition.known_people import read_known_people
from thumblab_core.recognition.space import present_embedder
from thumblab_core.releases.release import FACE_HEAD
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people import group
from thumblab_pipelines.people.detect import detect_faces
from thumblab_pipelines.people.folder import add_folder
from thumblab_pipelines.people.forget import forget_outside, forget_person
from thumblab_pipelines.people.group import assign_faces, cluster_settings, group_faces
from thumblab_pipelines.people.matching.labelled_faces import TooFewPeopleError
from thumblab_pipelines.people.matching.publishing import PublishedHead
from thumblab_pipelines.people.matching.training import Decision
from thumblab_pipelines.people.training import head_config, train_matching
from thumblab_pipelines.retention.purge import clean_faces


@pytest.fixture
def people_lab(shared_data: Path, open_lab: Callable[..., Lab]) -> Lab:
    models = shared_data.parent / "models"
    return open_lab(
        people="own",
        face_model=models / "face_detection_yunet_2026may.onnx",
        face_embedder=models / "mobilefacenet.onnx",
    )


@pytest.fixture
def given(people_lab: Lab, shared_data: Path, tmp_path: Path) -> Lab:
    """A lab in which faces were found and grouped. Each of six people has a folder with six pictures."""
    for number, person in enumerate(sorted((shared_data / "faces" / "people").iterdir())[:6]):
        folder = tmp_path / f"Ann-Marie_{number}"
        folder.mkdir()
        for picture in sorted(person.glob("*.png"))[:6]:
            (folder / picture.name).write_bytes(picture.read_bytes())
    add_folder(people_lab, tmp_path)
    detect_faces(people_lab)
    group_faces(people_lab)
    return people_lab


def named(lab: Lab) -> list[str]:
    """Give every cluster a name, and return the ids of the clusters."""
    with lab.engine.begin() as connection:
        clusters = list_clusters(connection).clusters
        return [label(connection, cluster.id, f"Ann Marie {number}").id for number, cluster in enumerate(clusters)]


def test_a_lab_without_faces_has_no_clusters(people_lab: Lab) -> None:
    for step in (group_faces, assign_faces):
        result = step(people_lab)
        assert (result.faces, result.people, result.unknown_clusters) == (0, 0, 0)
    with pytest.raises(TooFewPeopleError, match="5 people"):
        train_matching(people_lab)


@pytest.mark.slow
def test_a_picture_whose_file_cannot_be_read_now_is_searched_later(
    given: Lab, shared_data: Path, tmp_path: Path
) -> None:
    picture = next(sorted((shared_data / "faces" / "people").iterdir())[7].glob("*.png"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "one.png").write_bytes(picture.read_bytes())
    add_folder(given, tmp_path / "new")
    with given.engine.connect() as connection:
        sha256 = connection.scalar(text("SELECT sha256 FROM people_pictures WHERE name = 'one.png'"))
    stored = given.images.path(str(sha256))
    data = stored.read_bytes()
    stored.unlink()
    first = detect_faces(given)
    assert (first.searched, len(first.problems)) == (0, 1)
    stored.write_bytes(data)
    second = detect_faces(given)
    assert (second.searched, second.faces, second.problems) == (1, 1, [])


def test_a_person_who_is_forgotten_during_a_grouping_is_in_no_centroid(
    given: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with given.engine.connect() as connection:
        gone = list_clusters(connection).clusters[0]
    store = group.store_clustering

    def forgetting(*arguments: Any) -> Any:
        monkeypatch.setattr(group, "store_clustering", store)
        forget_person(given, gone.id)
        return store(*arguments)

    monkeypatch.setattr(group, "store_clustering", forgetting)
    group_faces(given)
    with given.engine.connect() as connection:
        counted = connection.scalar(text("SELECT sum(face_count) FROM face_centroids"))
        placed = connection.scalar(text("SELECT count(*) FROM face_assignments"))
        keys = set(connection.scalars(text("SELECT cluster_key FROM face_centroids")))
    assert gone.key not in keys
    assert counted is not None
    assert counted <= placed


@pytest.mark.slow
def test_a_face_that_is_moved_out_during_a_grouping_is_in_no_centroid_of_its_old_cluster(
    given: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with given.engine.connect() as connection:
        key = list_clusters(connection).clusters[0].key
        moved = faces_of_cluster(connection, key).faces[0].face_id
    store = group.store_clustering

    def moving(*arguments: Any) -> Any:
        monkeypatch.setattr(group, "store_clustering", store)
        with given.engine.begin() as connection:
            move(connection, [moved])
        return store(*arguments)

    monkeypatch.setattr(group, "store_clustering", moving)
    group_faces(given)
    with given.engine.connect() as connection:
        counts = "SELECT cluster_key, sum(face_count) FROM face_centroids GROUP BY cluster_key"
        made_of = dict(connection.execute(text(counts)).all())
        members = "SELECT cluster_key, count(*) FROM face_assignments GROUP BY cluster_key"
        placed = dict(connection.execute(text(members)).all())
    assert made_of[key] == placed[key]
    assert set(made_of) == set(placed)


def test_a_forgotten_persons_name_is_in_no_file_name(given: Lab) -> None:
    first, *_ = named(given)
    with given.engine.connect() as connection:
        shown = {face.sha256 for face in faces_of_cluster(connection, first).faces}
        before = dict(connection.execute(text("SELECT sha256, name FROM people_pictures")).all())
    forget_person(given, first)
    with given.engine.connect() as connection:
        after = dict(connection.execute(text("SELECT sha256, name FROM people_pictures")).all())
    assert shown.isdisjoint(after)
    number = before[next(iter(shown))].partition("/")[0]
    assert not any(number in name for name in after.values())
    assert any(name.startswith("Ann-Marie_") for name in after.values())


def test_a_name_without_letters_is_in_no_file_name(given: Lab) -> None:
    with given.engine.begin() as connection:
        first, *_ = list_clusters(connection).clusters
        cluster = label(connection, first.id, "\N{WHITE MEDIUM STAR}").id
        others = text("SELECT count(*) FROM people_pictures WHERE name LIKE 'Ann-Marie%'")
        before, shown = connection.scalar(others), len(faces_of_cluster(connection, cluster).faces)
    forget_person(given, cluster)
    with given.engine.connect() as connection:
        assert connection.scalar(others) == (before or 0) - shown


@pytest.fixture
def served(given: Lab, monkeypatch: pytest.MonkeyPatch) -> PublishedHead:
    """A served matching head. With so few pictures, no head improves the figures, so a patch makes the lab promote the
    head.
    """
    monkeypatch.setattr(
        "thumblab_pipelines.people.matching.training.decide", lambda *_: Decision(True, "the test promotes it")
    )
    named(given)
    published = train_matching(given, head_config(given, epochs=2, min_faces=3))
    assert published.served
    return published


@pytest.mark.slow
def test_faces_are_grouped_with_the_served_head_and_a_damaged_one_is_replaced_by_training(
    given: Lab, served: PublishedHead
) -> None:
    assert "-head-" in group_faces(given).space
    (served.release.path / "head.safetensors").write_bytes(b"damaged")
    with pytest.raises(LabError, match="thumblab people train"):
        group_faces(given)
    again = train_matching(given, head_config(given, epochs=2, min_faces=3))
    assert again.served
    assert again.release.release_id != served.release.release_id
    assert "-head-" in group_faces(given).space


@pytest.mark.slow
def test_training_again_without_new_labels_publishes_nothing_even_if_there_are_new_faces(
    given: Lab, served: PublishedHead, shared_data: Path
) -> None:
    add_folder(given, shared_data / "faces" / "group_stills")
    detect_faces(given)
    again = train_matching(given, head_config(given, epochs=2, min_faces=3))
    assert again.trained is None
    assert again.release.release_id == served.release.release_id


@pytest.mark.slow
def test_retention_deletes_a_head_that_learnt_from_a_deleted_face(given: Lab, served: PublishedHead) -> None:
    clean_faces(given)
    assert given.releases.serving.current_id(FACE_HEAD, present_embedder(given.settings)) == served.release.release_id
    with given.engine.begin() as connection:
        connection.execute(
            text("DELETE FROM people_pictures WHERE sha256 IN (SELECT sha256 FROM face_assignments LIMIT 1)")
        )
    assert clean_faces(given) == 1
    assert served_head(given.releases, present_embedder(given.settings)) is None
    assert not served.release.path.exists()


@pytest.mark.slow
def test_faces_outside_the_setting_are_not_grouped_and_stay_until_a_person_deletes_them(
    given: Lab, shared_data: Path
) -> None:
    everybody = replace(given, settings=given.settings.model_copy(update={"people": "all"}))
    picture = (shared_data / "faces" / "group_stills" / "bbt1.jpg").read_bytes()
    now = datetime.now(UTC)
    put_channel(given, "UC" + "a" * 22, "Foreign", "video_aaaaa")
    with given.engine.begin() as connection:
        stored = {"sha256": given.images.put(picture), "fetched_at": now, "checked_at": now}
        connection.execute(insert(thumbnails).values(video_id="video_aaaaa", **stored))
    foreign = detect_faces(everybody).faces
    assert foreign == 4
    with_all, own = group_faces(everybody).faces, group_faces(given).faces
    assert with_all - own == foreign
    detect_faces(given)
    with given.engine.connect() as connection:
        assert len(faces_for_clustering(connection, present_embedder(given.settings)).face_ids) == with_all
    assert forget_outside(given).faces == foreign
    off = replace(given, settings=given.settings.model_copy(update={"people": "off"}))
    left = people_faces(given)
    assert forget_outside(off).faces == left > 0
    assert people_faces(given) == 0
    assert heads_that_learnt_from(given.releases) == []


def people_faces(lab: Lab) -> int:
    with lab.engine.connect() as connection:
        return people_statistics(connection).faces


@pytest.mark.slow
def test_vectors_of_an_earlier_network_go_once_every_face_has_a_new_one(given: Lab) -> None:
    """Check that the vectors of the earlier network are deleted only when every face has a vector of the new network.

    The pictures are searched niche by niche, as the asset `faces` does.
    """
    rows = text("INSERT INTO face_embeddings (face_id, embedder, vector) SELECT face_id, 'earlier', '[1,0]' FROM faces")
    calibration = text("INSERT INTO face_calibrations VALUES ('earlier', '{}', now())")
    earlier = text(
        "SELECT (SELECT count(*) FROM face_embeddings WHERE embedder = 'earlier'),"
        " (SELECT count(*) FROM face_calibrations WHERE embedder = 'earlier')"
    )
    waiting = text(
        "DELETE FROM face_embeddings WHERE face_id = (SELECT min(face_id) FROM faces) AND embedder != 'earlier'"
    )
    with given.engine.begin() as connection:
        connection.execute(rows)
        connection.execute(calibration)
        connection.execute(waiting)
    detect_faces(given, "tech")
    group_faces(given)
    with given.engine.connect() as connection:
        assert connection.execute(earlier).one() == (people_faces(given), 1)
    assert detect_faces(given, limit=1).searched == 1
    with given.engine.begin() as connection:
        assert connection.execute(earlier).one() == (0, 0)
        connection.execute(rows)
        connection.execute(calibration)
    detect_faces(given, "tech")
    group_faces(given)
    with given.engine.connect() as connection:
        assert connection.execute(earlier).one() == (0, 0)


@pytest.mark.slow
def test_faces_are_recognised_with_the_threshold_of_the_last_grouping(given: Lab) -> None:
    setting = given.settings.face_person_match_threshold
    for threshold in (0.9, None):
        space = group_faces(given, cluster_settings(given.settings, threshold)).space
        with given.engine.connect() as connection:
            known = read_known_people(connection, space, setting)
        assert known.threshold == (threshold or setting)
        assert known.calibration is not None


@pytest.mark.slow
def test_a_forgotten_face_is_not_embedded_again_when_its_picture_is_searched_again(
    given: Lab, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with given.engine.connect() as connection:
        gone = list_clusters(connection).clusters[0]
        picture = given.images.get(faces_of_cluster(connection, gone.id).faces[0].sha256)
    forget_person(given, gone.id)
    other = next(sorted((shared_data / "faces" / "people").iterdir())[8].glob("*.png")).read_bytes()
    with given.engine.begin() as connection:
        for number, data in enumerate((picture, other)):
            connection.execute(insert(people_pictures).values(sha256=given.images.put(data), name=f"again {number}"))
    embedded: list[int] = []
    embed = OnnxFaceEmbedder.embed

    def counted(self: OnnxFaceEmbedder, crops: Any) -> Any:
        embedded.append(len(crops))
        return embed(self, crops)

    monkeypatch.setattr(OnnxFaceEmbedder, "embed", counted)
    found = detect_faces(given)
    assert (found.searched, found.faces, found.forgotten, found.without_vector) == (2, 1, 1, 0)
    assert sum(embedded) == 1

"""Test all steps from pictures to people: search, group, name, train, report and forget, with the real networks.

The networks and the pictures of people are in the folder of real data, which is not in the repository.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from thumblab_core.database.tables import metadata
from thumblab_core.errors import LabError
from thumblab_core.faces.head import heads_that_learnt_from
from thumblab_core.people.moving import not_this_person
from thumblab_core.people.naming import label
from thumblab_core.people.reading import faces_of_cluster, list_clusters
from thumblab_core.people.undoing import undo
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.detect import detect_faces
from thumblab_pipelines.people.folder import add_folder
from thumblab_pipelines.people.forget import forget_person
from thumblab_pipelines.people.group import assign_faces, group_faces
from thumblab_pipelines.people.report import folder_agreement, people_report
from thumblab_pipelines.people.training import head_config, train_matching

PEOPLE, PICTURES = 12, 240


@pytest.fixture(scope="module")
def people_lab(shared_data: Path, module_lab: Lab) -> Lab:
    """A lab with the search for people turned on, and with the two networks that it needs."""
    models = shared_data.parent / "models"
    networks = {
        "face_model": models / "face_detection_yunet_2026may.onnx",
        "face_embedder": models / "mobilefacenet.onnx",
    }
    return replace(module_lab, settings=module_lab.settings.model_copy(update={"people": "own", **networks}))


@pytest.fixture(scope="module")
def grouped(shared_data: Path, people_lab: Lab) -> Lab:
    """A lab in which the pictures of twelve people were searched and grouped. No test changes this lab."""
    add_folder(people_lab, shared_data / "faces" / "people")
    detect_faces(people_lab)
    group_faces(people_lab)
    return people_lab


def test_a_folder_of_people_becomes_clusters_that_agree_with_its_subfolders(grouped: Lab) -> None:
    statistics = people_report(grouped).statistics
    assert statistics.pictures == PICTURES
    assert statistics.pictures_with_faces >= 0.98 * PICTURES
    found = folder_agreement(grouped)
    assert found is not None
    assert found.f >= 0.95
    assert found.impurity <= 0.05


def test_a_second_run_finds_and_changes_nothing(grouped: Lab) -> None:
    assert detect_faces(grouped).searched == 0
    again = group_faces(grouped)
    assert (again.moved, again.new, again.dropped) == (0, 0, 0)
    assert assign_faces(grouped).moved == 0


def test_with_names_for_half_of_the_people_the_others_stay_unknown_clusters(grouped: Lab) -> None:
    folder_of = {row.sha256: row.name.partition("/")[0] for row in _given(grouped)}
    with grouped.engine.begin() as connection:
        clusters = list_clusters(connection, kind="unknown").clusters
        folders = [_folder(connection, cluster.id, folder_of) for cluster in clusters]
        named = sorted(set(folders))[: PEOPLE // 2]
        for cluster, folder in zip(clusters, folders, strict=True):
            if folder in named:
                label(connection, cluster.id, f"The one of {folder}")
    result = group_faces(grouped)
    assert result.people == PEOPLE // 2
    with grouped.engine.connect() as connection:
        people = list_clusters(connection, kind="person").clusters
        assert {person.name for person in people} == {f"The one of {folder}" for folder in named}
        unknown = list_clusters(connection, kind="unknown").clusters
        assert {_folder(connection, cluster.id, folder_of) for cluster in unknown} == set(folders) - set(named)
    found = folder_agreement(grouped)
    assert found is not None
    assert found.f >= 0.95


def test_a_change_by_a_person_survives_the_next_grouping(grouped: Lab) -> None:
    with grouped.engine.begin() as connection:
        largest = list_clusters(connection).clusters[0]
        face = faces_of_cluster(connection, largest.id).faces[0]
        not_this_person(connection, face.face_id)
    group_faces(grouped)
    with grouped.engine.begin() as connection:
        assert face.face_id not in {each.face_id for each in faces_of_cluster(connection, largest.id).faces}
        undo(connection)
    group_faces(grouped)
    with grouped.engine.connect() as connection:
        assert face.face_id in {each.face_id for each in faces_of_cluster(connection, largest.id).faces}


def test_a_head_is_trained_on_named_people_and_grouping_with_it_still_agrees(grouped: Lab) -> None:
    published = train_matching(grouped, head_config(grouped, epochs=3, min_faces=5))
    assert published.release.info["people"] >= 5
    result = group_faces(grouped)
    assert ("-head-" in result.space) is published.served
    found = folder_agreement(grouped)
    assert found is not None
    assert found.f >= 0.95


def test_a_forgotten_person_is_nowhere_and_is_not_found_again(grouped: Lab) -> None:
    with grouped.engine.connect() as connection:
        person = list_clusters(connection, kind="person").clusters[0]
        shown = faces_of_cluster(connection, person.id, 1000).faces
    faces, pictures = [face.face_id for face in shown], [face.sha256 for face in shown]
    assert person.name is not None
    forgotten = forget_person(grouped, person.id)
    assert forgotten.faces == len(faces) > 0
    assert heads_that_learnt_from(grouped.releases, [person.key], faces) == []
    assert not any(grouped.images.path(picture).exists() for picture in pictures)
    detect_faces(grouped)
    group_faces(grouped)
    for table in metadata.sorted_tables:
        with grouped.engine.connect() as connection:
            rows = [str(row) for row in connection.execute(table.select())]
        for word in (person.name, person.key, *faces):
            assert not any(word in row for row in rows), (table.name, word)
    for path in (path for path in grouped.releases.root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(word.encode() in content for word in (person.name, person.key, *faces)), path


def test_while_people_are_off_no_face_is_embedded(grouped: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    off = replace(grouped, settings=grouped.settings.model_copy(update={"people": "off"}))

    def forbidden(*_: object) -> None:
        raise AssertionError("a face network was loaded")

    monkeypatch.setattr("thumblab_core.recognition.networks.OnnxFaceEmbedder", forbidden)
    for step in (detect_faces, group_faces, assign_faces, train_matching, lambda lab: add_folder(lab, Path())):
        with pytest.raises(LabError, match="THUMBLAB_PEOPLE"):
            step(off)


def _given(lab: Lab) -> list[Any]:
    with lab.engine.connect() as connection:
        return list(connection.execute(text("SELECT sha256, name FROM people_pictures")))


def _folder(connection: Connection, cluster_id: str, folder_of: dict[str, str]) -> str:
    """Return the name of the folder that most faces of a cluster come from."""
    faces = faces_of_cluster(connection, cluster_id, 1000).faces
    return Counter(folder_of[face.sha256] for face in faces).most_common(1)[0][0]

"""Tests that people are found: planted people with and without labels, and the people in real crops of faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_faces import CALIBRATION, faces_of, people_of, unit

from benchmarks.people.planted_faces import planted_faces
from thumblab_core.arrays import Float32s, Rows
from thumblab_pipelines.people.clustering.agreement import Agreement, agreement
from thumblab_pipelines.people.clustering.assign import assign_faces
from thumblab_pipelines.people.clustering.calibration import calibrate
from thumblab_pipelines.people.clustering.centroids import spherical_k_means
from thumblab_pipelines.people.clustering.cluster import cluster_faces
from thumblab_pipelines.people.clustering.faces import NONE, ClusterSettings, Faces, How, UnknownMethod

METHODS: list[UnknownMethod] = ["hdbscan", "dbscan", "agglomerative"]


@pytest.mark.parametrize("method", METHODS)
def test_planted_people_are_found_and_strangers_are_left_alone(method: UnknownMethod) -> None:
    faces, person = planted_faces(1500, 30)
    calibration = calibrate(faces.vectors, faces.pictures, faces.pinned)
    found = cluster_faces(faces, calibration, ClusterSettings(unknown_method=method))
    assert agreement(found.clusters, person).f > 0.97
    assert (found.clusters[person < 0] >= 0).mean() < 0.02
    bad = (faces.quality < 0.4) & (person >= 0)
    assert (found.clusters[bad] >= 0).mean() > 0.5, "most bad faces must join a cluster"


def test_bad_faces_start_no_cluster() -> None:
    faces, _ = people_of(np.random.default_rng(0), [10, 10], noise=0.4)
    bad = replace(faces, quality=np.repeat([0.2, 0.9], 10))
    found = cluster_faces(bad, CALIBRATION)
    assert np.all(found.clusters[:10] == NONE)
    assert len(set(found.clusters[10:].tolist()) - {NONE}) == 1


def test_new_faces_join_known_people_and_strangers_do_not() -> None:
    faces, _ = planted_faces(1500, 30)
    calibration = calibrate(faces.vectors, faces.pictures, faces.pinned)
    found = cluster_faces(faces, calibration)
    new = np.random.default_rng(2).random(1500) < 0.1
    again = assign_faces(replace(faces, previous=np.where(new, NONE, found.clusters)), new, calibration)
    assert (again.clusters == found.clusters)[new].mean() > 0.95


def test_a_ban_and_a_pin_hold_against_the_likeness() -> None:
    faces, _ = people_of(np.random.default_rng(0), [10, 10], noise=0.4)
    found = cluster_faces(faces, CALIBRATION)
    first, second = found.clusters[0], found.clusters[10]
    assert (found.clusters[:10] == first).all() and (found.clusters[10:] == second).all() and first != second
    pinned = np.full(20, NONE)
    pinned[0] = 77
    said = replace(faces, previous=found.clusters, pinned=pinned, banned=np.array([[0, first]]))
    after = cluster_faces(said, CALIBRATION)
    assert after.clusters[0] == 77 and after.how[0] == How.PINNED
    assert (after.clusters[1:10] == first).all(), "the cluster from which a person took a face keeps its other faces"
    assert (after.clusters[10:] == second).all()


def test_a_person_with_two_looks_gets_two_centroids() -> None:
    random = np.random.default_rng(0)
    looks = unit(random.standard_normal((2, 32)))
    vectors = unit(looks[np.repeat([0, 1], [12, 6])] + 0.4 * unit(random.standard_normal((18, 32))))
    assert np.bincount(spherical_k_means(vectors.astype(float), 3, 0.8)).tolist() in ([12, 6], [6, 12])
    assert spherical_k_means(vectors[:12].astype(float), 3, 0.5).max() == 0
    new = unit(looks[1] + 0.4 * unit(random.standard_normal((4, 32))))
    faces = replace(faces_of(np.vstack([vectors, new])), pinned=np.repeat([5, NONE], [18, 4]))
    assert (cluster_faces(faces, CALIBRATION).clusters == 5).all()


def test_a_single_face_joins_the_person_that_it_looks_like() -> None:
    faces, _ = people_of(np.random.default_rng(0), [4, 4, 1], noise=0.4)
    pinned = np.repeat([5, 6, NONE], [3, 4, 2])[[0, 1, 2, 7, 3, 4, 5, 6, 8]]
    found = cluster_faces(replace(faces, pinned=pinned), CALIBRATION)
    assert found.clusters.tolist() == [5, 5, 5, 5, 6, 6, 6, 6, NONE]
    assert found.how[3] == How.MATCHED and found.similarity[3] > 0.5


def test_agreement_counts_pairs() -> None:
    found = agreement(np.array([0, 0, 0, 1, -1]), np.array([0, 0, 1, 1, 1]))
    assert found == pytest.approx(Agreement(1 / 3, 1 / 4, 2 / 7, 1 / 3))
    assert agreement(np.array([3, 3, -1]), np.array([-1, -1, -1])).precision == 0


@pytest.fixture(scope="module")
def real_faces(shared_data: Path) -> tuple[Float32s, Rows]:
    """The vectors of real faces of 12 people. For each vector, a number from 0 to 11 says whose face it is."""
    import cv2
    import openvino

    network = openvino.Core().compile_model(str(shared_data.parent / "models" / "mobilefacenet.onnx"), "CPU")
    vectors, person = [], []
    for number, folder in enumerate(sorted((shared_data / "faces" / "people").iterdir())):
        for path in sorted(folder.iterdir()):
            picture = cv2.imread(str(path))[..., ::-1].astype(np.float32)
            vectors.append(network(((picture - 127.5) / 127.5).transpose(2, 0, 1)[None])[0][0].copy())
            person.append(number)
    return unit(np.array(vectors)), np.array(person)


def calibrated(vectors: Float32s, pinned: Rows, method: UnknownMethod = "hdbscan") -> Rows:
    faces = Faces(vectors, np.arange(len(vectors)), np.ones(len(vectors)), pinned)
    settings = ClusterSettings(unknown_method=method)
    return cluster_faces(faces, calibrate(vectors, faces.pictures, pinned), settings).clusters


@pytest.mark.parametrize("method", METHODS)
def test_real_people_are_found_without_labels(real_faces: tuple[Float32s, Rows], method: UnknownMethod) -> None:
    vectors, person = real_faces
    found = agreement(calibrated(vectors, np.full(len(person), NONE), method), person)
    assert found.f >= 0.95
    assert found.impurity <= 0.05


@pytest.mark.parametrize("pins", [3, 20])
@pytest.mark.parametrize("labelled", [(0, 2, 4, 6, 8, 10), (6, 7, 8, 9, 10, 11)])
def test_people_without_labels_stay_unknown_among_six_with_labels(
    real_faces: tuple[Float32s, Rows], pins: int, labelled: tuple[int, ...]
) -> None:
    vectors, person = real_faces
    pinned = np.full(len(person), NONE)
    for number in labelled:
        pinned[np.flatnonzero(person == number)[:pins]] = 100 + number
    clusters = calibrated(vectors, pinned)
    other = ~np.isin(person, labelled)
    assert not np.isin(clusters[other], 100 + np.array(labelled)).any()
    assert agreement(clusters, person).f >= 0.95
    assert agreement(clusters[other], person[other]).impurity <= 0.05


def test_random_subsets_of_real_people_are_found(real_faces: tuple[Float32s, Rows]) -> None:
    vectors, person = real_faces
    random = np.random.default_rng(3)
    found = []
    for _ in range(12):
        people = random.choice(12, random.integers(6, 13), replace=False)
        rows = np.concatenate(
            [random.choice(np.flatnonzero(person == p), random.integers(5, 21), False) for p in people]
        )
        noisy = unit(vectors[rows] + 0.02 * random.standard_normal((len(rows), vectors.shape[1])))
        found.append(agreement(calibrated(noisy, np.full(len(rows), NONE)), person[rows]))
    assert np.median([one.f for one in found]) >= 0.95
    assert max(one.impurity for one in found) <= 0.05

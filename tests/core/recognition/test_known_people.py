"""Test which person a face matches. The centroids of the people are known vectors."""

import numpy as np
import pytest

from thumblab_core.recognition.known_people import KnownPeople
from thumblab_core.recognition.match_scores import Calibration

CALIBRATION = Calibration("dimension", 0.0, 0.1, 0, 0, 8)
DIRECTIONS = np.eye(8, dtype=np.float32)


def known(count: int = 3, calibration: Calibration | None = CALIBRATION) -> KnownPeople:
    """Return `count` clusters. The centroid of cluster i is row i of `DIRECTIONS`. All clusters except the last cluster
    have a name.
    """
    keys = tuple(f"{number:012x}" for number in range(count))
    names = {key: f"Person {number}" for number, key in enumerate(keys[:-1])}
    return KnownPeople(names, keys, DIRECTIONS[:count], calibration, 0.7, 0)


def between(one: int, other: int, cosine: float) -> np.ndarray:
    """Return a unit vector between the rows `one` and `other` of `DIRECTIONS`. Its cosine with row `one` is `cosine`."""
    vector = cosine * DIRECTIONS[one] + np.sqrt(1 - cosine**2) * DIRECTIONS[other]
    return np.asarray(vector, np.float32)


def test_a_face_matches_the_nearest_person_from_the_threshold_on() -> None:
    people = known()
    least = people.least_cosine
    assert people.least_score == pytest.approx(0.7)
    near, far = (
        people.match(np.stack([between(0, 7, least + 0.01)]))[0],
        people.match(between(0, 7, least - 0.01)[None]),
    )
    assert near is not None
    assert (near.name, near.key) == ("Person 0", people.owners[0])
    assert near.score >= 0.7
    assert far == [None]


def test_a_face_that_is_most_like_an_unknown_cluster_matches_nobody() -> None:
    people = known()
    mixed = between(2, 0, 0.8)  # The cosine with Person 0 is 0.6, above the threshold.
    assert people.least_cosine < 0.6
    assert people.match(mixed[None]) == [None]


def test_two_faces_of_one_picture_are_never_one_person() -> None:
    better, worse = between(0, 7, 0.9), between(0, 6, 0.8)
    found = known().match(np.stack([worse, better]))
    assert found[0] is None
    assert found[1] is not None
    assert found[1].name == "Person 0"


def test_with_many_clusters_the_threshold_rises() -> None:
    few, many = known(), known()
    keys = tuple(f"{number:012x}" for number in range(100))
    many = KnownPeople(many.names, keys, np.tile(DIRECTIONS[:1], (100, 1)), CALIBRATION, 0.7, 0)
    assert many.least_cosine > few.least_cosine
    assert many.least_score == pytest.approx(0.9)


def test_without_a_calibration_or_without_centroids_nobody_matches() -> None:
    face = DIRECTIONS[:1]
    assert known(calibration=None).match(face) == [None]
    nobody = KnownPeople({}, (), np.zeros((0, 0), np.float32), CALIBRATION, 0.7, 0)
    assert nobody.match(face) == [None]
    assert known().match(np.zeros((0, 8), np.float32)) == []

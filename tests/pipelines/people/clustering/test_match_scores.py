"""Tests of the calibration of match scores, and of the histogram of the cosines between faces."""

import math

import numpy as np
import pytest
from drawn_faces import unit

from thumblab_core.recognition.match_scores import Calibration, CalibrationError
from thumblab_pipelines.people.clustering.calibration import calibrate
from thumblab_pipelines.people.clustering.histogram import histogram

NOBODY = np.full(2000, -1)


def crowd(people: int, each: int, dimension: int = 64) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(people), each)
    centres = unit(random.standard_normal((people, dimension)))
    return unit(centres[person] + 0.8 * unit(random.standard_normal((len(person), dimension)))), person


def test_a_score_states_the_false_accept_rate() -> None:
    calibration = Calibration("dimension", 0.02, 0.1, 0, 0, 128)
    for score, rate in ((0.5, 1e-2), (0.7, 1e-3), (0.9, 1e-4)):
        cosine = calibration.cosine(score)
        assert cosine == pytest.approx(calibration.cosine_at_rate(rate))
        assert float(calibration.score(cosine)) == pytest.approx(score)
    assert calibration.score([-1.0, 0.02, 1.0]) == pytest.approx([0.1, 0.1 + 0.2 * math.log10(2), 1.0], abs=1e-6)


@pytest.mark.parametrize("evidence", ["pins", "pictures", "nothing"])
def test_the_measured_rate_at_the_threshold_is_near_the_stated_one(evidence: str) -> None:
    vectors, person = crowd(100, 20)
    pictures = np.arange(2000) % 20 if evidence == "pictures" else np.arange(2000)
    calibration = calibrate(vectors, pictures, person if evidence == "pins" else NOBODY)
    assert calibration.method == ("random pairs" if evidence == "nothing" else "known pairs")
    cosines = vectors @ vectors.T
    different = cosines[person[:, None] != person]
    for score, rate in ((0.5, 1e-2), (0.7, 1e-3)):
        measured = (different >= calibration.cosine(score)).mean()
        # If there are few pairs, the calibration is partly a guess, which depends only on the dimension of the vectors.
        # The measured rate is then lower than the requested rate.
        assert rate / 4 < measured < rate * 1.5


def test_few_faces_leave_the_guess_from_the_dimension() -> None:
    vectors, person = crowd(2, 10, 128)
    calibration = calibrate(vectors, np.arange(20), np.full(20, -1))
    assert calibration.method == "dimension"
    assert calibration.cosine(0.7) == pytest.approx(0.03 + 3.09 * 1.2 / math.sqrt(128), abs=1e-3)
    assert calibrate(vectors, np.arange(20), person).method == "dimension"


def test_the_order_of_the_faces_does_not_change_the_calibration() -> None:
    vectors, person = crowd(30, 50)
    order = np.random.default_rng(1).permutation(1500)
    pictures = np.arange(1500) % 700
    assert calibrate(vectors[order], pictures[order], person[order]) == calibrate(vectors, pictures, person)


def test_a_calibration_is_stored_as_json_and_a_damaged_one_is_refused() -> None:
    calibration = Calibration("known pairs", 0.02, 0.1, 5000, 12, 128)
    assert Calibration.from_json(calibration.to_json()) == calibration
    for text in (
        "",
        "[]",
        "{}",
        calibration.to_json().replace("0.1", "0.0"),
        calibration.to_json().replace("0.02", "NaN"),
    ):
        with pytest.raises(CalibrationError, match="run `thumblab people cluster` again"):
            Calibration.from_json(text)


def test_the_histogram_counts_each_kind_of_pair() -> None:
    vectors = unit(np.array([[1.0, 0], [1.0, 0.01], [0.0, 1], [-1.0, 0]]))
    counts = histogram(vectors, np.array([0, 1, 2, 3]), np.array([5, 5, 6, -1]), 0.4, bins=4)
    assert counts.edges == [-1, -0.5, 0, 0.5, 1]
    assert counts.same == [0, 0, 0, 1]
    assert sum(counts.different) == 2 and counts.different[3] == counts.different[0] == 0
    assert sum(counts.unlabelled) == 3 and counts.unlabelled[0] == 2
    assert counts.threshold == 0.4
    in_one_picture = histogram(vectors, np.array([0, 1, 2, 2]), np.full(4, -1), 0.4, bins=4)
    assert sum(in_one_picture.different) == 1

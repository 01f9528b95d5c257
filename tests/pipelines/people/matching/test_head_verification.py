"""Test the figures of verification, and the intervals of these figures.

Verification decides whether two faces show the same person.
"""

from dataclasses import replace

import numpy as np
import pytest
from planted_labels import labelled, planted_vectors
from sklearn.metrics import roc_auc_score, roc_curve

from thumblab_core.errors import LabError
from thumblab_pipelines.people.matching.cross_fitting import judge
from thumblab_pipelines.people.matching.verification import JudgedPairs, _Curve, verify


def random_pairs(decimals: int, people: int = 9, count: int = 4_000, seed: int = 0) -> JudgedPairs:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, people, (2, count))
    second = np.where(rng.random(count) < 0.3, first, second)
    same = first == second
    before, after = (np.round(rng.normal(size=count) + lift * same, decimals) for lift in (1.5, 2.5))
    return JudgedPairs(first, second, same, before, after, rng.choice([0.25, 1.0], count))


@pytest.mark.parametrize("decimals", [1, 9])  # With one decimal, many scores are equal.
def test_the_figures_are_those_of_scikit_learn(decimals: int) -> None:
    pairs = random_pairs(decimals)
    figures = verify(pairs, seed=1)
    for when in ("before", "after"):
        scores = getattr(pairs, when)
        falsely, accepted, _ = roc_curve(pairs.same, scores, sample_weight=pairs.weight, drop_intermediate=False)
        auc = roc_auc_score(pairs.same, scores, sample_weight=pairs.weight)
        assert getattr(figures.tar, when).value == pytest.approx(accepted[falsely <= figures.far + 1e-9].max())
        assert getattr(figures.auc, when).value == pytest.approx(auc)
        assert getattr(figures.eer, when).value == pytest.approx(np.maximum(falsely, 1 - accepted).min(), abs=0.002)


def test_an_interval_holds_its_value_and_a_better_score_is_seen() -> None:
    figures = verify(random_pairs(9), seed=1)
    for change in (figures.tar, figures.auc, figures.eer):
        for estimate in (change.before, change.after, change.difference):
            assert estimate.low <= estimate.value <= estimate.high
    assert figures.auc.difference.low > 0
    assert figures.eer.difference.high < 0


def test_the_interval_of_a_difference_is_paired() -> None:
    pairs = random_pairs(9)
    figures = verify(replace(pairs, after=pairs.before), seed=1)
    assert figures.tar.difference.low == figures.tar.difference.high == 0
    assert figures.tar.before.high - figures.tar.before.low > 0.01


def test_the_interval_of_few_people_is_wider() -> None:
    many, few = (verify(random_pairs(9, people=people), seed=1).auc.before for people in (40, 5))
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_fewer_than_1000_impostor_pairs_do_not_claim_a_far_of_one_in_1000() -> None:
    pairs = random_pairs(9, count=400)
    figures = verify(pairs, seed=1)
    assert figures.impostor_pairs == round(pairs.weight[~pairs.same].sum()) < 1_000
    assert figures.far == 1 / figures.impostor_pairs
    expected = f"{figures.impostor_pairs} pairs of two people are too few to measure a false accept rate of 0.1%"
    assert expected in figures.lines()[-1]
    assert verify(random_pairs(9), seed=1).note is None


def test_two_faces_of_one_picture_count_as_two_people() -> None:
    vectors, person = planted_vectors(people=2, each=3)
    faces = labelled(vectors, person, pictures=["a", "a", "b", "c", "d", "e"]).coded()
    pairs = judge(faces, np.eye(vectors.shape[1]), np.random.default_rng(0))
    assert len(pairs.same) == 15
    assert pairs.same.sum() == 5  # Person 0 has two pairs in different pictures, and person 1 has three.


def test_pairs_of_one_person_only_cannot_be_judged() -> None:
    pairs = random_pairs(9, people=1)
    with pytest.raises(LabError, match="label more people"):
        verify(pairs, seed=1)


def test_a_person_who_is_drawn_twice_has_no_pairs_with_themselves() -> None:
    pairs = random_pairs(9)
    times = np.array([0, 2, 1, 3, 0, 1, 1, 0, 1])
    copies = np.where(pairs.first == pairs.second, times[pairs.first], times[pairs.first] * times[pairs.second])
    figures = _Curve(pairs.before, pairs.first, pairs.second, pairs).figures(times, 0.01)
    assert figures is not None
    assert figures[1] == pytest.approx(roc_auc_score(pairs.same, pairs.before, sample_weight=pairs.weight * copies))

"""Tests of the test plan: how many impressions an experiment needs, and which two candidates to test.

The formula for the needed impressions is compared with simulated experiments.
"""

import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from thumblab_core.errors import LabError
from thumblab_core.experiments.planning import AlikePair, alike_pairs, impressions_per_variant, pair_to_test
from thumblab_core.images.perceptual import NEAR, Appearance
from thumblab_pipelines.experiments.plan import plan_experiment


def significant_share(first: float, second: float, impressions: int, tests: int = 20_000) -> float:
    """Return the share of `tests` simulated experiments in which the rates of two variants differ significantly.

    `first` and `second` are the true click-through rates. Each variant gets `impressions` impressions. The test of the
    difference is two-sided, at the 5 % level.
    """
    random = np.random.default_rng(7)
    a = random.binomial(impressions, first, tests) / impressions
    b = random.binomial(impressions, second, tests) / impressions
    pooled = (a + b) / 2
    z = (a - b) / np.sqrt(pooled * (1 - pooled) * 2 / impressions)
    return float((np.abs(z) > NormalDist().inv_cdf(0.975)).mean())


@pytest.mark.parametrize("ctr", [0.02, 0.05, 0.12])
@pytest.mark.parametrize("lift", [0.1, 0.3, -0.2])
def test_the_planned_impressions_find_the_lift_in_80_percent_of_simulated_tests(ctr: float, lift: float) -> None:
    impressions = impressions_per_variant(ctr, lift)
    # The share of significant results is measured in 20,000 simulated tests, so its standard error is 0.3 percentage
    # points. The formula for the impressions uses normal distributions in place of binomial distributions, which adds a
    # small error.
    assert significant_share(ctr, ctr * (1 + lift), impressions) == pytest.approx(0.8, abs=0.015)
    assert significant_share(ctr, ctr * (1 + lift), impressions // 2) < 0.6
    assert significant_share(ctr, ctr, impressions) == pytest.approx(0.05, abs=0.008)


def test_a_higher_power_is_reached_too() -> None:
    impressions = impressions_per_variant(0.05, 0.2, power=0.9)
    assert significant_share(0.05, 0.06, impressions) == pytest.approx(0.9, abs=0.01)


def test_the_impressions_are_those_of_the_published_formula() -> None:
    # The next lines compute the formula by hand. The rates are p1 = 0.05 and p2 = 0.06, and their mean is p = 0.055.
    # The normal quantile 1.959964 belongs to a two-sided test at the 5 % level, and 0.841621 belongs to a power of 80
    # %.
    numerator = 1.959964 * math.sqrt(2 * 0.055 * 0.945) + 0.841621 * math.sqrt(0.05 * 0.95 + 0.06 * 0.94)
    assert impressions_per_variant(0.05, 0.2) == math.ceil((numerator / 0.01) ** 2) == 8_158


def test_a_smaller_lift_and_a_smaller_rate_need_more_impressions() -> None:
    needed = [impressions_per_variant(0.05, lift) for lift in (0.5, 0.2, 0.1, 0.05)]
    assert needed == sorted(needed)
    assert impressions_per_variant(0.02, 0.1) > impressions_per_variant(0.05, 0.1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0.0, 0.1), "between 0 and 100 %"),
        ((0.6, 0.7), "between 0 and 100 %"),
        ((0.05, -1.0), "between 0 and 100 %"),
        ((0.05, 0.0), "a difference of 0"),
        ((0.05, 1e-300), "a difference of 0"),
        ((0.05, 0.1, 1.0), "the usual values are 0.8 and 0.05"),
        ((0.05, 0.1, 0.8, 0.0), "the usual values are 0.8 and 0.05"),
        ((math.nan, 0.1), "between 0 and 100 %"),
    ],
)
def test_a_test_that_cannot_be_planned_is_an_error(arguments: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(LabError, match=sentence):
        impressions_per_variant(*arguments)


def test_the_best_candidate_is_tested_against_the_candidate_with_the_least_certain_outcome() -> None:
    pair = pair_to_test([0.1, 1.0, 0.9, -3.0], slope=2.0)
    assert pair is not None
    assert (pair.first, pair.second) == (1, 2)
    assert pair.win_probability == pytest.approx(1 / (1 + math.exp(-0.2)))
    p = pair.win_probability
    assert pair.information == pytest.approx(-p * math.log2(p) - (1 - p) * math.log2(1 - p))


def test_no_other_pair_with_the_best_candidate_is_less_certain() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        scores = random.standard_normal(5).tolist()
        pair = pair_to_test(scores, slope=1.5)
        assert pair is not None
        best = int(np.argmax(scores))
        uncertainty = {at: abs(scores[best] - scores[at]) for at in range(5) if at != best}
        assert (pair.first, pair.second) == (best, min(uncertainty, key=lambda at: uncertainty[at]))


def test_two_weak_candidates_are_not_tested_although_they_are_equal() -> None:
    pair = pair_to_test([2.0, -1.0, -1.0], slope=1.0)
    assert pair is not None
    assert (pair.first, pair.second) == (0, 1)


def test_an_outcome_that_is_certain_tells_nothing_and_equal_candidates_tell_one_bit() -> None:
    certain, even = pair_to_test([1e6, 0.0], slope=5.0), pair_to_test([0.3, 0.3], slope=5.0)
    assert certain is not None
    assert even is not None
    assert (certain.win_probability, certain.information) == (1.0, 0.0)
    assert (even.first, even.second, even.win_probability, even.information) == (0, 1, 0.5, 1.0)


def test_a_pair_that_is_too_alike_and_a_candidate_without_a_score_are_not_chosen() -> None:
    alike = [AlikePair(0, 1, 2)]
    pair = pair_to_test([1.0, 0.9, None, 0.2], 1.0, alike)
    assert pair is not None
    assert (pair.first, pair.second) == (0, 3)
    assert pair_to_test([1.0, 0.9], 1.0, alike) is None
    assert pair_to_test([1.0, None], 1.0) is None
    assert pair_to_test([], 1.0) is None


def test_pictures_are_too_alike_up_to_the_threshold_of_near_duplicates() -> None:
    grey = np.full((18, 32, 3), 128, np.int16)
    near, far = (1 << NEAR) - 1, (1 << (NEAR + 1)) - 1
    zero, at_near, at_far = (Appearance(number, grey) for number in (0, near, far))
    assert alike_pairs([zero, at_near, at_far]) == [AlikePair(0, 1, NEAR), AlikePair(1, 2, 1)]
    # The hash -1 is a signed number, in which all 64 bits are 1. In the hash 0, all 64 bits are 0. All bits of the two
    # hashes differ.
    assert alike_pairs([zero, Appearance(-1, grey)]) == []
    assert alike_pairs([zero, Appearance(0, grey + 20)]) == [], "pictures of different brightness are not alike"


@pytest.fixture
def candidates(tmp_path: Path, drawn: Callable[..., bytes]) -> list[Path]:
    """Three files: a picture, the same picture in another format, and a different picture."""
    paths = [tmp_path / "a.jpg", tmp_path / "a.png", tmp_path / "b.jpg"]
    for path, data in zip(paths, (drawn(1), drawn(1, kind="PNG"), drawn(2)), strict=True):
        path.write_bytes(data)
    return paths


def test_a_plan_names_the_impressions_the_pair_and_the_pictures_that_are_too_alike(candidates: list[Path]) -> None:
    plan = plan_experiment(candidates, [1.0, 0.9, 0.5], slope=1.0, ctr=0.05, lift=0.2)
    assert plan.impressions_per_variant == 8_158
    assert [(pair.first, pair.second) for pair in plan.alike] == [(0, 1)]
    assert plan.pair is not None
    assert (plan.pair.first, plan.pair.second, plan.advice) == (0, 2, "")


def test_a_plan_without_a_pair_says_what_to_do(candidates: list[Path]) -> None:
    def advice(paths: list[Path], scores: list[float | None] | None, proven: bool = True) -> str:
        plan = plan_experiment(paths, scores, 1.0, 0.05, 0.1, proven)
        assert plan.pair is None
        return plan.advice

    assert "make a candidate that looks different" in advice(candidates[:2], None)
    assert advice(candidates[1:], None) == "Test the two candidates against each other."
    assert "With --title and --niche" in advice(candidates, None)
    assert "fewer than two" in advice(candidates, [None, None, 1.0])
    assert advice(candidates, [None, None, None], proven=False).endswith("any two candidates that are not too alike.")
    assert "make a candidate that looks different" in advice(candidates[:2], [None, None], proven=False)
    # Only the first two pictures have scores, and these two pictures look the same.
    assert "looks different from the best one" in advice(candidates, [1.0, 0.9, None])


def test_a_candidate_that_is_not_a_picture_is_named(candidates: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    for name, sentence in (("text.jpg", "not a JPEG"), ("absent.jpg", "cannot be read")):
        with pytest.raises(LabError, match=sentence) as error:
            plan_experiment([candidates[0], tmp_path / name], None, 1.0, 0.05, 0.1)
        assert name in str(error.value)
    with pytest.raises(LabError, match="a plan needs 2 to 20 candidates"):
        plan_experiment(candidates[:1], None, 1.0, 0.05, 0.1)

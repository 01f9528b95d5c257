"""Tests of the calibration, which maps the gap of a pair to a win probability. The map has one fitted number, its
slope.

The gap of a pair is the winner's score minus the loser's score. A slope that is fitted to some pairs must be right for
other pairs. A wrong slope must have a large calibration error.
"""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.statistics.calibration import (
    LEAST_SLOPE,
    calibration_curve,
    error_if_calibrated,
    expected_calibration_error,
    fit_slope,
    too_close,
    too_close_share,
)


def planted(pairs: int, slope: float, seed: int, scale: float = 1.0) -> Float64s:
    """Draw random pairs, and return their gaps [pairs].

    Let d be the score of the first video minus the score of the second. The first video wins with the probability
    sigmoid(slope * d).
    """
    random = np.random.default_rng(seed)
    gaps = scale * random.standard_normal(pairs)
    won = random.random(pairs) < 1 / (1 + np.exp(-slope * gaps))
    return np.where(won, gaps, -gaps)


@pytest.mark.parametrize("slope", [0.2, 1.0, 6.0])
def test_a_slope_fitted_on_some_pairs_is_calibrated_on_others_with_the_same_share_too_close(slope: float) -> None:
    fitted = fit_slope(planted(2_000, slope, 0))
    held_out = planted(2_000, slope, 1)
    assert fitted == pytest.approx(slope, rel=0.35)
    assert expected_calibration_error(held_out, fitted) <= 0.05
    expected = too_close_share(planted(2_000, slope, 0), fitted)
    assert too_close_share(held_out, fitted) == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("wrong", [0.1, 10.0])
def test_a_wrong_slope_has_a_large_calibration_error(wrong: float) -> None:
    gaps = planted(2_000, 1.5, 2)
    assert expected_calibration_error(gaps, fit_slope(gaps)) <= 0.03
    assert expected_calibration_error(gaps, 1.5 * wrong) > 0.1


def test_the_slope_equals_that_of_a_logistic_regression_without_intercept_at_any_scale() -> None:
    for scale in (1e-3, 1.0, 1e3):
        gaps = planted(500, 1.0 / scale, 3, scale)
        both, labels = np.concatenate([gaps, -gaps])[:, None] / scale, np.repeat([1, 0], len(gaps))
        expected = LogisticRegression(fit_intercept=False, C=1e6, tol=1e-10).fit(both, labels).coef_[0, 0]
        assert fit_slope(gaps) * scale == pytest.approx(expected, rel=1e-3)


def test_scores_no_better_than_chance_get_the_least_slope() -> None:
    assert fit_slope(-np.abs(planted(100, 1.0, 4))) == LEAST_SLOPE
    assert fit_slope(np.zeros(10)) == LEAST_SLOPE
    assert fit_slope([0.3]) == fit_slope([]) == 1.0
    assert 0 < fit_slope([0.1, 0.2, 3.0]) < np.inf, "the slope stays finite when all gaps are positive"
    assert too_close_share(planted(100, 1.0, 4), LEAST_SLOPE) == 1.0


def test_the_curve_has_ten_bins_of_equal_size_and_is_symmetric() -> None:
    curve = calibration_curve(planted(1_000, 1.0, 5), 1.0)
    assert [point["pairs"] for point in curve] == [200] * 10
    predicted, won = ([point[name] for point in curve] for name in ("predicted", "won"))  # type: ignore[literal-required]
    assert predicted == sorted(predicted)
    np.testing.assert_allclose(np.add(predicted, predicted[::-1]), 1.0)
    np.testing.assert_allclose(np.add(won, won[::-1]), 1.0)


def test_equal_probabilities_share_a_bin() -> None:
    """Give all videos the same score, so that every win probability is one half.

    In each pair, one of the two videos wins, so these probabilities are right.
    """
    assert calibration_curve(np.zeros(50), 1.0) == [{"predicted": 0.5, "won": 0.5, "pairs": 100}]
    assert expected_calibration_error(np.zeros(50), 1.0) == 0.0
    assert expected_calibration_error(np.full(50, 1e6), 1.0) == pytest.approx(0.0, abs=1e-9)
    assert expected_calibration_error(np.full(50, -1e6), 1.0) == pytest.approx(1.0)


def test_without_gaps_the_curve_is_empty_and_the_figures_are_nan() -> None:
    assert calibration_curve([], 1.0) == []
    assert np.isnan(expected_calibration_error([], 1.0))
    assert np.isnan(too_close_share([], 1.0))


def test_a_pair_is_too_close_to_call_below_the_threshold_of_the_service() -> None:
    # The win probability is 59.5 %. It is rounded to 60 %, which is the threshold of "too close to call".
    edge = np.log(0.595 / 0.405)
    np.testing.assert_array_equal(too_close(np.array([-0.999, 0.999, 1.001, -1.001]) * edge, 1.0), [1, 1, 0, 0])


def drawn_by_utility(seed: int, videos: int = 120, pairs: int = 1_500) -> tuple[Float64s, Rows, Rows]:
    """Draw pairs of videos whose win probabilities are known, and return the gaps, the winners and the losers.

    The difference of two scores is the log odds of a win. The utility of a video is its score plus a random number from
    the Gumbel distribution. The video with the higher utility wins.
    """
    random = np.random.default_rng(seed)
    score = random.standard_normal(videos)
    utility = score + random.gumbel(size=videos)
    first, second = np.triu_indices(videos, 1)
    chosen = random.choice(len(first), pairs, replace=False)
    first, second = first[chosen], second[chosen]
    winners = np.where(utility[first] > utility[second], first, second)
    losers = first + second - winners
    return score[winners] - score[losers], winners, losers


def test_right_probabilities_have_the_error_that_chance_explains_and_wrong_ones_have_more() -> None:
    samples = [drawn_by_utility(seed) for seed in range(40)]
    errors = np.array([expected_calibration_error(gaps, 1.0) for gaps, _, _ in samples])
    expected = [error_if_calibrated(gaps, 1.0, winners, losers) for gaps, winners, losers in samples]
    means = np.array([by_chance.mean for by_chance in expected])
    assert errors.mean() == pytest.approx(means.mean(), rel=0.15)
    covered = np.mean([e.low <= error <= e.high for error, e in zip(errors, expected, strict=True)])
    assert covered >= 0.85
    gaps, winners, losers = samples[0]
    assert expected_calibration_error(gaps, 3.0) > error_if_calibrated(gaps, 3.0, winners, losers).high


def test_pairs_that_share_videos_have_a_larger_error_by_chance_than_independent_pairs() -> None:
    gaps, winners, losers = drawn_by_utility(0)
    alone = np.arange(len(gaps))
    independent = error_if_calibrated(gaps, 1.0, alone, alone)
    assert error_if_calibrated(gaps, 1.0, winners, losers).mean > 1.2 * independent.mean

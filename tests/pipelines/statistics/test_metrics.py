"""Tests that the AUC over pairs agrees with scikit-learn, and that the rank correlation agrees with SciPy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from thumblab_pipelines.statistics.metrics import (
    channel_correlations,
    correlation_within,
    numbered,
    pair_auc,
    rank_correlation,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 15), st.integers(1, 15), st.integers(0, 10_000))
def test_the_auc_over_all_pairs_of_two_groups_equals_that_of_scikit_learn(winners: int, losers: int, seed: int) -> None:
    # There are only six possible scores, so many scores are equal.
    scores = np.random.default_rng(seed).integers(0, 6, winners + losers).astype(float)
    labels = np.repeat([1, 0], [winners, losers])
    first, second = (side.ravel() for side in np.meshgrid(np.arange(winners), np.arange(winners, winners + losers)))
    assert pair_auc(scores, first, second) == pytest.approx(roc_auc_score(labels, scores))
    assert pair_auc(scores, second, first) == pytest.approx(1 - roc_auc_score(labels, scores))


def test_a_tie_counts_half() -> None:
    assert pair_auc(np.zeros(4), np.array([0, 1]), np.array([2, 3])) == 0.5
    assert pair_auc(np.array([1.0, 0.0, 0.0]), np.array([0, 1]), np.array([1, 2])) == 0.75
    assert np.isnan(pair_auc(np.zeros(4), np.array([], int), np.array([], int)))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 30), st.integers(0, 10_000))
def test_the_rank_correlation_equals_that_of_scipy(length: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 6, length), random.standard_normal(length)
    expected = spearmanr(first, second).statistic if len(set(first)) > 1 else 0.0
    assert rank_correlation(first, second) == pytest.approx(expected)


def test_a_correlation_within_groups_ignores_the_differences_between_groups() -> None:
    random = np.random.default_rng(0)
    group = np.repeat([0, 1], 60)
    first, second = (10.0 * group + random.standard_normal(120) for _ in range(2))
    correlation, low = correlation_within(first, second, group)
    assert rank_correlation(first, second) > 0.7
    assert abs(correlation) < 0.2 and low < 0
    # Within one group, the result is Spearman's correlation with the usual interval of n - 3 values.
    one, low = correlation_within(first, second, np.zeros(120, int))
    assert one == pytest.approx(rank_correlation(first, second))
    assert low == pytest.approx(np.tanh(np.arctanh(one) - 1.96 / np.sqrt(117)))


def test_a_channel_with_too_few_videos_of_known_truth_has_no_correlation() -> None:
    channel = np.repeat(["many", "few", "unknown"], [12, 9, 12])
    truth = np.arange(33.0)
    truth[21:] = np.nan
    correlations = channel_correlations(-np.arange(33.0), truth, channel, np.arange(33))
    assert correlations == {"many": pytest.approx(-1.0)}
    assert channel_correlations(-np.arange(33.0), truth, channel, np.arange(9)) == {}


def test_names_of_a_categorical_column_get_the_numbers_of_the_same_names_as_strings() -> None:
    names = pd.Series(np.array(["pear", "apple", "fig", "apple", "zoo"])[np.random.default_rng(0).integers(0, 5, 200)])
    # The categories are not sorted, and one of them does not occur in the chosen rows.
    column = pd.Series(pd.Categorical(names, ["zoo", "fig", "pear", "apple"]))
    for chosen in (names == names, names != "fig"):
        expected, of_strings = numbered(names[chosen])
        found, of_categories = numbered(column[chosen])
        np.testing.assert_array_equal(found, expected)
        assert of_categories == of_strings

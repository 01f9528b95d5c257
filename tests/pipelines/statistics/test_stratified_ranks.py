"""Tests of comparing two groups by ranks, where each value is ranked only within its stratum."""

import numpy as np
import pytest
from scipy.stats import kstest, mannwhitneyu

from thumblab_pipelines.statistics.stratified_ranks import permutation_p_value, stratum_ranks


def test_ranks_are_taken_within_each_stratum_and_equal_values_share_a_rank() -> None:
    ranks = stratum_ranks(np.array([3.0, 9.0, 3.0, 1.0, 5.0]), np.array([0, 1, 0, 0, 1]))
    assert ranks.tolist() == [2.5, 2.0, 2.5, 1.0, 1.0]


def test_in_one_stratum_the_p_value_is_that_of_mann_and_whitney() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(14)
    chosen = np.arange(14) < 5
    values[chosen] += 1.6
    exact = mannwhitneyu(values[chosen], values[~chosen], method="exact").pvalue
    # If a p-value is at most 0.02, `permutation_p_value` estimates it from random permutations.
    assert exact < 0.02
    stratum = np.zeros(14, np.intp)
    found = permutation_p_value(stratum_ranks(values, stratum), chosen, stratum, seed=0)
    assert found == pytest.approx(exact, rel=0.3)


def test_more_chosen_members_than_others_give_the_same_p_value() -> None:
    random = np.random.default_rng(1)
    values = random.standard_normal(30)
    stratum = np.repeat([0, 1], 15)
    chosen = np.arange(30) % 15 < 3
    values[chosen] += 1.5
    ranks = stratum_ranks(values, stratum)
    one, other = (permutation_p_value(ranks, group, stratum, seed=0) for group in (chosen, ~chosen))
    assert one < 0.02
    assert other == pytest.approx(one, rel=0.3)


def test_without_a_difference_p_values_are_uniform() -> None:
    random = np.random.default_rng(2)
    stratum = np.repeat(np.arange(6), 20)
    p_values = []
    for seed in range(300):
        ranks = stratum_ranks(random.standard_normal(120), stratum)
        chosen = np.zeros(120, bool)
        for first in range(0, 120, 20):
            chosen[first + random.choice(20, 1 + first // 40, replace=False)] = True
        p_values.append(permutation_p_value(ranks, chosen, stratum, seed, draws=999))
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_scores_that_do_not_vary_show_nothing() -> None:
    stratum = np.repeat([0, 1], 5)
    assert permutation_p_value(np.ones(10), np.arange(10) % 5 < 2, stratum, seed=0) == 1.0

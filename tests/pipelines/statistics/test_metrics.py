"""Tests of the metrics.

They agree with scikit-learn and SciPy, and intervals cover the truth as often as they promise.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from thumblab_pipelines.statistics.metrics import (
    channel_correlations,
    interval,
    interval_over_channels,
    interval_over_videos,
    pair_auc,
    pair_wins,
    rank_correlation,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 15), st.integers(1, 15), st.integers(0, 10_000))
def test_the_auc_over_all_pairs_of_two_groups_equals_that_of_scikit_learn(winners: int, losers: int, seed: int) -> None:
    # Six possible scores give many ties.
    scores = np.random.default_rng(seed).integers(0, 6, winners + losers).astype(float)
    labels = np.repeat([1, 0], [winners, losers])
    first, second = (side.ravel() for side in np.meshgrid(np.arange(winners), np.arange(winners, winners + losers)))
    assert pair_auc(scores, first, second) == pytest.approx(roc_auc_score(labels, scores))
    assert pair_auc(scores, second, first) == pytest.approx(1 - roc_auc_score(labels, scores))


def test_a_tie_counts_half() -> None:
    assert pair_auc(np.zeros(4), np.array([0, 1]), np.array([2, 3])) == 0.5
    assert pair_auc(np.array([1.0, 0.0, 0.0]), np.array([0, 1]), np.array([1, 2])) == 0.75
    assert np.isnan(pair_auc(np.zeros(4), np.array([], int), np.array([], int)))


def test_the_interval_over_channels_covers_the_true_mean_in_about_95_percent_of_samples() -> None:
    random = np.random.default_rng(5)
    inside = 0
    for _ in range(60):
        levels = random.normal(0.65, 0.05, 25)  # Each channel has its own mean.
        channel = np.repeat(np.arange(25), 30)
        wins = (random.random(len(channel)) < levels[channel]).astype(float)
        low, high = interval_over_channels(wins, channel)
        inside += low <= 0.65 <= high
        assert low <= wins.mean() <= high
    assert 51 <= inside <= 60  # 57 are expected. Drawing pairs independently would give fewer.


def test_pairs_of_one_channel_are_drawn_together() -> None:
    random = np.random.default_rng(0)
    channel = np.repeat(np.arange(6), 500)
    wins = np.repeat([1.0, 1.0, 1.0, 0.0, 0.0, 1.0], 500)
    low, high = interval_over_channels(wins, channel)
    assert high - low > 0.4
    shuffled = random.permutation(wins)
    assert np.subtract(*interval_over_channels(shuffled, np.arange(3_000))[::-1]) < 0.05


def test_the_interval_within_one_channel_draws_its_videos_not_its_pairs() -> None:
    """The 780 pairs of 40 videos carry no more information than 40 videos."""
    random = np.random.default_rng(3)
    first, second = np.triu_indices(40, 1)
    inside, widths = 0, []
    # This is the AUC of a score if the noise of the truth is as strong as the score.
    expected = 0.5 + np.arcsin(1 / np.sqrt(2)) / np.pi
    for _ in range(60):
        score = random.standard_normal(40)
        truth = score + random.standard_normal(40)
        ahead = truth[first] > truth[second]
        winners, losers = np.where(ahead, first, second), np.where(ahead, second, first)
        wins = pair_wins(score, winners, losers)
        low, high = interval_over_videos(wins, winners, losers)
        inside += low <= expected <= high
        widths.append(high - low)
        assert interval(wins, winners, losers, np.zeros(len(wins))) == (low, high)
    assert 51 <= inside <= 60
    as_if_independent = 2 * 1.96 * np.sqrt(0.75 * 0.25 / len(first))
    assert np.mean(widths) > 2 * as_if_independent


def test_a_single_pair_has_an_interval_of_zero_width() -> None:
    assert interval(np.array([1.0]), np.array([3]), np.array([9]), np.array(["c"])) == (1.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 30), st.integers(0, 10_000))
def test_the_rank_correlation_equals_that_of_scipy(length: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 6, length), random.standard_normal(length)
    expected = spearmanr(first, second).statistic if len(set(first)) > 1 else 0.0
    assert rank_correlation(first, second) == pytest.approx(expected)


def test_a_channel_with_too_few_videos_of_known_truth_has_no_correlation() -> None:
    channel = np.repeat(["many", "few", "unknown"], [12, 9, 12])
    truth = np.arange(33.0)
    truth[21:] = np.nan
    correlations = channel_correlations(-np.arange(33.0), truth, channel, np.arange(33))
    assert correlations == {"many": pytest.approx(-1.0)}
    assert channel_correlations(-np.arange(33.0), truth, channel, np.arange(9)) == {}

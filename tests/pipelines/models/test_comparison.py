"""Tests of the comparison of two models on the same pairs.

The comparison returns the challenger's AUC minus the champion's AUC, and an interval of this difference. The challenger
passes if the difference is 0 or more. The challenger also passes if the lower end of the interval is above -0.01.
"""

import numpy as np
import pandas as pd
import pytest

from thumblab_pipelines.models.comparison import LEAST_COMPARED_PAIRS, Comparison, compare_models


def planted(champion: float, challenger: float, channels: int = 40, pairs: int = 200, seed: int = 0) -> Comparison:
    """Make random scores for two models, and return the comparison of the models.

    `champion` and `challenger` are the probabilities with which the two models order a pair correctly. These
    probabilities are the expected AUCs of the models.
    """
    random = np.random.default_rng(seed)
    n = channels * pairs
    rows = np.arange(2 * n)
    winner, loser = rows[:n], rows[n:]

    def scores(right: float) -> np.ndarray:
        values = np.zeros(2 * n)
        values[winner] = random.random(n) < right
        values[loser] = 0.5
        return values

    table = pd.DataFrame(
        {"winner": winner, "loser": loser, "channel_id": np.repeat(np.arange(channels).astype(str), pairs)}
    )
    comparison = compare_models(scores(champion), scores(challenger), table)
    assert comparison is not None
    return comparison


def test_a_comparison_finds_models_better_worse_and_the_same() -> None:
    better, worse, same = planted(0.65, 0.70), planted(0.70, 0.65), planted(0.65, 0.65)
    assert better.not_worse
    assert better.low > 0
    assert not worse.not_worse
    assert worse.high < 0
    assert same.low < 0 < same.high
    assert (better.pairs, better.channels) == (8_000, 40)
    assert "8,000 held-out pairs of 40 channels" in better.explanation


def test_a_surely_small_loss_is_tolerated_with_many_pairs_but_not_with_few() -> None:
    many_pairs = [planted(0.65, 0.648, channels=400, pairs=400, seed=seed) for seed in range(20)]
    assert sum(comparison.not_worse for comparison in many_pairs) >= 18
    few_pairs = [planted(0.65, 0.60, channels=8, pairs=40, seed=seed) for seed in range(40)]
    assert sum(comparison.not_worse for comparison in few_pairs) <= 8


def test_models_that_are_surely_worse_are_hardly_ever_promoted() -> None:
    assert sum(planted(0.68, 0.66, seed=seed).not_worse for seed in range(40)) <= 2


def test_the_bounds_have_their_nominal_coverage() -> None:
    comparisons = [planted(0.65, 0.66, channels=25, pairs=40, seed=seed) for seed in range(100)]
    # The true difference is 0.01. `low` and `high` are one-sided 95 % bounds of this difference. In about 95 of the 100
    # comparisons, `low` should therefore be at most 0.01. In about 95 comparisons, `high` should be at least 0.01.
    assert sum(comparison.low <= 0.01 for comparison in comparisons) >= 90
    assert sum(comparison.high >= 0.01 for comparison in comparisons) >= 90


def test_the_comparison_is_paired_so_pairs_hard_for_both_models_add_no_variance() -> None:
    random = np.random.default_rng(1)
    winner, loser = np.arange(4_000), np.arange(4_000, 8_000)
    table = pd.DataFrame({"winner": winner, "loser": loser, "channel_id": np.repeat(np.arange(40).astype(str), 100)})
    scores = random.standard_normal(8_000)
    comparison = compare_models(scores, scores + 1e-9 * random.standard_normal(8_000), table)
    assert comparison is not None
    assert (comparison.difference, comparison.low, comparison.high) == pytest.approx((0, 0, 0), abs=5e-3)


def test_with_one_channel_the_interval_depends_on_its_videos() -> None:
    random = np.random.default_rng(0)
    winner, loser = np.arange(100), np.arange(100, 200)
    table = pd.DataFrame({"winner": winner, "loser": loser, "channel_id": "c"})
    comparison = compare_models(*random.standard_normal((2, 200)), table)
    assert comparison is not None
    assert comparison.low < comparison.difference < comparison.high
    # The champion orders all 100 pairs correctly, and the challenger orders 99 pairs correctly. A loss of 0.01 in AUC
    # would be tolerated. But with so few pairs, the true loss may be larger than the tolerated loss.
    champion = np.where(np.arange(200) < 100, 1.0, 0.0)
    challenger = champion.copy()
    challenger[0] = -1.0
    comparison = compare_models(champion, challenger, table)
    assert comparison is not None
    assert comparison.difference == pytest.approx(-0.01)
    assert not comparison.not_worse


def test_too_few_pairs_give_no_comparison() -> None:
    table = pd.DataFrame({"winner": [0], "loser": [1], "channel_id": ["c"]})
    assert compare_models(np.arange(2.0), np.arange(2.0), pd.concat([table] * (LEAST_COMPARED_PAIRS - 1))) is None
    assert compare_models(np.arange(2.0), np.arange(2.0), pd.concat([table] * LEAST_COMPARED_PAIRS)) is not None

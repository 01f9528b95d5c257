"""Promises of the local trend: it knows what was known then and there, and nothing of the video itself."""

import numpy as np
import pytest

from thumblab_pipelines.statistics import trend
from thumblab_pipelines.statistics.trend import local_trend


def test_it_is_the_mean_of_the_channels_other_known_videos_near_ones_first() -> None:
    channel = np.array(["a", "b", "a", "a", "b"])
    days = np.array([0.0, 0.0, 30.0, 60.0, 10.0])
    target = np.array([1.0, 100.0, 2.0, 4.0, 200.0])
    known = np.array([True, True, True, False, False])
    near, far = np.exp(-1), np.exp(-2)
    expected = [2.0, 100.0, 1.0, (2.0 * near + 1.0 * far) / (near + far), 100.0]
    np.testing.assert_allclose(local_trend(channel, days, target, known), expected)


def test_a_row_of_a_channel_of_which_nothing_is_known_has_none() -> None:
    trend_of = local_trend(["a", "a", "b"], [0, 1, 2], [5.0, 6.0, 7.0], [False, False, True])
    np.testing.assert_array_equal(trend_of, [0.0, 0.0, 7.0])  # the third is alone: it has nothing to teach


def test_it_looks_at_no_target_that_is_not_known_and_at_no_row_of_itself() -> None:
    random = np.random.default_rng(0)
    channel, days = random.integers(0, 5, 200), random.uniform(0, 900, 200)
    target, known = random.standard_normal(200), random.random(200) < 0.7
    before = local_trend(channel, days, target, known)
    np.testing.assert_array_equal(local_trend(channel, days, np.where(known, target, 1e9), known), before)
    row = int(np.flatnonzero(known)[0])
    turned = target.copy()
    turned[row] += 1e6
    after = local_trend(channel, days, turned, known)
    assert after[row] == before[row]
    assert (
        np.abs(
            after[(channel == channel[row]) & (np.arange(200) != row)]
            - before[(channel == channel[row]) & (np.arange(200) != row)]
        ).min()
        > 0
    )


def test_a_break_of_years_leaves_the_nearest_videos_in_charge() -> None:
    found = local_trend(["a"] * 3, [0.0, 40_000.0, 80_000.0], [1.0, 2.0, 3.0], [True, True, False])
    np.testing.assert_allclose(found, [2.0, 1.0, 2.0])


def test_a_channel_too_large_for_one_block_has_the_same_trend(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    rows = ["a"] * 300, random.uniform(0, 400, 300), random.standard_normal(300), random.random(300) < 0.5
    whole = local_trend(*rows)
    monkeypatch.setattr(trend, "_CELLS", 1_000)
    np.testing.assert_allclose(local_trend(*rows), whole)


def test_nothing_has_no_trend() -> None:
    assert local_trend([], [], [], []).shape == (0,)

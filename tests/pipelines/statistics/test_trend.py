"""Tests of the local trend of a channel.

The trend at a video is a weighted mean of the targets of the channel's other known videos. Videos that were published
closer in time weigh more. The target of a video is its age-corrected log views. A video is known if the trend may use
its target.
"""

import numpy as np
import pandas as pd
import pytest

from thumblab_pipelines.statistics import trend
from thumblab_pipelines.statistics.trend import local_trend, publication_days


def test_the_trend_is_the_mean_of_the_other_known_videos_of_the_channel_weighted_by_nearness() -> None:
    channel = np.array(["a", "b", "a", "a", "b"])
    days = np.array([0.0, 0.0, 30.0, 60.0, 10.0])
    target = np.array([1.0, 100.0, 2.0, 4.0, 200.0])
    known = np.array([True, True, True, False, False])
    near, far = np.exp(-1), np.exp(-2)
    expected = [2.0, 100.0, 1.0, (2.0 * near + 1.0 * far) / (near + far), 100.0]
    np.testing.assert_allclose(local_trend(channel, days, target, known), expected)


def test_a_channel_without_known_rows_has_a_trend_of_zero() -> None:
    trends = local_trend(["a", "a", "b"], [0, 1, 2], [5.0, 6.0, 7.0], [False, False, True])
    # The channel b has one known video. Its target is the trend.
    np.testing.assert_array_equal(trends, [0.0, 0.0, 7.0])


def test_the_trend_reads_neither_unknown_targets_nor_the_target_of_the_row_itself() -> None:
    random = np.random.default_rng(0)
    channel, days = random.integers(0, 5, 200), random.uniform(0, 900, 200)
    target, known = random.standard_normal(200), random.random(200) < 0.7
    before = local_trend(channel, days, target, known)
    np.testing.assert_array_equal(local_trend(channel, days, np.where(known, target, 1e9), known), before)
    row = int(np.flatnonzero(known)[0])
    changed = target.copy()
    changed[row] += 1e6
    after = local_trend(channel, days, changed, known)
    assert after[row] == before[row]
    others = (channel == channel[row]) & (np.arange(200) != row)
    assert np.abs(after[others] - before[others]).min() > 0


def test_after_a_break_of_years_the_nearest_videos_decide() -> None:
    trends = local_trend(["a"] * 3, [0.0, 40_000.0, 80_000.0], [1.0, 2.0, 3.0], [True, True, False])
    np.testing.assert_allclose(trends, [2.0, 1.0, 2.0])


def test_a_channel_too_large_for_one_block_has_the_same_trend(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    rows = ["a"] * 300, random.uniform(0, 400, 300), random.standard_normal(300), random.random(300) < 0.5
    whole = local_trend(*rows)
    monkeypatch.setattr(trend, "_CELLS", 1_000)
    np.testing.assert_allclose(local_trend(*rows), whole)


def test_the_trend_of_no_videos_is_empty() -> None:
    assert local_trend([], [], [], []).shape == (0,)


def test_publication_days_are_days_since_1970_with_fractions() -> None:
    moments = ["1970-01-02T12:00:00Z", "2026-01-01T00:00:00+00:00"]
    np.testing.assert_array_equal(publication_days(pd.DataFrame({"published_at": moments})), [1.5, 20_454.0])

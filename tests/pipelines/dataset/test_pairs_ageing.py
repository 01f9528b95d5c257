"""Tests of the age correction and of outliers.

A curve of how views grow with age is fitted to videos that were counted at several ages. If there are too few such
videos, a typical curve is used.

The target of a video is the natural logarithm of its age-corrected views. An outlier is a training video whose target
is far from the other targets of its channel.
"""

import numpy as np
import pandas as pd
import pytest

from thumblab_pipelines.dataset.ageing import LEAST_HISTORIES, TYPICAL_HALF_AGE, Growth, age_exponent, fit_growth
from thumblab_pipelines.dataset.outliers import training_outliers


def grown(half_age: float, videos: int = 200, noise: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Return videos whose views grow in proportion to age / (age + half_age), apart from noise.

    At the age `half_age`, in hours, a video therefore has half of its final views. The final views of the videos are
    very different. Each video was counted at some of the ages 24, 72 and 168 hours, and once later.
    """
    random = np.random.default_rng(seed)
    level = np.exp(random.normal(9, 2, videos))
    latest_age = random.uniform(200, 3_000, videos)

    def views(age: object) -> np.ndarray:
        return level * np.exp(
            Growth(half_age).log_share(np.broadcast_to(age, videos)) + noise * random.standard_normal(videos)
        )

    corpus = pd.DataFrame({"channel_id": "c", "age_hours": latest_age, "views": views(latest_age)})
    for age in (24, 72, 168):
        corpus[f"views_at_{age}"] = np.where(random.random(videos) < 0.7, views(age), np.nan)
    corpus["views_at_720"] = np.nan
    return corpus


@pytest.mark.parametrize("half_age", [12.0, 48.0, 300.0])
def test_the_half_age_is_recovered_from_views_over_time_at_any_level(half_age: float) -> None:
    growth = fit_growth(grown(half_age))
    assert growth.half_age == pytest.approx(half_age, rel=0.15)
    assert growth.histories > 150


def test_with_too_few_views_over_time_the_half_age_is_the_typical_one() -> None:
    counted_once = grown(300.0).assign(**{f"views_at_{age}": np.nan for age in (24, 72, 168, 720)})
    few = grown(300.0, videos=LEAST_HISTORIES // 2)
    for corpus in (counted_once, few, counted_once[["channel_id", "age_hours", "views"]], pd.DataFrame()):
        assert fit_growth(corpus) == Growth(TYPICAL_HALF_AGE, 0)


def test_the_target_is_views_per_hour_of_young_videos_and_lifetime_views_of_old_ones() -> None:
    young = pd.DataFrame({"views": [100.0, 200.0], "age_hours": [0.01, 0.02]})
    old = pd.DataFrame({"views": [100.0, 100.0], "age_hours": [1e6, 2e6]})
    assert np.ptp(Growth().target(young)) < 1e-3
    np.testing.assert_allclose(np.exp(Growth().target(old)), 100, rtol=1e-4)


@pytest.mark.parametrize("b", [0.0, 0.3, 0.8, 1.0])
def test_the_age_exponent_is_recovered_at_any_level_of_the_channel(b: float) -> None:
    random = np.random.default_rng(1)
    age = random.uniform(24, 3_000, 900)
    channel = np.repeat(np.arange(9), 100)
    logs = 2.0 * channel + b * np.log(age) + 0.2 * random.standard_normal(900)
    corpus = pd.DataFrame({"channel_id": channel.astype(str), "age_hours": age, "views": np.exp(logs)})
    assert age_exponent(corpus) == pytest.approx(b, abs=0.03)


def test_the_age_exponent_is_clipped_to_between_0_and_1() -> None:
    age = np.geomspace(10, 1_000, 50)
    for power, expected in ((2.0, 1.0), (-1.0, 0.0)):
        corpus = pd.DataFrame({"channel_id": "c", "age_hours": age, "views": age**power})
        assert age_exponent(corpus) == expected
    assert age_exponent(pd.DataFrame({"channel_id": "c", "age_hours": [5.0, 5.0], "views": [1.0, 9.0]})) == 0
    assert age_exponent(pd.DataFrame()) == 0


def test_outliers_are_found_in_the_training_part_only() -> None:
    target = np.random.default_rng(0).normal(10, 1, 40)
    # The target of video 3 is so extreme that the plain standard deviation of the 20 training videos becomes large. If
    # the rule for outliers used the plain standard deviation, it would not find video 4.
    target[[3, 25]] = 20.0
    target[4] = 15.0
    corpus = pd.DataFrame({"channel_id": "c", "target": target, "part": ["train"] * 20 + ["test"] * 20})
    assert np.flatnonzero(training_outliers(corpus)).tolist() == [3, 4]


def test_a_held_out_video_does_not_change_which_training_videos_are_outliers() -> None:
    target = np.random.default_rng(1).normal(10, 1, 40)
    target[3] = 14.5
    corpus = pd.DataFrame({"channel_id": "c", "target": target, "part": ["train"] * 20 + ["test"] * 20})
    changed = corpus.assign(target=np.where(corpus.part == "test", corpus.target * 100, corpus.target))
    np.testing.assert_array_equal(training_outliers(corpus), training_outliers(changed))


def test_a_channel_with_few_or_equal_videos_has_no_outliers() -> None:
    target = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.1, 9.9, 99.0]
    assert not training_outliers(pd.DataFrame({"channel_id": "c", "target": target, "part": "train"})).any()
    equal = pd.DataFrame({"channel_id": "c", "target": [10.0] * 11 + [11.0], "part": "train"})
    assert not training_outliers(equal).any()

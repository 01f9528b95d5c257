"""Promises of the correction for age: it is learnt from histories, and where there are none it is the typical one."""

import numpy as np
import pandas as pd
import pytest

from thumblab_pipelines.dataset.ageing import LEAST_HISTORIES, TYPICAL_HALF_AGE, Growth, age_exponent, fit_growth
from thumblab_pipelines.dataset.outliers import training_outliers


def grown(half_age: float, videos: int = 200, noise: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Videos of very different levels that grow by the law, each seen at some of the fixed ages and at last."""
    random = np.random.default_rng(seed)
    level = np.exp(random.normal(9, 2, videos))
    at_last = random.uniform(200, 3_000, videos)

    def views(age: object) -> np.ndarray:
        return level * np.exp(
            Growth(half_age).log_share(np.broadcast_to(age, videos)) + noise * random.standard_normal(videos)
        )

    corpus = pd.DataFrame({"channel_id": "c", "age_hours": at_last, "views": views(at_last)})
    for age in (24, 72, 168):
        corpus[f"views_at_{age}"] = np.where(random.random(videos) < 0.7, views(age), np.nan)
    corpus["views_at_720"] = np.nan
    return corpus


@pytest.mark.parametrize("half_age", [12.0, 48.0, 300.0])
def test_the_half_age_is_recovered_whatever_the_videos_get(half_age: float) -> None:
    found = fit_growth(grown(half_age))
    assert found.half_age == pytest.approx(half_age, rel=0.15)
    assert found.histories > 150


def test_without_histories_growth_is_the_typical_one() -> None:
    lonely = grown(300.0).assign(**{f"views_at_{age}": np.nan for age in (24, 72, 168, 720)})
    few = grown(300.0, videos=LEAST_HISTORIES // 2)
    for corpus in (lonely, few, lonely[["channel_id", "age_hours", "views"]], pd.DataFrame()):
        assert fit_growth(corpus) == Growth(TYPICAL_HALF_AGE, 0)


def test_the_correction_is_views_per_hour_for_the_young_and_lifetime_views_for_the_old() -> None:
    young = pd.DataFrame({"views": [100.0, 200.0], "age_hours": [0.01, 0.02]})
    old = pd.DataFrame({"views": [100.0, 100.0], "age_hours": [1e6, 2e6]})
    assert np.ptp(Growth().target(young)) < 1e-3
    np.testing.assert_allclose(np.exp(Growth().target(old)), 100, rtol=1e-4)


@pytest.mark.parametrize("b", [0.0, 0.3, 0.8, 1.0])
def test_the_age_exponent_is_recovered_whatever_the_level_of_the_channel(b: float) -> None:
    random = np.random.default_rng(1)
    age = random.uniform(24, 3_000, 900)
    channel = np.repeat(np.arange(9), 100)
    logs = 2.0 * channel + b * np.log(age) + 0.2 * random.standard_normal(900)
    corpus = pd.DataFrame({"channel_id": channel.astype(str), "age_hours": age, "views": np.exp(logs)})
    assert age_exponent(corpus) == pytest.approx(b, abs=0.03)


def test_the_age_exponent_stays_between_views_and_views_per_hour() -> None:
    age = np.geomspace(10, 1_000, 50)
    for power, expected in ((2.0, 1.0), (-1.0, 0.0)):
        corpus = pd.DataFrame({"channel_id": "c", "age_hours": age, "views": age**power})
        assert age_exponent(corpus) == expected
    assert age_exponent(pd.DataFrame({"channel_id": "c", "age_hours": [5.0, 5.0], "views": [1.0, 9.0]})) == 0
    assert age_exponent(pd.DataFrame()) == 0


def test_an_outlier_is_left_out_of_what_is_learnt_and_never_of_what_is_judged() -> None:
    target = np.random.default_rng(0).normal(10, 1, 40)
    target[[3, 25]] = 20.0  # so far off that in a plain deviation of 20 videos it hides the next one
    target[4] = 15.0
    corpus = pd.DataFrame({"channel_id": "c", "target": target, "part": ["train"] * 20 + ["test"] * 20})
    assert np.flatnonzero(training_outliers(corpus)).tolist() == [3, 4]


def test_a_held_out_video_does_not_change_which_training_videos_are_outliers() -> None:
    target = np.random.default_rng(1).normal(10, 1, 40)
    target[3] = 14.5
    corpus = pd.DataFrame({"channel_id": "c", "target": target, "part": ["train"] * 20 + ["test"] * 20})
    wild = corpus.assign(target=np.where(corpus.part == "test", corpus.target * 100, corpus.target))
    np.testing.assert_array_equal(training_outliers(corpus), training_outliers(wild))


def test_of_few_videos_of_a_channel_none_is_an_outlier() -> None:
    target = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.1, 9.9, 99.0]
    assert not training_outliers(pd.DataFrame({"channel_id": "c", "target": target, "part": "train"})).any()
    same = pd.DataFrame({"channel_id": "c", "target": [10.0] * 11 + [11.0], "part": "train"})
    assert not training_outliers(same).any()

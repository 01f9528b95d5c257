"""Promises of the training pairs: what is compared is comparable, and nothing leaks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from thumblab_core.niches import NICHES
from thumblab_core.releases import ReleaseStore
from thumblab_pipelines.steps import pairs
from thumblab_pipelines.steps.dataset import Dataset, load_dataset
from thumblab_pipelines.steps.lab import Lab

Plant = Callable[..., Dataset]


def corpus_of(sizes: list[int], seed: int = 0, spread_days: float = 120) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    n = sum(sizes)
    frame = pd.DataFrame(
        {
            "video_id": [f"v{i}" for i in range(n)],
            "channel_id": np.repeat([f"c{i}" for i in range(len(sizes))], sizes),
            "published_at": pd.Timestamp("2026-01-01", tz="UTC")
            + pd.to_timedelta(random.uniform(0, spread_days, n), unit="D"),
            "target": random.standard_normal(n).round(1),
            "sha256": [f"{i:064d}" for i in range(n)],
        }
    ).sort_values("published_at", ignore_index=True)
    frame["part"] = pairs.split_by_time(frame)
    frame["fold"] = pairs.split_by_channel(frame)
    return frame


sizes_of = st.lists(st.integers(1, 25), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(sizes_of, st.integers(0, 1_000), st.sampled_from([1.0, 30.0]))
def test_a_pair_is_of_one_channel_near_in_time_and_the_winner_won(sizes: list[int], seed: int, days: float) -> None:
    corpus = corpus_of(sizes, seed)
    found = pairs.pair_up(corpus, days)
    winner, loser = corpus.loc[found.winner].reset_index(), corpus.loc[found.loser].reset_index()
    assert (winner.channel_id == loser.channel_id).all()
    assert (winner.channel_id == found.channel_id).all()
    assert ((winner.published_at - loser.published_at).abs() <= pd.Timedelta(days=days, seconds=1)).all()
    assert (winner.target > loser.target).all()
    np.testing.assert_allclose(found.margin.astype(float), 1 - np.exp(loser.target - winner.target), atol=1e-12)
    own = found.part != "mixed"
    assert (winner.part[own] == found.part[own]).all()
    assert (loser.part[own] == found.part[own]).all()
    assert (winner.part[~own] != loser.part[~own]).all()
    couples = {frozenset(couple) for couple in zip(found.winner, found.loser, strict=True)}
    assert len(couples) == len(found)


def test_every_pair_that_is_near_and_unequal_is_there_when_there_are_few() -> None:
    corpus = corpus_of([8])
    expected = {
        (a, b)
        for a in range(8)
        for b in range(8)
        if corpus.target[a] > corpus.target[b]
        and abs((corpus.published_at[a] - corpus.published_at[b]).total_seconds()) <= 30 * 86_400
    }
    found = pairs.pair_up(corpus, 30)
    assert set(zip(found.winner, found.loser, strict=True)) == expected


def test_a_channel_with_very_many_pairs_gives_a_sample_and_always_the_same() -> None:
    corpus = corpus_of([120], spread_days=20)
    found = pairs.pair_up(corpus, 30)
    assert (found.part == pairs.TRAIN).sum() == 120 * pairs._TRAIN_PAIRS_PER_VIDEO
    pd.testing.assert_frame_equal(found, pairs.pair_up(corpus, 30))


@settings(max_examples=30, deadline=None)
@given(sizes_of, st.integers(0, 1_000))
def test_each_channel_is_split_in_order_of_time(sizes: list[int], seed: int) -> None:
    corpus = corpus_of(sizes, seed)
    rank = {pairs.TRAIN: 0, pairs.VALIDATION: 1, pairs.TEST: 2}
    for _, videos in corpus.groupby("channel_id"):
        assert videos.part.map(rank).is_monotonic_increasing
    large = corpus_of([100])
    assert large.part.value_counts().to_dict() == {"train": 68, "validation": 12, "test": 20}


@settings(max_examples=30, deadline=None)
@given(sizes_of, st.integers(0, 1_000))
def test_a_channel_is_in_one_fold(sizes: list[int], seed: int) -> None:
    corpus = corpus_of(sizes, seed)
    assert (corpus.groupby("channel_id").fold.nunique() == 1).all()
    assert set(corpus.fold) <= {0, 1, 2}


def test_folds_are_about_equally_large() -> None:
    assert corpus_of([10] * 9).fold.value_counts().to_dict() == {0: 30, 1: 30, 2: 30}


@pytest.mark.parametrize("b", [0.0, 0.3, 0.8, 1.0])
def test_the_age_exponent_is_recovered_whatever_the_level_of_the_channel(b: float) -> None:
    random = np.random.default_rng(1)
    age = random.uniform(24, 3_000, 900)
    channel = np.repeat(np.arange(9), 100)
    logs = 2.0 * channel + b * np.log(age) + 0.2 * random.standard_normal(900)
    corpus = pd.DataFrame({"channel_id": channel.astype(str), "age_hours": age, "views": np.exp(logs)})
    assert pairs.age_exponent(corpus) == pytest.approx(b, abs=0.03)


def test_the_age_exponent_stays_between_views_and_views_per_hour() -> None:
    age = np.geomspace(10, 1_000, 50)
    for power, expected in ((2.0, 1.0), (-1.0, 0.0)):
        corpus = pd.DataFrame({"channel_id": "c", "age_hours": age, "views": age**power})
        assert pairs.age_exponent(corpus) == expected
    assert pairs.age_exponent(pd.DataFrame({"channel_id": "c", "age_hours": [5.0, 5.0], "views": [1.0, 9.0]})) == 0
    assert pairs.age_exponent(pd.DataFrame()) == 0


def judged(plant: Plant, tmp_path: Path, change: Callable[[pd.DataFrame, pd.DataFrame], None]) -> dict[str, bool]:
    data = plant(channels=4, videos=30)
    corpus, found = data.videos.copy(), data.pairs.copy()
    change(corpus, found)
    release = ReleaseStore(tmp_path).publish("pairs", "all", pairs._writer(corpus, found), {})
    return {verdict.name: verdict.passed for verdict in pairs.judge_pairs(release)}


def test_honest_pairs_pass_every_check(plant: Plant, tmp_path: Path) -> None:
    assert set(judged(plant, tmp_path, lambda *_: None).values()) == {True}


def leak_video(corpus: pd.DataFrame, found: pd.DataFrame) -> None:
    corpus.loc[1, "video_id"] = corpus.video_id[0]


def leak_part(corpus: pd.DataFrame, found: pd.DataFrame) -> None:
    found.loc[found.index[found.part == "mixed"][0], "part"] = pairs.TRAIN


def leak_picture(corpus: pd.DataFrame, found: pd.DataFrame) -> None:
    first, last = corpus.index[corpus.part == pairs.TRAIN][0], corpus.index[corpus.part == pairs.TEST][-1]
    corpus.loc[last, "sha256"] = corpus.sha256[first]


def strangers(corpus: pd.DataFrame, found: pd.DataFrame) -> None:
    row = found.index[found.part == pairs.TRAIN][0]
    other = corpus.index[(corpus.part == pairs.TRAIN) & (corpus.channel_id != found.channel_id[row])][0]
    found.loc[row, "loser"] = other


def split_channel(corpus: pd.DataFrame, found: pd.DataFrame) -> None:
    corpus.loc[0, "fold"] = (corpus.fold[0] + 1) % 3


def no_test(corpus: pd.DataFrame, found: pd.DataFrame) -> None:
    found.loc[found.part == pairs.TEST, "part"] = "mixed"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (leak_video, "no_leak_of_videos"),
        (leak_part, "no_leak_of_videos"),
        (leak_picture, "no_leak_of_pictures"),
        (strangers, "same_channel"),
        (split_channel, "whole_channels"),
        (no_test, "enough"),
    ],
)
def test_each_planted_leak_is_found_by_its_check(
    plant: Plant, tmp_path: Path, change: Callable[[pd.DataFrame, pd.DataFrame], None], check: str
) -> None:
    assert not judged(plant, tmp_path, change)[check]


def rows_for_exclusion(**columns: list[Any]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    usual = {
        "video_id": [f"v{i}" for i in range(count)],
        "sha256": [f"{i:064d}" for i in range(count)],
        "encoded": [True] * count,
        "duration_s": [600.0] * count,
        "views": [5_000] * count,
        "format": ["video"] * count,
        "aspect_ratio": [16 / 9] * count,
        "may_train": [False] * count,
        "outlier": [False] * count,
    }
    return pd.DataFrame({**usual, **columns})


def test_what_must_not_be_learnt_from_is_left_out_and_counted() -> None:
    unknown = None
    corpus = rows_for_exclusion(
        duration_s=[600, 180, 180, 60, 3_600, 59, 3_601, unknown, 100, 600, 600, 600, 600, 600],
        aspect_ratio=[unknown, unknown, 16 / 9, 16 / 9, unknown, 16 / 9, 16 / 9, unknown, 9 / 16, *[16 / 9] * 5],
        format=["video"] * 8 + ["short", "live"] + ["video"] * 4,
        views=[5_000] * 10 + [999, 5_000, 5_000, 5_000],
        outlier=[False] * 11 + [True, False, False],
        sha256=["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", None, "n"],
        encoded=[True] * 13 + [False],
    )
    kept, excluded = pairs._exclude(corpus, {}, only_opted_in=False)
    assert kept.video_id.tolist() == ["v0", "v2", "v3", "v4"]
    assert {reason: n for reason, n in excluded.items() if n} == {
        "no picture": 1,
        "not encoded": 1,
        "a Short": 1,
        "live or of unknown length": 2,
        "up to 180 s and of unknown shape (may be a Short)": 1,
        "under 60 s": 1,
        "over 3600 s": 1,
        "under 1000 views": 1,
        "an outlier of its channel": 1,
    }


def test_the_stricter_choice_leaves_out_who_did_not_opt_in() -> None:
    corpus = rows_for_exclusion(may_train=[True, False, True])
    kept, excluded = pairs._exclude(corpus, {}, only_opted_in=True)
    assert kept.video_id.tolist() == ["v0", "v2"]
    assert excluded["not opted in to training"] == 1


def test_of_near_duplicates_the_first_to_be_published_stays() -> None:
    corpus = rows_for_exclusion(views=[5_000] * 4)
    near = {"v0": ["v2"], "v2": ["v0", "v3"], "v3": ["v2"]}
    kept, excluded = pairs._exclude(corpus, near, only_opted_in=False)
    assert kept.video_id.tolist() == ["v0", "v1", "v3"]
    assert excluded["near-duplicate picture"] == 1


def test_the_very_same_file_is_a_duplicate_also_where_no_index_knows_both() -> None:
    kept, excluded = pairs._exclude(rows_for_exclusion(sha256=["a", "b", "a", "c"]), {}, only_opted_in=False)
    assert kept.video_id.tolist() == ["v0", "v1", "v3"]
    assert excluded["near-duplicate picture"] == 1


@pytest.fixture(scope="module")
def encoded(small: Any) -> Lab:
    from thumblab_pipelines.steps.baselines import compute_baselines
    from thumblab_pipelines.steps.embed import embed
    from thumblab_pipelines.steps.features import measure_features
    from thumblab_pipelines.steps.library import build_index

    for niche in NICHES:
        embed(small.lab, niche)
        measure_features(small.lab, niche)
        compute_baselines(small.lab, niche)
        build_index(small.lab, niche)
    lab: Lab = small.lab
    return lab


def test_pairs_are_built_once_and_again_only_when_something_changed(encoded: Lab) -> None:
    first, again = pairs.build_pairs(encoded, "run"), pairs.build_pairs(encoded)
    assert (first.reused, again.reused, again.release) == (False, True, first.release)
    assert all(verdict.passed for verdict in pairs.judge_pairs(first.release))
    assert first.release.info["channels"] == 7
    add = "UPDATE video_stats SET view_count = view_count + "
    with encoded.engine.begin() as connection:
        connection.execute(text(f"{add} 10"))
    try:
        assert not pairs.build_pairs(encoded).reused
    finally:  # the small lab is everybody's
        with encoded.engine.begin() as connection:
            connection.execute(text(f"{add} -10"))


def test_the_dataset_has_the_vectors_and_sub_scores_of_its_videos(encoded: Lab) -> None:
    release = pairs.build_pairs(encoded).release
    data = load_dataset(encoded, release)
    count = len(data.videos)
    assert data.images.shape == (count, 768)
    assert data.titles.shape == (count, 384)
    np.testing.assert_allclose(np.linalg.norm(data.images, axis=1), 1, atol=1e-4)
    matches = data.sub_scores[:, 5]  # of those alone whose pictures say something
    assert np.isfinite(matches).any()
    assert ((matches >= 0) & (matches <= 1) | np.isnan(matches)).all()
    assert np.isfinite(data.sub_scores[:, :5]).all()
    assert sum(len(data.rows(part)) for part in (pairs.TRAIN, pairs.VALIDATION, pairs.TEST)) == count


def test_without_any_video_the_pairs_are_empty_and_do_not_pass(open_lab: Callable[..., Lab]) -> None:
    built = pairs.build_pairs(open_lab())
    assert built.release.info["videos"] == 0
    assert not pairs.judge_pairs(built.release)[0].passed

"""Tests of the training pairs. Two videos are paired only if their views can be compared.

The training, validation and test parts have no video in common. A fold is a group of channels for cross-validation. No
channel is in two folds.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.releases.release import Release
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset import pairing, pairs
from thumblab_pipelines.dataset.checks import check_pairs
from thumblab_pipelines.dataset.load import load_dataset
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION, split_by_channel, split_by_time
from thumblab_pipelines.lab import Lab


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
    frame["part"] = split_by_time(frame)
    frame["fold"] = split_by_channel(frame)
    return frame


sizes_of = st.lists(st.integers(1, 25), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(sizes_of, st.integers(0, 1_000), st.sampled_from([1.0, 30.0]))
def test_a_pair_is_of_one_channel_near_in_time_and_won_by_views(sizes: list[int], seed: int, days: float) -> None:
    corpus = corpus_of(sizes, seed)
    paired = pairing.pair_up(corpus, days)
    winner, loser = corpus.loc[paired.winner].reset_index(), corpus.loc[paired.loser].reset_index()
    assert (winner.channel_id == loser.channel_id).all()
    assert (winner.channel_id == paired.channel_id).all()
    assert ((winner.published_at - loser.published_at).abs() <= pd.Timedelta(days=days, seconds=1)).all()
    assert (winner.target > loser.target).all()
    np.testing.assert_allclose(paired.margin.astype(float), 1 - np.exp(loser.target - winner.target), atol=1e-12)
    unmixed = paired.part != "mixed"
    assert (winner.part[unmixed] == paired.part[unmixed]).all()
    assert (loser.part[unmixed] == paired.part[unmixed]).all()
    assert (winner.part[~unmixed] != loser.part[~unmixed]).all()
    assert len({frozenset(rows) for rows in zip(paired.winner, paired.loser, strict=True)}) == len(paired)


@given(st.lists(st.integers(0, 60), max_size=40), st.sampled_from([0.0, 1.0, 7.5, 100.0]))
def test_exactly_the_pairs_near_in_time_are_found_each_once(moments: list[int], within: float) -> None:
    first, second = pairing.near_in_time(np.array(moments, np.int64), within)
    paired = [frozenset(rows) for rows in zip(first.tolist(), second.tolist(), strict=True)]
    assert len(set(paired)) == len(paired)
    near = (c for c in combinations(range(len(moments)), 2) if abs(moments[c[0]] - moments[c[1]]) <= within)
    assert set(paired) == {frozenset(rows) for rows in near}
    assert all(moments[earlier] <= moments[later] for earlier, later in zip(first, second, strict=True))


def test_all_near_and_unequal_pairs_of_a_small_channel_are_kept() -> None:
    corpus = corpus_of([8])
    expected = {
        (a, b)
        for a in range(8)
        for b in range(8)
        if corpus.target[a] > corpus.target[b]
        and abs((corpus.published_at[a] - corpus.published_at[b]).total_seconds()) <= 30 * 86_400
    }
    paired = pairing.pair_up(corpus, 30)
    assert set(zip(paired.winner, paired.loser, strict=True)) == expected


def test_a_channel_with_many_pairs_gives_a_sample_that_is_always_the_same() -> None:
    corpus = corpus_of([120], spread_days=20)
    paired = pairing.pair_up(corpus, 30)
    assert (paired.part == TRAIN).sum() == 120 * pairing.TRAIN_PAIRS_PER_VIDEO
    pd.testing.assert_frame_equal(paired, pairing.pair_up(corpus, 30))


def test_training_pairs_of_a_large_channel_are_limited_and_held_out_pairs_are_not() -> None:
    corpus = corpus_of([700, 30], spread_days=20)
    corpus["target"] = np.random.default_rng(0).standard_normal(len(corpus))
    paired = pairing.pair_up(corpus, 30)
    train = paired[paired.part == TRAIN].channel_id.value_counts()
    assert train.to_dict() == {"c0": pairing.TRAIN_PAIRS_PER_CHANNEL, "c1": 20 * 19 // 2}
    videos = (corpus[corpus.part == TEST].channel_id == "c0").sum()
    assert ((paired.part == TEST) & (paired.channel_id == "c0")).sum() == videos * (videos - 1) // 2


def test_a_pair_is_labelled_at_the_largest_common_age_or_by_age_corrected_views() -> None:
    corpus = corpus_of([4], spread_days=3)
    corpus["target"] = np.log([400.0, 300.0, 200.0, 100.0])
    corpus["views_at_24"] = [10.0, 20.0, 30.0, np.nan]
    corpus["views_at_168"] = [80.0, 60.0, np.nan, np.nan]
    paired = pairing.pair_up(corpus, 30).set_index(["winner", "loser"])
    assert {rows: (pair.label, round(pair.margin, 6)) for rows, pair in paired.iterrows()} == {
        (0, 1): ("views at 168 h", 0.25),
        (2, 0): ("views at 24 h", round(2 / 3, 6)),
        (2, 1): ("views at 24 h", round(1 / 3, 6)),
        (0, 3): ("age-corrected views", 0.75),
        (1, 3): ("age-corrected views", round(2 / 3, 6)),
        (2, 3): ("age-corrected views", 0.5),
    }


def test_counts_by_two_definitions_of_a_view_are_never_paired() -> None:
    corpus = corpus_of([6], spread_days=3)
    corpus["target"] = np.arange(6.0)
    corpus["era"] = ["qualified"] * 3 + ["playback_start"] * 3
    paired = pairing.pair_up(corpus, 30)
    assert {tuple(sorted(rows)) for rows in zip(paired.winner, paired.loser, strict=True)} == {
        *((0, 1), (0, 2), (1, 2)),
        *((3, 4), (3, 5), (4, 5)),
    }


@settings(max_examples=30, deadline=None)
@given(sizes_of, st.integers(0, 1_000))
def test_each_channel_is_split_by_time_into_68_12_and_20_percent(sizes: list[int], seed: int) -> None:
    corpus = corpus_of(sizes, seed)
    rank = {TRAIN: 0, VALIDATION: 1, TEST: 2}
    for _, videos in corpus.groupby("channel_id"):
        assert videos.part.map(rank).is_monotonic_increasing
    large = corpus_of([100])
    assert large.part.value_counts().to_dict() == {"train": 68, "validation": 12, "test": 20}


@settings(max_examples=30, deadline=None)
@given(sizes_of, st.integers(0, 1_000))
def test_all_videos_of_a_channel_are_in_one_fold(sizes: list[int], seed: int) -> None:
    corpus = corpus_of(sizes, seed)
    assert (corpus.groupby("channel_id").fold.nunique() == 1).all()
    assert set(corpus.fold) <= {0, 1, 2}


def test_folds_are_about_equally_large() -> None:
    assert corpus_of([10] * 9).fold.value_counts().to_dict() == {0: 30, 1: 30, 2: 30}


MEASURED = "tech"
"""The niche whose pictures the fixture `encoded` measures."""


@pytest.fixture(scope="module")
def encoded(small: Any) -> Lab:
    """A lab whose videos are all encoded. The sub-scores of only one niche are measured, because measuring is slow."""
    from thumblab_pipelines.features.embed import embed
    from thumblab_pipelines.features.sub_scores import measure_features

    for niche in DEFAULT_NAMES:
        embed(small.lab, niche)
    measure_features(small.lab, MEASURED)
    lab: Lab = small.lab
    return lab


@pytest.mark.slow
def test_pairs_are_published_again_only_after_a_change(encoded: Lab) -> None:
    first, again = pairs.build_pairs(encoded, "run"), pairs.build_pairs(encoded)
    assert (first.reused, again.reused, again.release) == (False, True, first.release)
    assert all(check.passed for check in check_pairs(first.release))
    assert first.release.info["channels"] == 7
    assert first.release.info["labels"] == {
        "age-corrected views": len(pd.read_parquet(first.release.path / "pairs.parquet"))
    }
    assert 1 / 7 <= first.release.info["largest_share"] < 0.5
    add = "UPDATE video_stats SET view_count = view_count + "
    with encoded.engine.begin() as connection:
        connection.execute(text(f"{add} 10"))
    try:
        assert not pairs.build_pairs(encoded).reused
    finally:  # The counts are restored, because other tests use the same lab.
        with encoded.engine.begin() as connection:
            connection.execute(text(f"{add} -10"))


def test_the_check_of_new_pairs_does_not_search_for_near_duplicates_again(
    encoded: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = pairs.build_pairs(encoded).release
    copy = tmp_path / "copy"
    shutil.copytree(release.path, copy)
    videos = pd.read_parquet(copy / "videos.parquet")
    early, late = (int(videos.index[videos.part == part][0]) for part in (TRAIN, TEST))
    videos.loc[late, "sha256"] = videos.sha256[early]
    videos.to_parquet(copy / "videos.parquet")

    def check(of: Release) -> CheckResult:
        return next(found for found in check_pairs(of) if found.name == "no_leak_of_pictures")

    assert not check(replace(release, place=copy)).passed  # The digest of the release belongs to other pictures.
    monkeypatch.delattr(Pictures, "across")
    assert check(release).passed


def test_the_dataset_contains_the_vectors_and_sub_scores_of_its_videos(encoded: Lab) -> None:
    release = pairs.build_pairs(encoded).release
    data = load_dataset(encoded, release)
    count = len(data.videos)
    assert data.images.shape == (count, 768)
    assert data.titles.shape == (count, 384)
    np.testing.assert_allclose(np.linalg.norm(data.images, axis=1), 1, atol=1e-4)
    measured = data.sub_scores[(data.videos.niche == MEASURED).to_numpy(bool)]
    title_match = measured[:, 5]  # This sub-score is NaN for pictures without text.
    assert np.isfinite(title_match).any()
    assert ((title_match >= 0) & (title_match <= 1) | np.isnan(title_match)).all()
    assert np.isfinite(measured[:, :5]).all()
    assert sum(len(data.rows(part)) for part in (TRAIN, VALIDATION, TEST)) == count


def test_views_at_fixed_ages_and_owner_figures_are_part_of_new_pairs(encoded: Lab) -> None:
    first = pd.read_parquet(pairs.build_pairs(encoded).release.path / "videos.parquet")
    known = first[first.channel_id == first.channel_id[0]].video_id.tolist()
    reach = "INSERT INTO video_reach (video_id, source, day, impressions, click_through_rate, imported_at)"
    with encoded.engine.begin() as connection:
        for place, video_id in enumerate(known):
            values = {"id": video_id, "views": 100.0 + place}
            connection.execute(
                text("INSERT INTO views_at_age VALUES (:id, 24, :views, 'playback_start', 20, 26)"), values
            )
            connection.execute(text(f"{reach} VALUES (:id, 'studio', now(), 500, 0.04, now())"), values)
    try:
        built = pairs.build_pairs(encoded)
        videos = pd.read_parquet(built.release.path / "videos.parquet").set_index("video_id")
        paired = pd.read_parquet(built.release.path / "pairs.parquet")
        assert not built.reused
        assert all(check.passed for check in check_pairs(built.release))
        assert videos.views_at_24[known].tolist() == [100.0 + place for place in range(len(known))]
        assert videos.views_at_24.notna().sum() == videos.click_through_rate.notna().sum() == len(known)
        assert set(videos.click_through_rate[known]) == {0.04}
        assert set(videos.impressions[known]) == {500}
        assert set(paired[paired.channel_id == first.channel_id[0]].label) == {"views at 24 h"}
        assert built.release.info["labels"]["views at 24 h"] == (paired.label == "views at 24 h").sum() > 0
    finally:  # The inserted rows are deleted, because other tests use the same lab.
        with encoded.engine.begin() as connection:
            connection.execute(text("DELETE FROM views_at_age"))
            connection.execute(text("DELETE FROM video_reach"))


def test_pairs_without_videos_are_empty_and_fail_the_first_check(open_lab: Callable[..., Lab]) -> None:
    built = pairs.build_pairs(open_lab())
    assert built.release.info["videos"] == 0
    assert not check_pairs(built.release)[0].passed

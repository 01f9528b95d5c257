"""Tests of the checks of training pairs.

Most tests put one fault into correct pairs. The check for this fault must fail and name the wrong row.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from thumblab_core.encoders.protocol import unit
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.ageing import fit_growth
from thumblab_pipelines.dataset.checks import CHECKS, check_pairs
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.pairs import _writer
from thumblab_pipelines.dataset.snapshot import Snapshot

Plant = Callable[..., Dataset]
Change = Callable[[pd.DataFrame, pd.DataFrame], list[str]]
"""A function that puts a fault into the videos or the pairs.

The function returns the texts that the explanation of the failed check must contain.
"""


def snapshot(data: Dataset, images: np.ndarray | None = None) -> Snapshot:
    return Snapshot(data.images if images is None else images, data.titles, data.sub_scores)


def with_fault(
    plant: Plant, folder: Path, change: Change, images: np.ndarray | None = None, **info: Any
) -> tuple[Release, list[str]]:
    data = plant(channels=4, videos=30)
    corpus, pairs = data.videos.copy(), data.pairs.copy()
    expected = change(corpus, pairs)
    write = _writer(corpus, pairs, snapshot(data, images))
    return ReleaseStore(folder).publish("pairs", "all", write, data.release.info | info), expected


def results(release: Release) -> dict[str, CheckResult]:
    return {check.name: check for check in check_pairs(release)}


def no_fault(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    return []


def test_correct_pairs_pass_every_check(plant: Plant, tmp_path: Path) -> None:
    checks = results(with_fault(plant, tmp_path, no_fault)[0])
    assert list(checks) == list(CHECKS)
    assert [check.explanation for check in checks.values() if not check.passed] == []


def first_of(corpus: pd.DataFrame, part: str, channel: str = "c0") -> int:
    return int(corpus.index[(corpus.part == part) & (corpus.channel_id == channel)][0])


def pair_of(corpus: pd.DataFrame, pairs: pd.DataFrame, part: str) -> tuple[int, str]:
    row = int(pairs.index[pairs.part == part][0])
    return row, f"pair {corpus.video_id[pairs.winner[row]]} > {corpus.video_id[pairs.loser[row]]}"


def video_in_two_parts(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    corpus.loc[first_of(corpus, "test"), "video_id"] = corpus.video_id[first_of(corpus, "train")]
    return [f"video {corpus.video_id[first_of(corpus, 'train')]} ", "test and train"]


def video_twice(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    corpus.loc[1, "video_id"] = corpus.video_id[0]
    return [f"video {corpus.video_id[0]} ", "2 rows"]


def pair_across_parts(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, pairs, "mixed")
    pairs.loc[row, "part"] = "train"
    return [name]


def pair_twice(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, pairs, "train")
    pairs.loc[pairs.index[pairs.part == "train"][-1]] = pairs.loc[row]
    return [name, "twice"]


def same_file(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    train, test = first_of(corpus, "train"), first_of(corpus, "test")
    corpus.loc[test, "sha256"] = corpus.sha256[train]
    return [f"videos {corpus.video_id[train]} and {corpus.video_id[test]} look alike", "parts train and test"]


def similar_hash(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    train, test = first_of(corpus, "train"), first_of(corpus, "test")
    corpus.loc[test, "phash"] = int(corpus.phash[train]) ^ 0b110101
    return [f"videos {corpus.video_id[train]} and {corpus.video_id[test]} look alike", "parts train and test"]


def alike_in_two_folds(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    first, second = (first_of(corpus, "train", channel) for channel in ("c0", "c1"))
    corpus.loc[second, "phash"] = corpus.phash[first]
    return [f"videos {corpus.video_id[first]} and {corpus.video_id[second]} look alike", "folds"]


def pair_of_two_channels(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row, _ = pair_of(corpus, pairs, "train")
    pairs.loc[row, "loser"] = first_of(corpus, "train", "c2")
    return [f"> {corpus.video_id[first_of(corpus, 'train', 'c2')]} "]


def split_channel(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    corpus.loc[3, "fold"] = (corpus.fold[3] + 1) % 3
    return [f"channel {corpus.channel_id[3]} ", f"video {corpus.video_id[3]}"]


def held_out_before_training(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    train, test = first_of(corpus, "train"), first_of(corpus, "test")
    corpus.loc[[train, test], "part"] = ["test", "train"]
    return [f"test video {corpus.video_id[train]} "]


def pair_of_two_eras(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, pairs, "train")
    corpus.loc[pairs.winner[row], "era"] = "qualified"
    return [name, "qualified with playback_start"]


def counted_before_publication(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    corpus.loc[7, "observed_at"] = corpus.published_at[7] - pd.Timedelta(minutes=1)
    return [f"video {corpus.video_id[7]} was counted before"]


def counted_after_the_release(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    late = corpus.observed_at.max() + pd.Timedelta(hours=1)
    corpus.loc[7, ["observed_at", "age_hours"]] = [late, (late - corpus.published_at[7]).total_seconds() / 3600]
    return [f"video {corpus.video_id[7]} was counted after"]


def age_of_another_count(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    corpus.loc[7, "age_hours"] -= 24
    return [f"video {corpus.video_id[7]} has another age"]


def views_at_a_later_age(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row = int(corpus.index[corpus.age_hours < 700][0])
    corpus["views_at_720"] = np.nan
    corpus.loc[row, "views_at_720"] = corpus.views[row] / 2
    return [f"video {corpus.video_id[row]} has views at 720 h but is younger"]


def more_views_than_the_latest_count(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    corpus["views_at_24"] = np.nan
    corpus.loc[7, "views_at_24"] = corpus.views[7] * 2
    return [f"video {corpus.video_id[7]} has more views at 24 h"]


def wrong_winner(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row = int(pairs.index[pairs.part == "test"][0])
    pairs.loc[row, ["winner", "loser"]] = pairs.loc[row, ["loser", "winner"]].tolist()
    return [pair_of(corpus, pairs, "test")[1]]


def wrong_margin(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, pairs, "train")
    pairs.loc[row, "margin"] += 0.01
    return [name, "margin"]


def wrong_label(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, pairs, "train")
    pairs["label"] = pairs.label.astype(object)
    pairs.loc[row, "label"] = "views at 24 h"
    return [name, "labelled by views at 24 h"]


def growth_fitted_to_all_parts(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Correct the views for age with a growth curve that was fitted to all videos instead of the training videos.

    In these pairs, training videos have half of their final views at an age of 24 hours, but held-out videos only at an
    age of 500 hours. The curve of all videos therefore differs from the curve of the training videos.
    """
    half = np.where(corpus.part == "train", 24.0, 500.0)
    level = corpus.views * (corpus.age_hours + half) / corpus.age_hours
    for age in (24, 72):
        corpus[f"views_at_{age}"] = level * age / (age + half)
    of_training, of_all = fit_growth(corpus[corpus.part == "train"]), fit_growth(corpus)
    assert of_training.histories > 50
    assert of_training != of_all
    corpus["target"] = of_all.target(corpus)
    return [f"video {corpus.video_id[0]} has the target"]


def wrong_target(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    row = first_of(corpus, "validation")
    corpus.loc[row, "target"] += 0.01
    return [f"video {corpus.video_id[row]} has the target"]


def no_test_pair(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    pairs.loc[pairs.part == "test", "part"] = "mixed"
    return ["0 test"]


FAULTS: list[tuple[Change, str]] = [
    (video_in_two_parts, "no_leak_of_videos"),
    (video_twice, "no_leak_of_videos"),
    (pair_across_parts, "no_leak_of_videos"),
    (pair_twice, "no_leak_of_videos"),
    (same_file, "no_leak_of_pictures"),
    (similar_hash, "no_leak_of_pictures"),
    (alike_in_two_folds, "no_leak_of_pictures"),
    (pair_of_two_channels, "same_channel"),
    (split_channel, "whole_channels"),
    (held_out_before_training, "later_is_held_out"),
    (pair_of_two_eras, "same_era"),
    (counted_before_publication, "no_future_observation"),
    (counted_after_the_release, "no_future_observation"),
    (age_of_another_count, "no_future_observation"),
    (views_at_a_later_age, "no_future_observation"),
    (more_views_than_the_latest_count, "no_future_observation"),
    (wrong_winner, "labels_hold"),
    (wrong_margin, "labels_hold"),
    (wrong_label, "labels_hold"),
    (growth_fitted_to_all_parts, "target_of_training_rows"),
    (wrong_target, "target_of_training_rows"),
    (no_test_pair, "enough"),
]


@pytest.mark.parametrize(("change", "check"), FAULTS, ids=[change.__name__ for change, _ in FAULTS])
def test_each_planted_fault_fails_its_check_which_names_the_row(
    plant: Plant, tmp_path: Path, change: Change, check: str
) -> None:
    release, expected = with_fault(plant, tmp_path, change)
    result = results(release)[check]
    assert not result.passed
    assert [part for part in expected if part not in result.explanation] == [], result.explanation


def test_pictures_that_look_alike_by_their_vectors_only_are_named_too(plant: Plant, tmp_path: Path) -> None:
    data = plant(channels=4, videos=30)
    train, test = first_of(data.videos, "train"), first_of(data.videos, "test", "c1")
    release, _ = with_fault(plant, tmp_path, no_fault, near_duplicate=0.97)
    assert results(release)["no_leak_of_pictures"].passed
    images = data.images.copy()
    images[test] = unit((images[train] + 0.1 * images[test])[None])[0]
    release, _ = with_fault(plant, tmp_path, no_fault, images, near_duplicate=0.97)
    result = results(release)["no_leak_of_pictures"]
    assert not result.passed
    assert f"videos {data.videos.video_id[train]} and {data.videos.video_id[test]} look alike" in result.explanation


def test_pairs_of_an_earlier_version_fail_one_check_that_asks_to_make_them_again(plant: Plant, tmp_path: Path) -> None:
    data = plant(channels=2, videos=20)
    old = data.videos.drop(columns=["era", "observed_at"])
    release = ReleaseStore(tmp_path).publish("pairs", "all", _writer(old, data.pairs, snapshot(data)), {})
    assert [check.passed for check in check_pairs(release)] == [False]

    def without_vectors(folder: Path) -> None:
        data.videos.to_parquet(folder / "videos.parquet")
        data.pairs.to_parquet(folder / "pairs.parquet")

    release = ReleaseStore(tmp_path).publish("pairs", "all", without_vectors, data.release.info)
    assert "an earlier version of the lab" in results(release)["no_leak_of_pictures"].explanation


def test_an_explanation_names_the_first_wrong_rows_and_counts_the_others(plant: Plant, tmp_path: Path) -> None:
    def every_target(corpus: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
        corpus["target"] += 0.5
        return []

    release, _ = with_fault(plant, tmp_path, every_target)
    assert results(release)["target_of_training_rows"].explanation.endswith("; and 117 more")

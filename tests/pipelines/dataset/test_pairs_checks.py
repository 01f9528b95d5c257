"""Promises of the judge of training pairs: each leak fails the check it belongs to, which names the row."""

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
from thumblab_pipelines.dataset import pairs
from thumblab_pipelines.dataset.ageing import fit_growth
from thumblab_pipelines.dataset.checks import CHECKS
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.snapshot import Snapshot

Plant = Callable[..., Dataset]
Change = Callable[[pd.DataFrame, pd.DataFrame], list[str]]
"""Spoils the videos or the pairs, and says what the check is to name."""


def snapshot(data: Dataset, images: np.ndarray | None = None) -> Snapshot:
    return Snapshot(data.images if images is None else images, data.titles, data.sub_scores)


def spoilt(
    plant: Plant, folder: Path, change: Change, images: np.ndarray | None = None, **info: Any
) -> tuple[Release, list[str]]:
    data = plant(channels=4, videos=30)
    corpus, found = data.videos.copy(), data.pairs.copy()
    named = change(corpus, found)
    write = pairs._writer(corpus, found, snapshot(data, images))
    return ReleaseStore(folder).publish("pairs", "all", write, data.release.info | info), named


def verdicts(release: Release) -> dict[str, CheckResult]:
    return {verdict.name: verdict for verdict in pairs.check_pairs(release)}


def nothing(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    return []


def test_honest_pairs_pass_every_check(plant: Plant, tmp_path: Path) -> None:
    judged = verdicts(spoilt(plant, tmp_path, nothing)[0])
    assert tuple(judged) == CHECKS
    assert [verdict.explanation for verdict in judged.values() if not verdict.passed] == []


def first_of(corpus: pd.DataFrame, part: str, channel: str = "c0") -> int:
    return int(corpus.index[(corpus.part == part) & (corpus.channel_id == channel)][0])


def pair_of(corpus: pd.DataFrame, found: pd.DataFrame, part: str) -> tuple[int, str]:
    row = int(found.index[found.part == part][0])
    return row, f"pair {corpus.video_id[found.winner[row]]} > {corpus.video_id[found.loser[row]]}"


def video_in_two_parts(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    corpus.loc[first_of(corpus, "test"), "video_id"] = corpus.video_id[first_of(corpus, "train")]
    return [f"video {corpus.video_id[first_of(corpus, 'train')]} ", "test and train"]


def video_twice(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    corpus.loc[1, "video_id"] = corpus.video_id[0]
    return [f"video {corpus.video_id[0]} ", "2 rows"]


def pair_across_parts(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, found, "mixed")
    found.loc[row, "part"] = "train"
    return [name]


def pair_twice(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, found, "train")
    found.loc[found.index[found.part == "train"][-1]] = found.loc[row]
    return [name, "twice"]


def same_file(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    train, test = first_of(corpus, "train"), first_of(corpus, "test")
    corpus.loc[test, "sha256"] = corpus.sha256[train]
    return [f"videos {corpus.video_id[train]} and {corpus.video_id[test]} look alike", "parts train and test"]


def alike_by_hash(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    train, test = first_of(corpus, "train"), first_of(corpus, "test")
    corpus.loc[test, "phash"] = int(corpus.phash[train]) ^ 0b110101
    return [f"videos {corpus.video_id[train]} and {corpus.video_id[test]} look alike", "parts train and test"]


def alike_in_two_folds(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    one, other = (first_of(corpus, "train", channel) for channel in ("c0", "c1"))
    corpus.loc[other, "phash"] = corpus.phash[one]
    return [f"videos {corpus.video_id[one]} and {corpus.video_id[other]} look alike", "folds"]


def strangers(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row, _ = pair_of(corpus, found, "train")
    found.loc[row, "loser"] = first_of(corpus, "train", "c2")
    return [f"> {corpus.video_id[first_of(corpus, 'train', 'c2')]} "]


def split_channel(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    corpus.loc[3, "fold"] = (corpus.fold[3] + 1) % 3
    return [f"channel {corpus.channel_id[3]} ", f"video {corpus.video_id[3]}"]


def learnt_from_the_future(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    train, test = first_of(corpus, "train"), first_of(corpus, "test")
    corpus.loc[[train, test], "part"] = ["test", "train"]
    return [f"test video {corpus.video_id[train]} "]


def two_eras(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, found, "train")
    corpus.loc[found.winner[row], "era"] = "qualified"
    return [name, "qualified with playback_start"]


def seen_before_it_was_there(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    corpus.loc[7, "observed_at"] = corpus.published_at[7] - pd.Timedelta(minutes=1)
    return [f"video {corpus.video_id[7]} was counted before"]


def seen_after_the_release(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    late = corpus.observed_at.max() + pd.Timedelta(hours=1)
    corpus.loc[7, ["observed_at", "age_hours"]] = [late, (late - corpus.published_at[7]).total_seconds() / 3600]
    return [f"video {corpus.video_id[7]} was counted after"]


def another_age_than_its_counts(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    corpus.loc[7, "age_hours"] -= 24
    return [f"video {corpus.video_id[7]} is not as old"]


def views_at_an_age_to_come(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row = int(corpus.index[corpus.age_hours < 700][0])
    corpus["views_at_720"] = np.nan
    corpus.loc[row, "views_at_720"] = corpus.views[row] / 2
    return [f"video {corpus.video_id[row]} has views at 720 h and is younger"]


def more_views_than_at_last(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    corpus["views_at_24"] = np.nan
    corpus.loc[7, "views_at_24"] = corpus.views[7] * 2
    return [f"video {corpus.video_id[7]} has more views at 24 h"]


def the_wrong_one_wins(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row = int(found.index[found.part == "test"][0])
    found.loc[row, ["winner", "loser"]] = found.loc[row, ["loser", "winner"]].tolist()
    return [pair_of(corpus, found, "test")[1]]


def the_wrong_margin(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, found, "train")
    found.loc[row, "margin"] += 0.01
    return [name, "margin"]


def the_wrong_label(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row, name = pair_of(corpus, found, "train")
    found.loc[row, "label"] = "views at 24 h"
    return [name, "labelled by views at 24 h"]


def fitted_to_the_test_part(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """Training videos grow for a day, held-out ones for months; who fits to all finds something between."""
    half = np.where(corpus.part == "train", 24.0, 500.0)
    level = corpus.views * (corpus.age_hours + half) / corpus.age_hours
    for age in (24, 72):
        corpus[f"views_at_{age}"] = level * age / (age + half)
    own, of_all = fit_growth(corpus[corpus.part == "train"]), fit_growth(corpus)
    assert own.histories > 50
    assert own != of_all
    corpus["target"] = of_all.target(corpus)
    return [f"video {corpus.video_id[0]} has the target"]


def another_target(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    row = first_of(corpus, "validation")
    corpus.loc[row, "target"] += 0.01
    return [f"video {corpus.video_id[row]} has the target"]


def no_test(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    found.loc[found.part == "test", "part"] = "mixed"
    return ["0 test"]


LEAKS: list[tuple[Change, str]] = [
    (video_in_two_parts, "no_leak_of_videos"),
    (video_twice, "no_leak_of_videos"),
    (pair_across_parts, "no_leak_of_videos"),
    (pair_twice, "no_leak_of_videos"),
    (same_file, "no_leak_of_pictures"),
    (alike_by_hash, "no_leak_of_pictures"),
    (alike_in_two_folds, "no_leak_of_pictures"),
    (strangers, "same_channel"),
    (split_channel, "whole_channels"),
    (learnt_from_the_future, "later_is_held_out"),
    (two_eras, "same_era"),
    (seen_before_it_was_there, "no_future_observation"),
    (seen_after_the_release, "no_future_observation"),
    (another_age_than_its_counts, "no_future_observation"),
    (views_at_an_age_to_come, "no_future_observation"),
    (more_views_than_at_last, "no_future_observation"),
    (the_wrong_one_wins, "labels_hold"),
    (the_wrong_margin, "labels_hold"),
    (the_wrong_label, "labels_hold"),
    (fitted_to_the_test_part, "target_of_training_rows"),
    (another_target, "target_of_training_rows"),
    (no_test, "enough"),
]


@pytest.mark.parametrize(("change", "check"), LEAKS, ids=[change.__name__ for change, _ in LEAKS])
def test_each_planted_leak_fails_its_check_by_name(plant: Plant, tmp_path: Path, change: Change, check: str) -> None:
    release, named = spoilt(plant, tmp_path, change)
    verdict = verdicts(release)[check]
    assert not verdict.passed
    assert [name for name in named if name not in verdict.explanation] == [], verdict.explanation


def test_pictures_that_only_an_encoder_finds_alike_are_named_too(plant: Plant, tmp_path: Path) -> None:
    data = plant(channels=4, videos=30)
    train, test = first_of(data.videos, "train"), first_of(data.videos, "test", "c1")
    release, _ = spoilt(plant, tmp_path, nothing, near_duplicate=0.97)
    assert verdicts(release)["no_leak_of_pictures"].passed
    images = data.images.copy()
    images[test] = unit((images[train] + 0.1 * images[test])[None])[0]
    release, _ = spoilt(plant, tmp_path, nothing, images, near_duplicate=0.97)
    found = verdicts(release)["no_leak_of_pictures"]
    assert not found.passed
    assert f"videos {data.videos.video_id[train]} and {data.videos.video_id[test]} look alike" in found.explanation


def test_pairs_of_an_earlier_version_are_not_judged_but_made_anew(plant: Plant, tmp_path: Path) -> None:
    data = plant(channels=2, videos=20)
    old = data.videos.drop(columns=["era", "observed_at"])
    release = ReleaseStore(tmp_path).publish("pairs", "all", pairs._writer(old, data.pairs, snapshot(data)), {})
    assert [verdict.passed for verdict in pairs.check_pairs(release)] == [False]

    def without_vectors(folder: Path) -> None:
        data.videos.to_parquet(folder / "videos.parquet")
        data.pairs.to_parquet(folder / "pairs.parquet")

    release = ReleaseStore(tmp_path).publish("pairs", "all", without_vectors, data.release.info)
    assert "an earlier version of the lab" in verdicts(release)["no_leak_of_pictures"].explanation


def test_of_many_rows_the_first_are_named_and_the_others_counted(plant: Plant, tmp_path: Path) -> None:
    def every_target(corpus: pd.DataFrame, found: pd.DataFrame) -> list[str]:
        corpus["target"] += 0.5
        return []

    release, _ = spoilt(plant, tmp_path, every_target)
    assert verdicts(release)["target_of_training_rows"].explanation.endswith("; and 117 more")

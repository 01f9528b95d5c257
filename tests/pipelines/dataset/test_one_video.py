"""Tests of the one-video pairs of a pairs release.

A one-video pair has two pictures that one video showed. An experiment compared the two pictures, or the owner replaced
one picture by the other.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_one_video import PlantedLab, planted_lab
from sqlalchemy import insert, select

from demo.catalogues.formula import SIGMA_Q
from thumblab_core.database.tables import model_evaluations, videos, visual_features
from thumblab_core.errors import LabError
from thumblab_core.images import digest
from thumblab_core.ranking.skill import EXPERIMENT, ONE_VIDEO
from thumblab_core.releases.release import ALL, PAIRS
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.dataset.checks import check_pairs
from thumblab_pipelines.dataset.experiment_pairs import SAME_VARIANCE
from thumblab_pipelines.dataset.load import Dataset, load_dataset
from thumblab_pipelines.dataset.one_video import (
    CHANGED_THUMBNAIL,
    COLUMNS,
    PAIRS_FILE,
    VECTORS_FILE,
    OneVideoPairs,
    with_parts,
)
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.dataset.retained_pairs import named_pairs
from thumblab_pipelines.dataset.splits import MIXED, TEST, TRAIN
from thumblab_pipelines.features.stored_vectors import read_vectors
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.build import build_model
from thumblab_pipelines.models.tracked_run import headline_name, headlines
from thumblab_pipelines.retention.purge import clean_pairs
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.videos.deletion import delete_videos


@pytest.fixture(scope="module")
def planted(open_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> PlantedLab:
    return planted_lab(open_lab, tmp_path_factory.mktemp("variants"), videos=150, experiments=24)


@pytest.fixture(scope="module")
def data(planted: PlantedLab) -> Dataset:
    return load_dataset(planted.lab, build_pairs(planted.lab).release)


def of_source(data: Dataset, source: str) -> pd.DataFrame:
    return data.one_video.pairs[data.one_video.pairs.source == source]


@pytest.mark.slow
def test_the_gap_of_a_changed_thumbnail_is_the_planted_effect(planted: PlantedLab, data: Dataset) -> None:
    changed = of_source(data, CHANGED_THUMBNAIL)
    effects = changed.video_id.map({swap.video_id: swap.effect for swap in planted.catalogue.swaps})
    assert len(changed) >= 20
    errors = np.abs(changed.gap - effects)
    assert errors.median() < 0.02
    assert (errors / np.sqrt(changed.variance) < 3).mean() > 0.95
    assert (np.sign(changed.gap) == np.sign(effects))[changed.decided].all()
    assert changed.decided.mean() > 0.5
    assert data.release.info["one_video"]["left_out"]["changed thumbnail with too few counts before or after"] > 0


def test_the_pairs_of_an_experiment_compare_the_winner_or_the_first_variant_with_the_others(
    planted: PlantedLab, data: Dataset
) -> None:
    pairs = of_source(data, EXPERIMENT).set_index("pair_id")
    expected = {}
    for number, experiment in zip(planted.numbers, planted.experiments, strict=True):
        one = experiment.winner or 0
        for other in range(len(experiment.variants)):
            if other != one:
                first, second = sorted((one, other))
                expected[f"experiment {number}: {first + 1}-{second + 1}"] = (experiment, first, second)
    assert set(pairs.index) == set(expected)
    for pair_id, (experiment, first, second) in expected.items():
        pair, a, b = pairs.loc[pair_id], experiment.variants[first], experiment.variants[second]
        assert (pair.video_id, pair.decided) == (experiment.video_id, experiment.outcome == "winner")
        assert (pair.sha256_a, pair.sha256_b) == (digest(a.thumbnail.image), digest(b.thumbnail.image))
        assert (pair.title_a, pair.title_b) == (a.thumbnail.title, b.thumbnail.title)
        if experiment.outcome == "performed the same":
            assert (pair.gap, pair.variance) == (0, SAME_VARIANCE)
        else:
            assert pair.gap == pytest.approx(np.log(a.watch_time_share / b.watch_time_share))
            true = SIGMA_Q * (a.thumbnail.quality - b.thumbnail.quality)
            assert abs(pair.gap - true) < 4 * np.sqrt(pair.variance)


def test_the_vectors_are_those_of_the_compared_pictures_and_titles(data: Dataset, planted: PlantedLab) -> None:
    one_video, info = data.one_video, data.release.info
    for side, name in enumerate("ab"):
        ids, pictures = one_video.pairs.video_id.tolist(), one_video.pairs[f"sha256_{name}"].tolist()
        titles = [digest(title.encode()) for title in one_video.pairs[f"title_{name}"]]
        for values, digests, encoder in (
            (one_video.images, pictures, "image_encoder"),
            (one_video.titles, titles, "title_encoder"),
        ):
            stored, complete = read_vectors(planted.lab, ids, digests, info[encoder])
            assert complete.all()
            np.testing.assert_array_equal(values[:, side], stored)
    assert (np.abs(one_video.images[:, 0] - one_video.images[:, 1]).max(axis=1) > 0).all()


def test_the_pairs_pass_the_check_and_the_same_inputs_make_no_new_release(data: Dataset, planted: PlantedLab) -> None:
    (check,) = (check for check in check_pairs(data.release) if check.name == "one_video")
    assert check.passed, check.explanation
    assert build_pairs(planted.lab).reused
    counts = data.release.info["one_video"]
    assert counts["pairs"] == data.one_video.pairs.source.value_counts().to_dict()
    assert set(data.one_video.pairs) == set(COLUMNS)


def test_the_check_names_wrong_pairs(data: Dataset) -> None:
    one_video = data.one_video
    pairs = one_video.pairs.copy()
    pairs.loc[0, "variance"] = 0.0
    pairs.loc[1, "sha256_a"] = pairs.sha256_b[1]
    pairs.loc[2, "fold"] += 1
    held_out = data.videos.video_id[data.videos.part == TEST].iloc[0]
    pairs.loc[3, ["video_id", "part"]] = [held_out, TRAIN]
    pairs.loc[5, "pair_id"] = pairs.pair_id[6]
    images = one_video.images.copy()
    images[4] *= 2
    faults = "; ".join(dataclasses.replace(one_video, pairs=pairs, images=images).faults(data.videos))
    expected = (
        "gap that is not finite",
        "one picture",
        "another fold",
        "held-out video",
        "not of length 1",
        "occurs twice",
    )
    for row, fault in enumerate(expected):
        assert any(pairs.pair_id[row] in part and fault in part for part in faults.split("; ")), fault


def test_the_earlier_half_of_a_channels_pairs_may_be_learnt_and_held_out_videos_never() -> None:
    corpus = pd.DataFrame(
        {"video_id": ["known", "held"], "channel_id": ["c", "c"], "part": [TRAIN, TEST], "fold": [1, 1]}
    )
    day = pd.date_range("2026-12-01", periods=40)
    pairs = pd.DataFrame({"pair_id": [f"p{n}" for n in range(40)], "happened_on": day, "channel_id": "c"})
    pairs["video_id"] = ["held" if n == 3 else "known" if n < 21 else f"later {n}" for n in range(40)]
    parts = with_parts(pairs, corpus)
    expected = [TRAIN] * 3 + [TEST] + [TRAIN] * 16 + [MIXED] + [TEST] * 19
    assert parts.part.tolist() == expected, "a later pair of a video with a training pair must be in no part"
    assert (parts.fold == 1).all()
    assert (with_parts(pairs[:19], corpus).part == TEST).all(), "few pairs must all be in the test part"
    same_day = pairs.assign(happened_on=day[0])
    assert (with_parts(same_day, corpus).part == TEST).all(), "pairs of the same day must all be in the test part"


def test_a_release_without_one_video_pairs_reads_as_an_empty_one(
    plant: Callable[..., Dataset], planted: PlantedLab
) -> None:
    release = plant(channels=2, videos=20).release
    assert PAIRS_FILE not in release.files
    loaded = load_dataset(planted.lab, release, forgotten=[]).one_video
    assert (len(loaded), set(loaded.pairs)) == (0, set(COLUMNS))
    assert list(loaded.faults(load_dataset(planted.lab, release, forgotten=[]).videos)) == []


def test_a_damaged_file_of_one_video_pairs_is_refused_with_a_remedy(data: Dataset, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        data.one_video.save(folder)
        (folder / VECTORS_FILE).write_bytes(b"no vectors")

    damaged = ReleaseStore(tmp_path).publish(PAIRS, ALL, write, {})
    with pytest.raises(LabError, match=r"the one-video pairs cannot be read .* materialize training_pairs again"):
        OneVideoPairs.load(damaged)


def test_the_figures_of_a_trained_model_are_in_its_release_in_the_database_and_on_the_asset_page(
    data: Dataset, planted: PlantedLab
) -> None:
    built = build_model(planted.lab, TrainConfig(epochs=1))
    aucs = {(e.split, e.slice, e.scorer): e for e in built.evaluations if (e.question, e.metric) == (ONE_VIDEO, "auc")}
    decided = data.one_video.pairs[data.one_video.pairs.decided]
    known = data.videos.video_id[data.videos.part != TEST]
    for source in (EXPERIMENT, CHANGED_THUMBNAIL):
        assert aucs["new_channels", source, "model"].pairs == (decided.source == source).sum()
        # The split `future` has pairs of the test part. It leaves out a pair if the video of the pair is a training or
        # validation video. It also leaves out a pair that is older than the channel's last training or validation
        # video. This lab has no such old pair, because all videos were published before the first collection.
        held_out = (decided.part == TEST) & ~decided.video_id.isin(known)
        assert aucs["future", source, "model"].pairs == ((decided.source == source) & held_out).sum()
    assert aucs["future", CHANGED_THUMBNAIL, "model"].low is not None
    stored = select(model_evaluations.c.value).where(
        model_evaluations.c.release_id == built.release.release_id,
        model_evaluations.c.question == ONE_VIDEO,
        model_evaluations.c.metric == "auc",
    )
    with planted.lab.engine.connect() as connection:
        assert sorted(connection.scalars(stored)) == sorted(e.value for e in aucs.values() if e.value is not None)
    names = [headline_name(figure) for figure in headlines(built.evaluations)]
    assert "auc_one_video_new_channels_model" in names
    assert len(set(names)) == len(names)


def test_a_deleted_video_leaves_the_one_video_pairs_and_the_release(data: Dataset, planted: PlantedLab) -> None:
    lab, gone = planted.lab, str(data.one_video.pairs.video_id.iloc[-1])
    with lab.engine.begin() as connection:
        assert delete_videos(connection, [gone]) == 1
    kept = (data.one_video.pairs.video_id != gone).to_numpy(bool)
    after = load_dataset(lab, data.release).one_video
    pd.testing.assert_frame_equal(after.pairs, data.one_video.pairs[kept].reset_index(drop=True))
    np.testing.assert_array_equal(after.images, data.one_video.images[kept])
    assert clean_pairs(lab) == 1
    successor = named_pairs(lab, data.release.release_id)
    assert gone not in set(pd.read_parquet(successor.path / PAIRS_FILE).video_id)
    assert sum(successor.info["one_video"]["pairs"].values()) == kept.sum()
    (check,) = (check for check in check_pairs(successor) if check.name == "one_video")
    assert check.passed, check.explanation


def test_the_words_of_a_picture_are_those_that_were_read_in_it(data: Dataset, planted: PlantedLab) -> None:
    lab = planted.lab
    with lab.engine.begin() as connection:
        alive = set(connection.scalars(select(videos.c.video_id)))
        pair = next(row for row in data.one_video.pairs.to_dict("records") if row["video_id"] in alive)
        texts = [{"text": "BIG NEWS"}, {"text": "today"}]
        measured = {"video_id": pair["video_id"], "sha256": pair["sha256_b"], "version": "1"}
        connection.execute(insert(visual_features).values(**measured, evidence={"texts": texts}))
    after = load_dataset(lab, build_pairs(lab).release).one_video.pairs
    [found] = after[after.pair_id == pair["pair_id"]].to_dict("records")
    assert (found["words_a"], found["words_b"]) == (None, "BIG NEWS today")

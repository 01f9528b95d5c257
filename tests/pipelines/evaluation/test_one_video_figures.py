"""Tests of the evaluation on one-video pairs: one video showed two pictures, and the model predicts the better picture.

The pairs are made by the tests, so the better picture of each pair is known.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compared_pictures import DAY, with_pairs

from thumblab_core.arrays import Float64s
from thumblab_core.ranking.skill import EXPERIMENT, ONE_VIDEO
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.one_video import CHANGED_THUMBNAIL, OneVideoPairs
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION
from thumblab_pipelines.evaluation.evaluate import evaluate
from thumblab_pipelines.evaluation.figures import ADAPTED, FUTURE, NEW_CHANNELS, Evaluation
from thumblab_pipelines.evaluation.one_video import evaluate_one_video
from thumblab_pipelines.statistics.held_out_scores import OneVideoGaps
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.train import train


@pytest.fixture(scope="module")
def trained(plant: Callable[..., Dataset]) -> tuple[Dataset, list[Evaluation]]:
    data = with_pairs(plant(channels=9, videos=60, seed=2), 40)
    return data, evaluate(data, train(data, TrainConfig(epochs=1)).held)


def figures_of(evaluations: list[Evaluation], metric: str = "auc", **wanted: Any) -> dict[tuple[str, str], Evaluation]:
    """Return the figures of `metric` by split and scorer, for the question *one video* and pairs from experiments.

    `wanted` chooses figures by other fields, such as another `slice`. Fail if two figures have the same split and the
    same scorer.
    """
    wanted = {"question": ONE_VIDEO, "slice": EXPERIMENT, "metric": metric, **wanted}
    found = [e for e in evaluations if all(getattr(e, name) == value for name, value in wanted.items())]
    assert len({(e.split, e.scorer) for e in found}) == len(found)
    return {(e.split, e.scorer): e for e in found}


@pytest.mark.slow
def test_a_trained_model_orders_planted_pairs_in_every_state_of_knowledge(
    trained: tuple[Dataset, list[Evaluation]],
) -> None:
    aucs = figures_of(trained[1])
    assert set(aucs) == {
        (FUTURE, "model"), (FUTURE, "global"), (NEW_CHANNELS, "model"), (ADAPTED, "model"), (ADAPTED, "global"),
    }  # fmt: skip
    for (split, scorer), e in aucs.items():
        assert e.value is not None and e.low is not None
        assert e.value > 0.75 and e.low > 0.6, (split, scorer, e)
        assert e.channels == 9
    for metric in ("auc_over_channels", "ece", "ece_if_calibrated", "log_loss", "abstained"):
        assert {split for split, scorer in figures_of(trained[1], metric) if scorer == "model"} == {
            FUTURE, NEW_CHANNELS, ADAPTED,
        }, metric  # fmt: skip
    assert all((e.value or 0) < np.log(2) for e in figures_of(trained[1], "log_loss").values())


def test_known_channels_are_asked_about_later_pairs_and_unseen_channels_about_all(
    trained: tuple[Dataset, list[Evaluation]],
) -> None:
    data, evaluations = trained
    pairs, videos = data.one_video.pairs, data.videos
    of_known_video = pairs.video_id.isin(videos.video_id[videos.part != TEST])
    later = int(((pairs.part == TEST) & ~of_known_video).sum())
    assert 0 < later < (pairs.part == TEST).sum()
    aucs, losses = figures_of(evaluations), figures_of(evaluations, "log_loss")
    assert DAY.tz_localize("UTC") > videos.published_at[videos.part != TEST].max()
    assert aucs[FUTURE, "model"].pairs == aucs[ADAPTED, "model"].pairs == later
    assert aucs[NEW_CHANNELS, "model"].pairs == len(pairs)
    held_out = int((pairs.part == TEST).sum())
    assert losses[NEW_CHANNELS, "model"].pairs == held_out, (
        "only held-out pairs count, because the slope was fitted to earlier pairs of these channels"
    )


@pytest.mark.slow
def test_pairs_from_before_the_last_known_video_or_without_a_winner_are_not_asked(
    plant: Callable[..., Dataset],
) -> None:
    data = plant(channels=4, videos=30, seed=2)
    known = data.videos[data.videos.part.isin([TRAIN, VALIDATION])]
    last = known.published_at.max().tz_localize(None).normalize()
    early = with_pairs(data, 10, happened_on=last)
    sizes = figures_of(evaluate(early, train(early, TrainConfig(epochs=1)).held))
    assert {key: e.pairs for key, e in sizes.items()} == {(NEW_CHANNELS, "model"): 40}
    undecided = with_pairs(data, 10, decided=False)
    assert train(undecided, TrainConfig(epochs=1)).held.one_video == {}
    without = train(data, TrainConfig(epochs=1)).held
    assert {e.question for e in evaluate(data, without)} == {"package", "one_title"}


def gaps_of(data: Dataset, gaps: Float64s) -> OneVideoGaps:
    return OneVideoGaps(np.arange(len(data.one_video)), gaps)


def aucs(data: Dataset, gaps: Float64s) -> dict[str, Evaluation]:
    evaluations = evaluate_one_video(FUTURE, data.one_video, {"model": gaps_of(data, gaps)}, 1.0)
    return {e.slice: e for e in evaluations if e.metric == "auc"}


def test_true_gaps_are_always_right_opposite_gaps_never_and_equal_scores_half_of_the_time(
    plant: Callable[..., Dataset],
) -> None:
    data = with_pairs(plant(channels=4, videos=30), 10)
    truth = data.one_video.pairs.gap.to_numpy(float)
    assert [aucs(data, gaps)[EXPERIMENT].value for gaps in (truth, -truth, 0 * truth)] == [1.0, 0.0, 0.5]


def test_the_sources_are_evaluated_apart(plant: Callable[..., Dataset]) -> None:
    data = plant(channels=4, videos=30)
    source = np.where(np.arange(40) % 4 == 0, EXPERIMENT, CHANGED_THUMBNAIL)
    data = with_pairs(data, 10, source=source)
    gap = data.one_video.pairs.gap.to_numpy(float)
    found = aucs(data, np.where(source == EXPERIMENT, gap, -gap))
    assert {name: (e.value, e.pairs) for name, e in found.items()} == {
        EXPERIMENT: (1.0, 10),
        CHANGED_THUMBNAIL: (0.0, 30),
    }


@pytest.mark.parametrize("seed", range(3))
def test_random_scores_are_at_chance_within_their_interval(plant: Callable[..., Dataset], seed: int) -> None:
    data = with_pairs(plant(channels=6, videos=30), 20)
    e = aucs(data, np.random.default_rng(seed).standard_normal(len(data.one_video)))[EXPERIMENT]
    assert e.low is not None and e.high is not None
    assert e.low <= 0.5 <= e.high


def test_many_pairs_of_one_video_do_not_make_an_interval_narrower(plant: Callable[..., Dataset]) -> None:
    data = with_pairs(plant(channels=1, videos=60), 60, video_id=[f"v{n}" for n in range(60)])
    gap = data.one_video.pairs.gap.to_numpy(float) * np.where(np.arange(60) % 3 == 0, -1, 1)
    one = aucs(data, gap)[EXPERIMENT]
    pairs = pd.concat([data.one_video.pairs] * 4, ignore_index=True)
    images, titles = (np.concatenate([values] * 4) for values in (data.one_video.images, data.one_video.titles))
    copied = dataclasses.replace(data, one_video=OneVideoPairs(pairs, images, titles))
    four = aucs(copied, np.tile(gap, 4))[EXPERIMENT]
    widths = [(e.high or 0) - (e.low or 0) for e in (one, four)]
    assert (one.value, four.pairs) == (four.value, 4 * one.pairs)
    assert widths[1] > 0.9 * widths[0]
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(2 / 9 / 60), rel=0.15), (
        "the width must be that of the interval of a share"
    )

"""Test the slopes that are fitted to experiments. The results of these experiments are random.

The difference of two scores, times a slope, is the log odds of a win.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_core.ranking.trained_ranker import EXPERIMENTS, VIDEOS
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.one_video import OneVideoPairs
from thumblab_pipelines.dataset.splits import TRAIN
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.train import train

BRIEF = TrainConfig(epochs=1)


def with_experiments(data: Dataset, count: int, channels: int, noise: float) -> Dataset:
    """Return the dataset with `count` more experiments in the training part. Their videos are not in the dataset.

    Each experiment results in one pair of pictures. The gap of the pair is random and does not depend on the pictures.
    `noise` is the standard deviation of the gaps.
    """
    random = np.random.default_rng(3)
    names = data.videos.channel_id.unique()[:channels]
    channel = [str(names[number % channels]) for number in range(count)]
    folds = data.videos.groupby("channel_id").fold.first()
    gaps = noise * random.standard_normal(count)
    numbers = [str(number) for number in range(count)]
    pairs = pd.DataFrame(
        {
            "pair_id": numbers,
            "channel_id": channel,
            "video_id": [f"tested {number}" for number in numbers],
            "source": EXPERIMENT,
            "title_a": "One title",
            "title_b": "One title",
            "sha256_a": [f"a{number}" for number in numbers],
            "sha256_b": [f"b{number}" for number in numbers],
            "happened_on": pd.Timestamp("2026-11-01"),
            "gap": gaps,
            "variance": 0.01,
            "decided": True,
            "words_a": None,
            "words_b": None,
            "part": TRAIN,
            "fold": [int(folds[name]) for name in channel],
        }
    )
    sides = (unit(random.standard_normal((2 * count, values.shape[1]))) for values in (data.images, data.titles))
    images, titles = (values.reshape(count, 2, -1).astype(np.float32) for values in sides)
    return replace(data, one_video=OneVideoPairs(pairs, images, titles))


@pytest.fixture(scope="module")
def planted(plant: Callable[..., Dataset]) -> Dataset:
    return plant(channels=6, videos=40, seed=4)


@pytest.mark.slow
def test_experiments_that_the_model_learnt_do_not_make_it_sure_of_itself(planted: Dataset) -> None:
    """Check that the slopes are small although the model learns the noise in the experiments.

    The model cannot predict the gaps of new experiments from this noise, so the right slope is near 0. If the slope
    were fitted to the same experiments as the model, the slope would be too steep.
    """
    calibration = train(with_experiments(planted, 120, 6, noise=0.5), BRIEF).ranker.calibration
    assert calibration.one_title_from == (EXPERIMENTS, EXPERIMENTS)
    assert calibration.one_title is not None
    assert max(calibration.one_title) < 0.5 * min(calibration.slope, calibration.slope_adapted)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "channels"), [(40, 6), (120, 4)])
def test_few_experiments_or_channels_leave_the_slopes_of_the_residuals(
    planted: Dataset, count: int, channels: int
) -> None:
    calibration = train(with_experiments(planted, count, channels, noise=0.5), BRIEF).ranker.calibration
    assert calibration.one_title_from == (VIDEOS, VIDEOS)

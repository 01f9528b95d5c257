"""Test that the difference of two scores is split into contributions, such as those of the picture and of the title.

The contributions must name the effects that were planted in the training data.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from thumblab_core.ranking.contributions import contributions
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.corpus import dataset_inputs
from thumblab_pipelines.training.train import train


def test_a_trained_model_is_split_into_parts_that_add_up_and_name_the_planted_cause(plant: Callable[..., Any]) -> None:
    """Train on planted data in which the picture determines the views, and each title is different."""
    data = plant(channels=4, videos=60)
    ranker, inputs = train(data, TrainConfig(epochs=2)).ranker, dataset_inputs(data).dense()
    first, second = inputs[::2], inputs[1::2]
    for adapter in (None, ranker.adapter("c0")):
        score = ranker.predict_inputs(inputs, adapter).score.astype(np.float64)
        split = contributions(ranker.model, first, second, adapter)
        np.testing.assert_allclose(split.sum(axis=1), score[::2] - score[1::2], atol=1e-4)
        picture, title, match, channel = np.abs(split).mean(axis=0)
        assert picture > 3 * title > 0
        assert match == 0, "the match must contribute 0, because no words were read in the pictures"
        assert bool(channel > 0) is (adapter is not None)

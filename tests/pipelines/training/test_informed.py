"""Tests of the accuracy of the absolute head, which says whether an answer may show a predicted rate."""

from collections.abc import Callable

import numpy as np

from thumblab_core.ranking.trained_ranker import EngagementAccuracy
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.train import _informed


def test_predicted_rates_that_only_tell_two_channels_apart_do_not_count_as_accurate(
    plant: Callable[..., Dataset],
) -> None:
    random = np.random.default_rng(0)
    of_channel = np.repeat([0.03, 0.08], 160)
    rates, chance, signal = (of_channel + 0.01 * random.standard_normal(320) for _ in range(3))
    corpus = Corpus.of(plant(channels=2, videos=160, click_through_rate=rates))
    found = [_informed(corpus, expected) for expected in (chance, 0.5 * rates + 0.5 * signal)]
    blind, seeing = (EngagementAccuracy(**figures) for figures in found if figures is not None)
    assert (blind.videos, blind.low < 0) == (38, True)
    assert seeing.low > 0.3

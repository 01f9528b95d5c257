"""Tests of the picture gaps of held-out pairs.

A picture gap is the score of the winner's picture minus the score of the loser's picture, if both pictures get the same
title. On known channels, these gaps must be equal to the gaps that the released model gives.
"""

from collections.abc import Callable

import numpy as np
import pytest

from thumblab_core.ranking.inputs import model_inputs
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.training import picture_gaps
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.train import TrainedRanking, train

BRIEF = TrainConfig(epochs=2)


@pytest.fixture(scope="module")
def data(plant: Callable[..., Dataset]) -> Dataset:
    return plant(channels=6, videos=40)


@pytest.fixture(scope="module")
def trained(data: Dataset) -> TrainedRanking:
    return train(data, BRIEF)


def test_the_gaps_are_those_of_the_released_model_under_each_of_the_two_titles(
    data: Dataset, trained: TrainedRanking
) -> None:
    pictures = trained.held.pictures["future"]
    for place in (0, len(pictures.pairs) // 2, len(pictures.pairs) - 1):
        pair = data.pairs.iloc[pictures.pairs[place]]
        adapter = trained.ranker.adapter(pair.channel_id)
        rows = [pair.winner, pair.loser]
        for column, under in enumerate(rows):
            titles = np.repeat(data.titles[[under]], 2, axis=0)
            inputs = model_inputs(data.images[rows], titles, [data.videos.title[under]] * 2)
            winner, loser = trained.ranker.predict_inputs(inputs, adapter).score
            assert pictures.gaps[place, column] == pytest.approx(winner - loser, abs=1e-3)


def test_each_pair_is_scored_by_a_model_that_did_not_see_its_channel(data: Dataset, trained: TrainedRanking) -> None:
    """Compare the mean picture gap of each pair with the difference of the two videos' held-out scores.

    In the test data, only the pictures determine the views. The mean gaps and the differences must have a high
    correlation.
    """
    new = trained.held.pictures["new"]
    assert sorted(new.pairs.tolist()) == list(range(len(data.pairs)))
    pairs = data.pairs.iloc[new.pairs]
    own = trained.held.new[pairs.winner.to_numpy(int)] - trained.held.new[pairs.loser.to_numpy(int)]
    assert np.corrcoef(own, new.gaps.mean(axis=1))[0, 1] > 0.8, (
        "the gaps must agree with the scores, because only the pictures determine the views"
    )


def test_known_and_adapted_channels_are_scored_on_their_test_pairs(data: Dataset, trained: TrainedRanking) -> None:
    test = np.flatnonzero(data.pairs.part == TEST).tolist()
    for name in ("future", "future_unadapted", "adapted", "adapted_unadapted"):
        assert sorted(trained.held.pictures[name].pairs.tolist()) == test
    adapted, unadapted = (trained.held.pictures[name].gaps for name in ("adapted", "adapted_unadapted"))
    assert not np.allclose(adapted, unadapted)


@pytest.mark.slow
def test_a_sample_of_very_many_pairs_is_scored(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_gaps, "MOST_PAIRS", 50)
    first, again = (train(data, BRIEF).held.pictures for _ in range(2))
    assert {name: len(gaps.pairs) for name, gaps in first.items()} == dict.fromkeys(first, 50)
    np.testing.assert_array_equal(first["new"].pairs, again["new"].pairs)

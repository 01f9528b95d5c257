"""Test how a difference of two scores is divided into contributions."""

import numpy as np
import pytest
import torch

from thumblab_core.arrays import Float32s
from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.adapters import Adapter, fit_adapter
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.contributions import CONTRIBUTORS, contributions
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, IMAGE, model_inputs
from thumblab_core.ranking.ranker import Ranker
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_pipelines.trainable_ranker import TrainableRanker

CONFIG = RankerConfig("images-1", "titles-1", 12, 6, hidden=32)
COUNT = 40
TITLES = [f"How I built {n} tiny houses, part {n % 4}!" for n in range(COUNT)]
WORDS = [(None, "look", f"{n} houses")[n % 3] for n in range(COUNT)]


@pytest.fixture(scope="module")
def inputs() -> Float32s:
    random = np.random.default_rng(3)
    images, titles = (unit(random.standard_normal((COUNT, side)).astype(np.float32)) for side in (12, 6))
    return model_inputs(images, titles, TITLES, in_pictures=WORDS)


@pytest.fixture
def trainable(inputs: Float32s) -> TrainableRanker:
    torch.manual_seed(1)
    model = TrainableRanker(CONFIG)
    model.fit_scale(inputs)
    model.unit.fill_(0.5)
    return model


@pytest.fixture
def model(trainable: TrainableRanker) -> Ranker:
    return trainable.ranker()


def adapter_for(model: Ranker, inputs: Float32s) -> Adapter:
    taste = np.random.default_rng(4).standard_normal(len(inputs))
    adapter = fit_adapter(model.standardise(inputs), model.predict(inputs).score, taste, 0.3)
    assert adapter is not None
    return adapter


def part(split: np.ndarray, of: str) -> np.ndarray:
    return split[:, CONTRIBUTORS.index(of)]


def test_a_linear_model_with_an_adapter_is_split_into_the_parts_that_were_planted(
    trainable: TrainableRanker, inputs: Float32s
) -> None:
    """Set the weights of a linear model, so that the contribution of each group is known."""
    line = np.random.default_rng(5).standard_normal(CONFIG.inputs).astype(np.float32)
    trainable.start(line)
    model = trainable.ranker()
    first, second = inputs[:20], inputs[20:]
    by_column = (model.standardise(first) - model.standardise(second)) * line * 0.5
    layout = CONFIG.layout
    picture = by_column[:, layout.columns(IMAGE)].sum(axis=1)
    match = by_column[:, layout.columns(AGREEMENT_BLOCK)].sum(axis=1)
    title = by_column.sum(axis=1) - picture - match
    assert all(np.abs(planted).max() > 0.1 for planted in (picture, title, match))
    for adapter in (None, adapter_for(model, inputs)):
        split = contributions(model, first, second, adapter)
        slope = 1.0 if adapter is None else adapter.score_slope
        for of, planted in (("picture", picture), ("title", title), ("match", match)):
            np.testing.assert_allclose(part(split, of), slope * planted, atol=2e-5)
        if adapter is None:
            np.testing.assert_array_equal(part(split, "channel"), 0)
        else:
            history = [adapter.correction(model.standardise(side)) for side in (first, second)]
            # Products of matrices in float32 are rounded differently for 20 and for 40 rows, so the last digits differ.
            np.testing.assert_allclose(part(split, "channel"), history[0] - history[1], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("adapted", [False, True])
def test_the_contributions_add_up_to_the_difference_of_a_network(
    model: Ranker, inputs: Float32s, adapted: bool
) -> None:
    ranker = TrainedRanker(model, Calibration(1.0, {}, 1.0), {})
    adapter = adapter_for(model, inputs) if adapted else None
    score = ranker.predict_inputs(inputs, adapter).score.astype(np.float64)
    split = contributions(model, inputs[:20], inputs[20:], adapter)
    np.testing.assert_allclose(split.sum(axis=1), score[:20] - score[20:], atol=1e-5)
    assert (np.abs(split[:, :3]).max(axis=0) > 1e-3).all()


def test_a_group_that_both_candidates_share_contributes_nothing(model: Ranker, inputs: Float32s) -> None:
    layout = CONFIG.layout
    other = inputs[:2].copy()
    other[:, layout.columns(IMAGE)] = inputs[2:4, layout.columns(IMAGE)]
    # In the first pair, only the pictures differ. In the second pair, the titles differ too. If the titles of any pair
    # differ, `contributions` computes the effect of the titles for all pairs.
    pairs = np.stack([other[0], inputs[3]]), inputs[:2]
    split = contributions(model, *pairs)
    assert split[0, 0] != 0
    assert split[0, 1:].tolist() == [0, 0, 0]
    assert split[1, 1] != 0
    np.testing.assert_allclose(contributions(model, *pairs[::-1]), -split, atol=1e-6)


def test_two_equal_candidates_have_no_difference_to_split(model: Ranker, inputs: Float32s) -> None:
    assert not contributions(model, inputs[:3], inputs[:3], adapter_for(model, inputs)).any()

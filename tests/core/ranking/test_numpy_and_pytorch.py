"""Test that a ranker predicts with numpy what the trained network predicts with PyTorch."""

import numpy as np
import pytest
import torch

from thumblab_core.arrays import Float32s
from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import model_inputs
from thumblab_core.ranking.ranker import weight_shapes
from thumblab_pipelines.trainable_ranker import TrainableRanker

CONFIG = RankerConfig("images-1", "titles-1", 12, 6, hidden=32)


def random_inputs(count: int, seed: int) -> Float32s:
    random = np.random.default_rng(seed)
    images, titles = (unit(random.standard_normal((count, side))) for side in (12, 6))
    return model_inputs(images, titles, [f"How I built {n} tiny houses!" for n in range(count)])


@pytest.fixture
def model() -> TrainableRanker:
    torch.manual_seed(1)
    model = TrainableRanker(CONFIG)
    model.fit_scale(random_inputs(50, 7))
    model.train()
    model(torch.from_numpy(random_inputs(40, 8)))  # This call changes the means of batch normalisation.
    model.unit.fill_(0.5)
    return model


def test_a_ranker_predicts_the_same_with_numpy_and_pytorch(model: TrainableRanker) -> None:
    ranker = model.ranker()
    inputs = random_inputs(50, 3)
    inputs[:5] *= 40  # Inputs this far from the mean are clipped.
    with torch.inference_mode():
        score, engagement, _ = TrainableRanker.of(ranker).eval()(torch.from_numpy(inputs))
    predicted = ranker.predict(inputs)
    for values, others in ((predicted.score, score), (predicted.engagement, engagement)):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, others.numpy(), atol=1e-5)


def test_a_trained_model_has_exactly_the_weights_that_are_read(model: TrainableRanker) -> None:
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == weight_shapes(CONFIG)


def test_training_after_a_copy_does_not_change_the_copy(model: TrainableRanker) -> None:
    copy, inputs = model.ranker(), random_inputs(9, 0)
    before = copy.predict(inputs).score
    model.unit.fill_(9.0)
    np.testing.assert_array_equal(copy.predict(inputs).score, before)

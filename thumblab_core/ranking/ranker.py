"""The ranking model: a network whose inputs describe the picture, the title, and how the two agree.

A linear model and a trunk read the inputs. Three kinds of heads (small networks) read the output of the trunk:

    inputs      d columns in blocks, see `thumblab_core.ranking.inputs`
    linear      d -> 1                      a linear model of all inputs
    trunk       the dense blocks -> 512     reads the blocks before `words`
    pairwise    512 -> 256 -> 128 -> 1      learns what the linear model misses
    absolute    512 -> 512 -> 256 -> 1      predicts engagement or true CTR, 0-1
    auxiliary   512 -> 256 -> 1, six heads  each predicts one sub-score, only to help the training of the trunk

The score is the sum of two outputs: of the linear model, and of the pairwise head. The linear model is there because a
few thousand videos are not enough to train the trunk well. The trunk does not read the two thousand columns of words,
because it would only memorise the words.

The score is in log views, relative to what the channel's videos usually get. A picture whose score is higher by 1 is
expected to get e times (2.7 times) as many views. See `thumblab_core.ranking.adapters` for what a channel adapter adds.

This module computes with numpy, so a process that only predicts does not need PyTorch. PyTorch trains the same network:
`thumblab_pipelines.trainable_ranker`. Predictions do not need the auxiliary heads, so only PyTorch computes them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s
from thumblab_core.errors import LabError
from thumblab_core.ranking.architecture import FARTHEST, Predictions, RankerConfig
from thumblab_core.sub_scores import NAMES

Weights = Mapping[str, npt.NDArray[Any]]
"""The arrays of a ranker by name, as its file stores them."""

_EPSILON = 1e-5
"""What LayerNorm and BatchNorm add to a variance. This is PyTorch's default."""


def weight_shapes(config: RankerConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each array of a ranker. A number in a name is the position of a layer."""
    hidden = config.hidden
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("mean", "scale", "reach", "gain"), (config.inputs,))
    shapes |= {"unit": (), "linear.weight": (1, config.inputs)}
    layers = {
        "trunk.1": (hidden, config.dense),
        "pairwise.0": (256, hidden), "pairwise.3": (128, 256), "pairwise.6": (1, 128),
        "absolute.0": (512, hidden), "absolute.4": (256, 512), "absolute.8": (1, 256),
    }  # fmt: skip
    for head in range(len(NAMES)):
        layers |= {f"auxiliary.{head}.0": (256, hidden), f"auxiliary.{head}.3": (1, 256)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in (("trunk.2", hidden), ("absolute.2", 512), ("absolute.6", 256)):
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for name, size in (("absolute.2", 512), ("absolute.6", 256)):
        shapes |= {f"{name}.running_mean": (size,), f"{name}.running_var": (size,), f"{name}.num_batches_tracked": ()}
    return shapes


class Ranker:
    """The network that the docstring of this module describes, for predictions. Several threads may use it at the same
    time.

    Four of the `weights` are arrays [d] with a value for each input. `mean` and `scale` standardise the input. `reach`
    is the standard deviation of the standardised input, and limits how far an input may be from its mean. `gain`
    multiplies the standardised input. The weight `unit` scales the score to log views.

    Raises `LabError` if the names or shapes of `weights` differ from the result of `weight_shapes`.
    """

    def __init__(self, config: RankerConfig, weights: Weights) -> None:
        expected, shapes = weight_shapes(config), {name: array.shape for name, array in weights.items()}
        if shapes != expected:
            wrong = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
            raise LabError(
                f"the weights do not fit the architecture: {wrong[0]} has the shape {shapes.get(wrong[0])}, not "
                f"{expected.get(wrong[0])}"
            )
        self.config = config
        self.weights = dict(weights)

    def standardise(self, inputs: Float32s) -> Float32s:
        """Return the standardised inputs [n, d]."""
        weights = self.weights
        limit = FARTHEST * weights["reach"]
        standardised: Float32s = np.clip((inputs - weights["mean"]) * weights["scale"], -limit, limit)
        return standardised

    def predict(self, inputs: Float32s) -> Predictions:
        """Return the predictions for inputs [n, d], without any channel adapter."""
        linear, features = self._linear_and_trunk(inputs)
        score = (linear + self._pairwise(features)) * self.weights["unit"]
        return Predictions(score, partial(self._absolute, features))

    def scores(self, inputs: Float32s) -> Float32s:
        """Return the scores [n] of inputs [n, d], without any channel adapter. The other heads are not computed."""
        linear, features = self._linear_and_trunk(inputs)
        scores: Float32s = (linear + self._pairwise(features)) * self.weights["unit"]
        return scores

    def score_parts(self, inputs: Float32s) -> tuple[Float32s, Float32s]:
        """Return the two parts of the scores: what the linear model adds [n], and what the pairwise head adds [n]."""
        linear, features = self._linear_and_trunk(inputs)
        unit = self.weights["unit"]
        return linear * unit, self._pairwise(features) * unit

    def _linear_and_trunk(self, inputs: Float32s) -> tuple[Float32s, Float32s]:
        """Return the output of the linear model [n], not yet in log views, and the output of the trunk."""
        scaled = self.standardise(inputs) * self.weights["gain"]
        hidden = self._layer("trunk.1", scaled[:, : self.config.dense])
        centred = hidden - hidden.mean(axis=1, keepdims=True)
        normed = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(_EPSILON))
        features = _relu(normed * self.weights["trunk.2.weight"] + self.weights["trunk.2.bias"])
        linear: Float32s = scaled @ self.weights["linear.weight"][0]
        return linear, features

    def _pairwise(self, features: Float32s) -> Float32s:
        hidden = _relu(self._layer("pairwise.3", _relu(self._layer("pairwise.0", features))))
        return self._layer("pairwise.6", hidden)[:, 0]

    def _absolute(self, features: Float32s) -> Float32s:
        hidden = self._batch_normed("absolute.2", _relu(self._layer("absolute.0", features)))
        hidden = self._batch_normed("absolute.6", _relu(self._layer("absolute.4", hidden)))
        return _sigmoid(self._layer("absolute.8", hidden)[:, 0])

    def _layer(self, name: str, values: Float32s) -> Float32s:
        outputs: Float32s = values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return outputs

    def _batch_normed(self, name: str, values: Float32s) -> Float32s:
        mean, variance, weight, bias = (
            self.weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        deviation: Float32s = np.sqrt(variance + np.float32(_EPSILON))
        normed: Float32s = (values - mean) / deviation * weight + bias
        return normed


def _relu(values: Float32s) -> Float32s:
    return np.maximum(values, 0)


def _sigmoid(values: Float32s) -> Float32s:
    """Return the logistic function of each value. The form with tanh does not overflow."""
    half = np.float32(0.5)
    sigmoid: Float32s = half * np.tanh(half * values) + half
    return sigmoid

"""The ranking model: a network whose inputs describe the picture, the title, and how the two agree.

A linear model and a trunk read the inputs. Three kinds of heads (small networks) read the output of the trunk:

    inputs      d columns in blocks, see `thumblab_core.ranking.inputs`
    linear      d -> 1                      a linear model of all inputs
    trunk       the dense blocks -> 512     reads the blocks before `words`
    pairwise    512 -> 256 -> 128 -> 1      learns what the linear model misses
    absolute    512 -> 512 -> 256 -> 1      predicts engagement or true CTR, 0-1
    auxiliary   512 -> 256 -> 1, six heads  each predicts one sub-score, only to help the training of the trunk

The score is the output of the linear model plus that of the pairwise head. A few thousand videos are only enough to
train the linear model. The trunk does not read the two thousand columns of words, because it would only memorise
them.

The score is in log views, relative to what the channel's videos usually get. A picture whose score is higher by 1 is
expected to get e times (2.7 times) as many views. See `thumblab_core.ranking.adapters` for what a channel adapter adds.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Float32s
from thumblab_core.ranking.architecture import CONSTANT, FACTS_LENGTH, FARTHEST, Predictions, RankerConfig
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, FACTS_BLOCK, IMAGE, TITLE
from thumblab_core.sub_scores import NAMES

_LENGTHS = {IMAGE: 1.0, TITLE: 1.0, FACTS_BLOCK: FACTS_LENGTH, AGREEMENT_BLOCK: 1.0}

_GAIN = 20.0
"""Factor for the standardised inputs.

A vector of length 1 has hundreds of values, so each value is small. The factor brings the values near 1, which suits
usual learning rates.
"""


class Ranker(nn.Module):
    """The network that the docstring of this module describes.

    Four buffers have a value for each input [d]. `mean` and `scale` standardise the input. `reach` is the standard
    deviation of the standardised input. `gain` multiplies the standardised input. The buffer `unit` scales the score to
    log views.
    """

    mean: Tensor
    scale: Tensor
    reach: Tensor
    gain: Tensor
    unit: Tensor

    def __init__(self, config: RankerConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.register_buffer("mean", torch.zeros(config.inputs))
        self.register_buffer("scale", torch.ones(config.inputs))
        self.register_buffer("reach", torch.ones(config.inputs))
        self.register_buffer("gain", torch.full((config.inputs,), _GAIN))
        self.register_buffer("unit", torch.ones(()))
        self.linear = nn.Linear(config.inputs, 1, bias=False)
        self.trunk = nn.Sequential(nn.Dropout(0.2), nn.Linear(config.dense, hidden), nn.LayerNorm(hidden), nn.ReLU())
        self.pairwise = nn.Sequential(
            nn.Linear(hidden, 256), nn.ReLU(), nn.Dropout(0.15),
            nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(128, 1),
        )  # fmt: skip
        self.absolute = nn.Sequential(
            nn.Linear(hidden, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.2),
            nn.Linear(512, 256), nn.ReLU(), nn.BatchNorm1d(256), nn.Dropout(0.15),
            nn.Linear(256, 1), nn.Sigmoid(),
        )  # fmt: skip
        self.auxiliary = nn.ModuleList(
            nn.Sequential(
                nn.Linear(hidden, 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, 1), nn.Sigmoid()
            )
            for _ in NAMES
        )  # fmt: skip

    def fit_scale(self, inputs: Float32s) -> None:
        """Fit the standardisation to training inputs [n, d], with n of at least 2.

        Each block before `words` is scaled to the length that `_LENGTHS` gives. The blocks `words` and `length` are not
        changed. An input that is constant in training is set to 0, because nothing can be learnt from it. If it were
        divided by its tiny standard deviation, its first change after training would outweigh all other inputs.
        """
        layout = self.config.layout
        blocks = [(_LENGTHS[name], layout.sizes[name]) for name in _LENGTHS if layout.sizes[name]]
        lengths = np.concatenate([np.full(size, length / np.sqrt(size)) for length, size in blocks])
        dense = inputs[:, : layout.dense]
        self.mean[: layout.dense] = torch.from_numpy(dense.mean(axis=0))
        spread = dense.std(axis=0)
        scale = np.where(spread > CONSTANT, lengths / np.maximum(spread, CONSTANT), 0.0)
        self.scale[: layout.dense] = torch.from_numpy(scale.astype(np.float32))
        self.reach[: layout.dense] = torch.from_numpy(lengths.astype(np.float32))

    def standardise(self, inputs: Float32s) -> Float32s:
        """Return the standardised inputs [n, d]."""
        with torch.inference_mode():
            standardised: Float32s = self._standardised(torch.from_numpy(inputs)).numpy()
        return standardised

    @torch.no_grad()
    def start(self, line: Float32s, usual: float = 0.5) -> None:
        """Initialise the network so that its score is that of a linear model.

        `line`: the weights [d] of the linear model for standardised inputs.
        `usual`: the value between 0 and 1 that the absolute head predicts for every picture before it is trained.
        """
        expected = self.absolute[-2]
        assert isinstance(expected, nn.Linear)
        expected.weight.mul_(0.1)
        expected.bias.fill_(math.log(usual / (1 - usual)))
        self.linear.weight.copy_(torch.from_numpy(line) / self.gain)
        # The weights of the linear model are not trained any further. Training on pairs would only make them memorise
        # single words.
        self.linear.weight.requires_grad_(False)
        last = self.pairwise[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.zero_()

    @torch.no_grad()
    def scale_network(self, share: float) -> None:
        """Multiply the output of the pairwise head by `share`.

        The linear model, the absolute head and the auxiliary heads stay the same.
        """
        last = self.pairwise[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(share)
        last.bias.mul_(share)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return score [n], engagement [n] and sub-scores [n, 6] of inputs [n, d]."""
        score, features = self._score(inputs)
        auxiliary = torch.cat([head(features) for head in self.auxiliary], dim=1)
        return score, self.absolute(features).squeeze(1), auxiliary

    def _score(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score [n] of inputs [n, d], and the output of the trunk."""
        scaled = self._standardised(inputs) * self.gain
        features = self.trunk(scaled[:, : self.config.dense])
        return (self.linear(scaled) + self.pairwise(features)).squeeze(1) * self.unit, features

    def _standardised(self, inputs: Tensor) -> Tensor:
        limit = FARTHEST * self.reach
        return ((inputs - self.mean) * self.scale).clamp(-limit, limit)

    @torch.inference_mode()
    def predict(self, inputs: Float32s) -> Predictions:
        """Return the predictions for inputs [n, d], without any channel adapter. The result is deterministic."""
        self.eval()
        score, engagement, auxiliary = self(torch.from_numpy(inputs))
        return Predictions(score.numpy(), engagement.numpy(), auxiliary.numpy())

    @torch.inference_mode()
    def scores(self, inputs: Float32s) -> Float32s:
        """Return the scores [n] of inputs [n, d], without any channel adapter. The other heads are not computed."""
        self.eval()
        scores: Float32s = self._score(torch.from_numpy(inputs))[0].numpy()
        return scores

    @torch.inference_mode()
    def score_parts(self, inputs: Float32s) -> tuple[Float32s, Float32s]:
        """Return the two parts of the scores: what the linear model adds [n], and what the pairwise head adds [n]."""
        self.eval()
        scaled = self._standardised(torch.from_numpy(inputs)) * self.gain
        pairwise = self.pairwise(self.trunk(scaled[:, : self.config.dense]))
        linear, network = ((part.squeeze(1) * self.unit).numpy() for part in (self.linear(scaled), pairwise))
        return linear, network

"""Train the ranking model with PyTorch. `thumblab_core.ranking.ranker` defines the network and uses it for
predictions."""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Float32s
from thumblab_core.ranking.architecture import CONSTANT, FACTS_LENGTH, FARTHEST, RankerConfig
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, FACTS_BLOCK, IMAGE, TITLE
from thumblab_core.ranking.ranker import Ranker
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.statistics.mixed_rows import MixedRows

_LENGTHS = {IMAGE: 1.0, TITLE: 1.0, FACTS_BLOCK: FACTS_LENGTH, AGREEMENT_BLOCK: 1.0}

_GAIN = 20.0
"""Factor for the standardised inputs.

A vector of length 1 has hundreds of values, so each value is small. The factor makes the values about 1, which suits
usual learning rates.
"""


class TrainableRanker(nn.Module):
    """A `Ranker` whose weights can be trained. The trainable ranker and the `Ranker` have the same weights, with the
    same names."""

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

    def fit_scale(self, inputs: Float32s | MixedRows) -> None:
        """Fit the standardisation to training inputs [n, d], with n of at least 2.

        The inputs consist of blocks of columns. Each block before the block `words` is scaled to its length in
        `_LENGTHS`. The blocks `words` and `length` are not changed. An input that is constant in training is set to 0,
        because nothing can be learnt from it. If a constant input were divided by its tiny standard deviation, its
        first change after training would outweigh all other inputs.
        """
        layout = self.config.layout
        blocks = [(_LENGTHS[name], layout.sizes[name]) for name in _LENGTHS if layout.sizes[name]]
        lengths = np.concatenate([np.full(size, length / np.sqrt(size)) for length, size in blocks])
        mean, spread = MixedRows.of(inputs).through(lambda block: block[:, : layout.dense]).moments()
        self.mean[: layout.dense] = torch.from_numpy(mean)
        scale = np.where(spread > CONSTANT, lengths / np.maximum(spread, CONSTANT), 0.0)
        self.scale[: layout.dense] = torch.from_numpy(scale.astype(np.float32))
        self.reach[: layout.dense] = torch.from_numpy(lengths.astype(np.float32))

    @classmethod
    def of(cls, ranker: Ranker) -> Self:
        """Return a trainable copy of a ranker."""
        model = cls(ranker.config)
        model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in ranker.weights.items()})
        return model

    def ranker(self) -> Ranker:
        """Return a copy for predictions, which later training does not change."""
        return Ranker(self.config, {name: value.cpu().numpy().copy() for name, value in self.state_dict().items()})

    @torch.no_grad()
    def start(self, line: Float32s, usual: float = 0.5) -> None:
        """Initialise the network so that its score is equal to the score of a linear model.

        `line`: the weights [d] of the linear model for standardised inputs.
        `usual`: the value (0 to 1) that the absolute head predicts for every picture before training.
        """
        expected = self.absolute[-2]
        assert isinstance(expected, nn.Linear)
        expected.weight.mul_(0.1)
        expected.bias.fill_(math.log(usual / (1 - usual)))
        self.linear.weight.copy_(torch.from_numpy(line) / self.gain)
        # The weights of the linear model are not trained further. Training on pairs would only make these weights
        # memorise single words.
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
        limit = FARTHEST * self.reach
        scaled = ((inputs - self.mean) * self.scale).clamp(-limit, limit) * self.gain
        features = self.trunk(scaled[:, : self.config.dense])
        score = (self.linear(scaled) + self.pairwise(features)).squeeze(1) * self.unit
        auxiliary = torch.cat([head(features) for head in self.auxiliary], dim=1)
        return score, self.absolute(features).squeeze(1), auxiliary

"""The ranking model: a network over [picture; title; the title's facts and words], with three kinds of heads.

    inputs      picture d_i; title d_t; FACTS; WORDS: see `join`; standardised, each block to length 1
    linear      d -> 1                      a straight line, which is all that a few thousand videos can teach
    trunk       d but WORDS -> 512          of two thousand columns of words it would only remember
    pairwise    512 -> 256 -> 128 -> 1      what the line misses; line and head together are the score
    absolute    512 -> 512 -> 256 -> 1      engagement 0-1: the expected percentile among the channel's own videos
    auxiliary   512 -> 256 -> 1, six times  the measured sub-scores, which keep the trunk on what is in the picture

The score is in log views: one more means e times the views that the channel's videos usually have, as far as the model can
tell. What the channel's own history adds is in `thumblab_core.ranking.adapters`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from thumblab_core.arrays import Float32s
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.ranking.title_facts import FACTS, VERSION, WORDS, title_facts, title_words
from thumblab_core.sub_scores import NAMES

_FACTS_LENGTH = 0.5
_CONSTANT = 1e-4
_FARTHEST = 5.0
"""Standard deviations: what is rarer counts as no rarer than this."""

_GAIN = 20.0
"""A block of length 1 times this has numbers near 1, which is what a network learns from at its usual step size."""


@dataclass(frozen=True)
class RankerConfig:
    """The architecture, the encoders whose spaces it was trained in, and the version of the title facts."""

    image_encoder: str
    title_encoder: str
    image_dimension: int
    title_dimension: int
    hidden: int = 512
    title_facts: int = VERSION

    @property
    def dense(self) -> int:
        """How many numbers a thumbnail with its title is, but for words."""
        return self.image_dimension + self.title_dimension + FACTS

    @property
    def inputs(self) -> int:
        """How many numbers in all: d."""
        return self.dense + WORDS


@dataclass(frozen=True)
class Predictions:
    """Per thumbnail: score [n] in log views, engagement 0-1 [n] and sub-scores 0-1 [n, 6]."""

    score: Float32s
    engagement: Float32s
    sub_scores: Float32s


class Ranker(nn.Module):
    """See the module."""

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
        """Standardise by the training inputs [n, d], n of 2 or more. Words are left as they are.

        What is the same in all of them is not looked at: nothing was learnt of it, and a first change would drown the rest.
        """
        sizes = self.config.image_dimension, self.config.title_dimension, FACTS
        dense = inputs[:, : self.config.dense]
        lengths = np.repeat([1.0, 1.0, _FACTS_LENGTH], sizes) / np.sqrt(np.repeat(sizes, sizes))
        self.mean[: self.config.dense] = torch.from_numpy(dense.mean(axis=0))
        spread = dense.std(axis=0)
        scale = np.where(spread > _CONSTANT, lengths / np.maximum(spread, _CONSTANT), 0.0)
        self.scale[: self.config.dense] = torch.from_numpy(scale.astype(np.float32))
        self.reach[: self.config.dense] = torch.from_numpy(lengths.astype(np.float32))

    def standardise(self, inputs: Float32s) -> Float32s:
        """Inputs [n, d] as the model compares them."""
        with torch.inference_mode():
            standardised: Float32s = self._standardised(torch.from_numpy(inputs)).numpy()
        return standardised

    @torch.no_grad()
    def start(self, line: Float32s, image_length: float, usual: float = 0.5) -> None:
        """Begin as a straight line [d] over standardised inputs, and look at pictures `image_length` times as hard.

        `usual`: what the absolute head says of everything at first, above 0 and below 1.
        """
        expected = self.absolute[-2]
        assert isinstance(expected, nn.Linear)
        expected.weight.mul_(0.1)
        expected.bias.fill_(math.log(usual / (1 - usual)))
        self.gain[: self.config.image_dimension] = _GAIN * image_length
        self.linear.weight.copy_(torch.from_numpy(line) / self.gain)
        self.linear.weight.requires_grad_(False)  # what pairs add to it is what they remember of single words
        last = self.pairwise[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.zero_()

    @torch.no_grad()
    def take(self, share: float) -> None:
        """Take so much of what the network says beside the line; the other heads stay as they are."""
        last = self.pairwise[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(share)
        last.bias.mul_(share)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[n, d] to score [n], engagement [n] and sub-scores [n, 6]."""
        scaled = self._standardised(inputs) * self.gain
        features = self.trunk(scaled[:, : self.config.dense])
        score = (self.linear(scaled) + self.pairwise(features)).squeeze(1) * self.unit
        auxiliary = torch.cat([head(features) for head in self.auxiliary], dim=1)
        return score, self.absolute(features).squeeze(1), auxiliary

    def _standardised(self, inputs: Tensor) -> Tensor:
        far = _FARTHEST * self.reach
        return ((inputs - self.mean) * self.scale).clamp(-far, far)

    @torch.inference_mode()
    def predict(self, inputs: Float32s) -> Predictions:
        """Inputs [n, d] to predictions; deterministic, and no channel's history in it."""
        self.eval()
        score, engagement, auxiliary = self(torch.from_numpy(inputs))
        return Predictions(score.numpy(), engagement.numpy(), auxiliary.numpy())


def join(images: Vectors, titles: Vectors, texts: Sequence[str], facts: int = VERSION) -> Float32s:
    """The inputs, float32 [n, d], of image vectors [n, d_i], title vectors [n, d_t] and the n titles themselves.

    `facts`: the version of the title facts that the model learnt from, `RankerConfig.title_facts`.
    """
    parts = images, titles, title_facts(texts, facts), title_words(texts)
    return np.concatenate(parts, axis=1, dtype=np.float32)

"""The ranking model: a trunk over [picture, title], and three kinds of heads.

    trunk       [image d_i; title d_t], standardised -> 512
    pairwise    512 -> 256 -> 128 -> 1      a score; the higher of two thumbnails of a channel is expected to win
    absolute    512 -> 512 -> 256 -> 1      engagement 0-1: the expected percentile among the channel's own videos
    auxiliary   512 -> 256 -> 1, six times  the measured sub-scores, which keep the trunk on what is in the picture

Files of a release: `model.safetensors`, `config.json` (the architecture and what it was trained on), `calibration.json`.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.releases import Release
from thumblab_core.sub_scores import NAMES


@dataclass(frozen=True)
class RankerConfig:
    """The architecture, and the encoders whose spaces it was trained in."""

    image_encoder: str
    title_encoder: str
    image_dimension: int
    title_dimension: int
    hidden: int = 512


@dataclass(frozen=True)
class Calibration:
    """What turns the model's score into answers.

    `slope`: the score difference that makes the log odds of winning one is 1/slope. `quantiles`: per niche, the 101
    percentiles of the score over the niche's library.
    """

    slope: float
    quantiles: dict[str, list[float]]

    def percentile(self, score: float, niche: str) -> float | None:
        """Where a score stands in the niche's library, 0 to 100; None for a niche that was not there at training."""
        if niche not in self.quantiles:
            return None
        return float(np.interp(score, self.quantiles[niche], np.arange(101.0)))

    def win_probabilities(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """[n] scores to [n] probabilities of being the best of the n (Bradley-Terry-Luce)."""
        logits = self.slope * np.asarray(scores, np.float64)
        odds = np.exp(logits - logits.max())
        chances: npt.NDArray[np.float64] = odds / odds.sum()
        return chances


@dataclass(frozen=True)
class Predictions:
    """Per thumbnail: pairwise score [n], engagement 0-1 [n] and sub-scores 0-1 [n, 6]."""

    score: npt.NDArray[np.float32]
    engagement: npt.NDArray[np.float32]
    sub_scores: npt.NDArray[np.float32]


class Ranker(nn.Module):
    """See the module."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: RankerConfig) -> None:
        super().__init__()
        self.config = config
        inputs, hidden = config.image_dimension + config.title_dimension, config.hidden
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.trunk = nn.Sequential(nn.Dropout(0.2), nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.ReLU())
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

    def fit_scale(self, inputs: Tensor) -> None:
        """Standardise by the training inputs [n, d_i + d_t]."""
        self.mean.copy_(inputs.mean(dim=0))
        self.scale.copy_(inputs.std(dim=0).clamp_min(1e-4))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[n, d_i + d_t] to pairwise score [n], engagement [n] and sub-scores [n, 6]."""
        features = self.trunk((inputs - self.mean) / self.scale)
        auxiliary = torch.cat([head(features) for head in self.auxiliary], dim=1)
        return self.pairwise(features).squeeze(1), self.absolute(features).squeeze(1), auxiliary

    @torch.inference_mode()
    def predict(self, images: Vectors, titles: Vectors) -> Predictions:
        """Image vectors [n, d_i] and title vectors [n, d_t] to predictions; deterministic."""
        self.eval()
        score, engagement, auxiliary = self(torch.from_numpy(join(images, titles)))
        return Predictions(score.numpy(), engagement.numpy(), auxiliary.numpy())


def join(images: Vectors, titles: Vectors) -> Vectors:
    """The model's input, float32 [n, d_i + d_t]."""
    return np.concatenate([images, titles], axis=1).astype(np.float32)


@dataclass(frozen=True)
class TrainedRanker:
    """A model, what turns its scores into answers, and how it was trained."""

    model: Ranker
    calibration: Calibration
    training: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the files of a release into an empty folder."""
        from safetensors.torch import save_file

        save_file(dict(self.model.state_dict()), folder / "model.safetensors")
        config = {"architecture": asdict(self.model.config), "training": self.training}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
        (folder / "calibration.json").write_text(json.dumps(asdict(self.calibration)))

    @classmethod
    def load(cls, release: Release) -> Self:
        """Load and verify a release. Raises `LabError` when it is damaged or of another architecture."""
        release.verify()
        return cls.load_files(release.path)

    @classmethod
    def load_files(cls, folder: Path) -> Self:
        """Load the files that `save` wrote."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text())
        model = Ranker(RankerConfig(**config["architecture"]))
        try:
            model.load_state_dict(load_file(folder / "model.safetensors"))
        except (RuntimeError, SafetensorError) as error:
            raise LabError(f"{folder.name}: the weights are not of this architecture ({str(error)[:200]})") from None
        model.eval()
        return cls(model, Calibration(**json.loads((folder / "calibration.json").read_text())), config["training"])

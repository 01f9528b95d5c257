"""Fit a small model in a separate process with `python fit_child.py FOLDER '{"epochs": 5}' [CHECKPOINTS [LOGS]]`.

The process writes its weights and its history into `FOLDER`, and writes a line for each epoch to stdout. The JSON
object changes settings of the training. `CHECKPOINTS` and `LOGS` are folders for checkpoints and for TensorBoard's
logs. Tests kill this process and resume its training, or train in several such processes.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.config import TrainConfig, TrainingFolders
from thumblab_pipelines.training.fitting import fit
from thumblab_pipelines.training.processes.distributed import ProcessGroup

QUICK = {
    "epochs": 6,
    "patience": 0,
    "pairs_per_step": 128,
    "pairs_per_block": 32,
    "pairs_per_video": 0,
    "learning_rate": 1e-2,
}


def planted(channels: int = 10, videos: int = 30, signal: float = 3.0, seed: int = 0) -> TrainingArrays:
    """Return random training data. In each pair of videos, the video with the larger quality wins.

    The two videos of a pair are of the same channel. The quality of a video is its first input times `signal`, plus
    noise. The inputs of a video are two unit vectors, of 16 and of 8 numbers. A video also has an engagement and six
    sub-scores, which the model learns to predict. The engagement and the last sub-score are unknown for some videos.
    """
    random = np.random.default_rng(seed)
    n = channels * videos
    inputs = np.concatenate([unit(random.standard_normal((n, d))) for d in (16, 8)], axis=1).astype(np.float32)
    quality = signal * inputs[:, 0] + 0.3 * random.standard_normal(n)
    first, second = np.triu_indices(videos, 1)
    chosen = [random.choice(len(first), 6 * videos, replace=False) + i * len(first) for i in range(channels)]
    pairs = np.concatenate(chosen)
    base = pairs // len(first) * videos
    left, right = first[pairs % len(first)] + base, second[pairs % len(first)] + base
    winners = np.where(quality[left] > quality[right], left, right)
    losers = left + right - winners
    held = 2 * 6 * videos
    engagement = (quality.argsort().argsort() / n).astype(np.float32)
    engagement[::7] = np.nan
    sub_scores = random.random((n, 6)).astype(np.float32)
    sub_scores[::5, 5] = np.nan
    return TrainingArrays(inputs, winners[held:], losers[held:], engagement, sub_scores, winners[:held], losers[:held])


class Tiny(nn.Module):
    """A small model with the same kinds of parts as the ranker.

    A trunk with dropout computes features from the inputs. From these features, three heads compute the score, the
    engagement and the six sub-scores.
    """

    def __init__(self, inputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, 24), nn.ReLU())
        self.pairwise = nn.Linear(24, 1)
        self.absolute = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Linear(16, 1), nn.Sigmoid())
        self.auxiliary = nn.Sequential(nn.Linear(24, 6), nn.Sigmoid())

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.trunk(4 * inputs)
        return self.pairwise(features)[:, 0], self.absolute(features)[:, 0], self.auxiliary(features)


def fresh(arrays: TrainingArrays, dropout: float = 0.1) -> Tiny:
    """Return a new model. The weights of the model are the same on each call."""
    torch.manual_seed(1)
    return Tiny(arrays.inputs.shape[1], dropout)


def main(folder: str, changes: str, checkpoints: str = "", logs: str = "") -> None:
    options: dict[str, Any] = json.loads(changes)
    dropout, every = options.pop("dropout", 0.1), options.pop("checkpoint_every", 2)
    config = TrainConfig(**QUICK | options)
    arrays = planted()
    model, history = fit(
        arrays,
        config,
        fresh(arrays, dropout),
        on_epoch=lambda epoch: print(f"epoch {epoch.epoch}", flush=True),
        folders=TrainingFolders(*(Path(folder) if folder else None for folder in (checkpoints, logs))),
        checkpoint_every=every,
    )
    rank = os.environ.get("RANK", "0")
    group = ProcessGroup()
    assert group.agree("ab" * 32)
    assert group.agree(f"{int(rank):012d}") == (group.size == 1)
    save_file(model.state_dict(), Path(folder) / f"weights-{rank}.safetensors")
    (Path(folder) / f"history-{rank}.json").write_text(json.dumps([asdict(epoch) for epoch in history]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except LabError as error:
        sys.exit(str(error))

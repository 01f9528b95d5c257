"""Settings and results of a training. Importing them does not import torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Losses and their constants are those of docs/training-recipe.md; the learning rate suits small
    data.

    Length       `epochs`, unless the validation AUC has not risen for `patience` epochs (0: no early stopping). The
                 weights of the last epoch are kept, because the other heads need longer than the pairwise head.
                 Validation chooses afterwards how much of the network's output is added to the linear score.
    An epoch     visits every pair once, or `pairs_per_video` times as many pairs as there are videos if that is fewer
                 (0: no limit), `pairs_per_step` at a time. A step consists of blocks of about `pairs_per_block` pairs
                 that share videos. Larger blocks compute fewer videos for the same pairs; blocks of 1 draw each pair by
                 itself.
    Step size    AdamW with `weight_decay`. `learning_rate` is reached after the share `warm_up` of all steps (0: at
                 once) and decays to zero along a cosine. Gradients are clipped to the norm `clip_norm` (0: never).
    Pair loss    "margin": the winner scores at least `margin` above the loser. "ranknet": the logistic loss of the
                 difference (Bradley-Terry). Pairs whose labels differ by less than `least_margin` are left out.
    Other heads  mean squared errors, weighted by `absolute_weight` and `auxiliary_weight`.
    Smoothing    `label_smoothing` moves the engagement target, and the outcome of a ranknet pair, towards one half
                 (0: off).
    Mixup        each pair is mixed with another pair, in a share drawn from Beta(A, A) with A = `mixup_alpha` (0: off).
                 Pairs then share no videos any more, so a step costs several times more.
    SWA          from epoch `swa_start` on (0: off) the learning rate stays constant, early stopping is off, and the
                 weights after each epoch are averaged. The average is kept if its validation AUC is at least that of
                 the last epoch.
    """

    epochs: int = 30
    patience: int = 8
    pairs_per_step: int = 256
    pairs_per_block: int = 64
    pairs_per_video: int = 1
    learning_rate: float = 3e-4
    warm_up: float = 0.1
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    pair_loss: Literal["margin", "ranknet"] = "margin"
    margin: float = 0.1
    least_margin: float = 0.1
    label_smoothing: float = 0.15
    mixup_alpha: float = 0.0
    swa_start: int = 0
    absolute_weight: float = 0.2
    auxiliary_weight: float = 0.2
    seed: int = 7


@dataclass(frozen=True)
class TrainingFolders:
    """Where a training writes: its state, from which it can be resumed, and TensorBoard logs. None writes nothing."""

    checkpoints: Path | None = None
    logs: Path | None = None

    def below(self, name: str) -> "TrainingFolders":
        """Return the folders `name` inside these."""
        return TrainingFolders(self.checkpoints and self.checkpoints / name, self.logs and self.logs / name)


NO_FOLDERS = TrainingFolders()
"""Of a training that cannot be resumed and logs nothing."""


@dataclass(frozen=True)
class Epoch:
    """The mean losses of one epoch, and the validation AUC after it; None without validation pairs."""

    epoch: int
    pair_loss: float
    absolute_loss: float
    auxiliary_loss: float
    validation_auc: float | None

"""Define the settings and the results of a training. Importing this module does not import torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thumblab_core.errors import LabError


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training. docs/training-recipe.md explains the losses.

    The default learning rate is chosen for small data sets.

    Length       The training has `epochs` epochs. Training stops early if the validation AUC has not risen for
                 `patience` epochs. A `patience` of 0 turns early stopping off. The weights of the last epoch are kept,
                 not the weights of the epoch with the best AUC. The AUC depends only on the pairwise head, which gives
                 the score, but the heads for engagement and sub-scores need more epochs. The score is a linear score
                 plus a share of the network's output. The network's share is chosen last, on the validation pairs.
    An epoch     An epoch visits every pair at most once. With v videos, an epoch visits at most v * `pairs_per_video`
                 pairs. If `pairs_per_video` is 0, an epoch visits all pairs. A step visits `pairs_per_step` pairs, in
                 blocks of about `pairs_per_block` pairs that share videos. With larger blocks, the model has to score
                 fewer videos for the same number of pairs. With blocks of 1, each pair is drawn separately.
    Step size    The optimiser is AdamW with `weight_decay`. During the first steps, the learning rate rises to
                 `learning_rate`. `warm_up` is the share of all steps in which the rate rises. Then the rate decays to
                 zero along a cosine. With a `warm_up` of 0, the rate starts at `learning_rate`. Gradients are clipped
                 to the norm `clip_norm`. A `clip_norm` of 0 turns clipping off.
    Pair loss    "margin" requires that the winner scores at least `margin` above the loser. "ranknet" is the logistic
                 loss of the difference of the scores (Bradley-Terry). Pairs whose margin (1 - views of the loser /
                 views of the winner) is less than `least_margin` are left out.
    Other heads  The absolute head predicts engagement, and the auxiliary heads predict the sub-scores. The losses of
                 both kinds of heads are mean squared errors with the weights `absolute_weight` and `auxiliary_weight`.
    Smoothing    `label_smoothing` moves the engagement target, and the outcome of a ranknet pair, towards one half. A
                 value of 0 turns smoothing off.
    Mixup        Each pair is mixed with another pair. The mixing share is drawn from Beta(A, A) with A = `mixup_alpha`.
                 An A of 0 turns mixup off. With mixup, two rows are computed for every pair, even if pairs share
                 videos, so a step takes several times longer.
    Pictures     With `partial_out`, the picture weights of the linear model are fitted to the views minus the views
                 that the context predicts. A `partial_out` of False uses the plain views, for comparison. See
                 `thumblab_pipelines.training.linear`.
    Averaging    `swa_start` is for stochastic weight averaging (SWA). From epoch `swa_start` on, the learning rate
                 stays constant, early stopping is off, and the weights after each epoch are averaged. A `swa_start` of
                 0 turns averaging off. The average is kept if its validation AUC is at least the AUC of the last epoch.
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
    partial_out: bool = True
    absolute_weight: float = 0.2
    auxiliary_weight: float = 0.2
    seed: int = 7


@dataclass(frozen=True)
class TrainingFolders:
    """The folders to which a training writes. If a folder is None, nothing is written.

    `checkpoints`: for the state from which the training can be resumed. `logs`: for the logs of TensorBoard.
    """

    checkpoints: Path | None = None
    logs: Path | None = None

    def below(self, name: str) -> "TrainingFolders":
        """Return the two subfolders called `name`, one in each of these folders."""
        return TrainingFolders(self.checkpoints and self.checkpoints / name, self.logs and self.logs / name)

    def resolved(self) -> "TrainingFolders":
        """Return these folders with absolute paths, for a process with another working directory."""
        return TrainingFolders(self.checkpoints and self.checkpoints.resolve(), self.logs and self.logs.resolve())


NO_FOLDERS = TrainingFolders()
"""No folders: the training cannot be resumed and writes no logs."""


@dataclass(frozen=True)
class Epoch:
    """The mean losses of one epoch, and the AUC on the validation pairs after this epoch.

    `validation_auc` is None if there are no validation pairs.
    """

    epoch: int
    pair_loss: float
    absolute_loss: float
    auxiliary_loss: float
    validation_auc: float | None


class TrainingStoppedError(LabError):
    """Raised after SIGTERM has stopped the training.

    Another call with the same arguments resumes the training from the saved state.
    """

    transient = True

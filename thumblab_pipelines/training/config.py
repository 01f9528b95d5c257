"""How a model is trained, and what is told of each epoch; apart from the training, so that reading it costs no torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Losses and their constants are those of the training document; the learning rate is for small data.

    Length       `epochs`, unless the validation AUC has not risen for `patience` of them (0: never stop early). The last
                 epoch is kept, for its other heads have learnt longest; how much of what the network adds to the line is
                 taken is chosen by validation afterwards.
    An epoch     visits every pair once, or `pairs_per_video` times as many pairs as there are videos if that is less (0: no
                 limit), `pairs_per_step` at a time. A step is made of blocks of about `pairs_per_block` pairs that share
                 videos: larger blocks compute fewer videos for the same pairs, blocks of 1 draw every pair by itself.
    Step size    AdamW with `weight_decay`; `learning_rate` is reached after the share `warm_up` of all steps (0: at once)
                 and falls to nothing along a cosine; gradients are cut to `clip_norm` (0: never).
    Pair loss    "margin": winner above loser by `margin`; "ranknet": the logistic loss of the difference (Bradley-Terry).
                 Pairs whose own margin is below `least_margin` are left out.
    Other heads  mean squared errors, weighted by `absolute_weight` and `auxiliary_weight`.
    Smoothing    `label_smoothing` draws the engagement target, and the outcome of a ranknet pair, towards one half (0: off).
    Mixup        a Beta(`mixup_alpha`, `mixup_alpha`) share of each pair is replaced by another pair (0: off). It makes every
                 pair two inputs of its own, so a step costs several times more.
    SWA          from epoch `swa_start` (0: off) the learning rate stays where it is, training is no longer stopped early,
                 and the weights after each epoch are averaged; the average is kept if it orders validation no worse
                 than the last epoch does.
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
class Epoch:
    """The mean losses of one epoch, and the validation AUC after it; None where there are no validation pairs."""

    epoch: int
    pair_loss: float
    absolute_loss: float
    auxiliary_loss: float
    validation_auc: float | None

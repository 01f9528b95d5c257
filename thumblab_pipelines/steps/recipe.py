"""How a model is trained, and what is told of each epoch; apart from the training, so that reading it costs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Losses and their constants are those of the training document; the learning rate is for small data."""

    epochs: int = 30
    patience: int = 8
    pairs_per_step: int = 256
    pairs_per_video: int = 1
    learning_rate: float = 3e-4
    weight_decay: float = 0.05
    margin: float = 0.1
    label_smoothing: float = 0.15
    least_margin: float = 0.1
    absolute_weight: float = 0.2
    auxiliary_weight: float = 0.2
    clip_norm: float = 1.0
    seed: int = 7


@dataclass(frozen=True)
class Epoch:
    """The mean losses of one epoch, and the validation AUC after it."""

    epoch: int
    pair_loss: float
    absolute_loss: float
    auxiliary_loss: float
    validation_auc: float | None

"""Scores of videos that the scoring model was not trained on."""

from dataclasses import dataclass

from thumblab_core.arrays import Floats


@dataclass(frozen=True)
class HeldOut:
    """What the trained models say of every video of the dataset, scores [n] each.

    `future`: the model, trained and adapted on the first part of each channel; `future_unadapted`: its global part alone.
    `new`: for each channel, of a model that never saw it, NaN where none could be trained; `adapted`: that, adapted on the
    channel's own first 80 % (rows of the training and the validation part). `slope` and `slope_adapted` make differences of
    unadapted and of adapted scores log odds of winning.
    """

    future: Floats
    future_unadapted: Floats
    new: Floats
    adapted: Floats
    slope: float
    slope_adapted: float

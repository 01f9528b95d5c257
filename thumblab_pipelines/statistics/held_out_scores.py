"""Scores of videos by models that were not trained on them."""

from dataclasses import dataclass

from thumblab_core.arrays import Floats


@dataclass(frozen=True)
class HeldOutScores:
    """Scores [n] of the n videos of a dataset, by the trained model and by models trained without a fold of channels.

    Parameters
    ----------
    future
        Scores of the model that is released: trained and adapted on the first part of each channel.
    future_unadapted
        Scores of the same model without channel adapters.
    new
        For each channel, scores of a model that was trained without that channel; NaN where none could be trained.
    adapted
        Scores of the models of `new`, adapted on the first 80 % of the channel (its training and validation rows).
    slope, slope_adapted
        Factors that turn a difference of unadapted or of adapted scores into the log odds of winning.
    """

    future: Floats
    future_unadapted: Floats
    new: Floats
    adapted: Floats
    slope: float
    slope_adapted: float

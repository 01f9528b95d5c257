"""Fit the slopes that turn score differences into win probabilities, for two pictures under one title.

A score difference between two whole videos comes from their pictures and from their titles. A slope that was fitted to
whole videos would therefore be too steep or too flat for pictures alone. In this module, a logistic regression predicts
which of two videos got more views. The first input of the regression is the part of the score difference that comes
from the pictures. The second input is the rest of the score difference. The third input is the difference of the views
that the two contexts predict (`Context`). The slope is the coefficient of the first input.

If enough experiments are known, the slopes are fitted to experiments instead of pairs of videos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float64s, Floats
from thumblab_core.ranking.trained_ranker import EXPERIMENTS, PACKAGES, VIDEOS, FittedTo
from thumblab_pipelines.statistics.calibration import LEAST_SLOPE, fit_coefficients, fit_slope
from thumblab_pipelines.statistics.held_out_scores import PictureGaps
from thumblab_pipelines.training.context import Context
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.picture_gaps import pair_sides

LEAST_PAIRS_FOR_SLOPE = 50
"""Minimum number of pairs for fitting a slope. With fewer pairs, the slope that was fitted to whole videos is used."""


@dataclass(frozen=True)
class SlopeData:
    """The data to which a slope for pictures under one title is fitted.

    Parameters
    ----------
    pictures
        The picture gaps of pairs of videos.
    scores
        The scores of the videos [n], each under its own title, by the models that gave the picture gaps.
    slope
        The slope that was fitted to whole videos (picture and title).
    experiments
        The result of `training_experiment_gaps`: for each experiment, the score of the better picture minus the score
        of the worse picture. The result is empty if there are too few experiments.
    """

    pictures: PictureGaps
    scores: Floats
    slope: float
    experiments: Float64s


def one_title_slopes(
    corpus: Corpus, unadapted: SlopeData, adapted: SlopeData
) -> tuple[tuple[float, float], tuple[FittedTo, FittedTo]]:
    """Return two slopes for the question *one title*, and which data each slope was fitted to.

    The first slope is for scores without channel adapters, the second slope for scores with channel adapters.

    If there are too few experiments, a slope is fitted to pairs of known videos. Then it is at most the slope for whole
    videos. A steeper slope would claim more certainty, and only experiments could justify this claim.
    """
    context = Context.of(corpus.data, corpus.known)
    (first, first_from), (second, second_from) = (_slope(corpus, context, data) for data in (unadapted, adapted))
    return (first, second), (first_from, second_from)


def _slope(corpus: Corpus, context: Context, data: SlopeData) -> tuple[float, FittedTo]:
    if len(data.experiments):
        return fit_slope(data.experiments), EXPERIMENTS
    winners, losers = pair_sides(corpus, data.pictures.pairs)
    from_pictures = data.pictures.gaps.mean(axis=1)
    rest = data.scores[winners] - data.scores[losers] - from_pictures
    from_context = context.predicted[winners] - context.predicted[losers]
    gaps = np.stack([from_pictures, rest, from_context], axis=1)
    gaps = gaps[np.isfinite(gaps).all(axis=1)]
    if len(gaps) < LEAST_PAIRS_FOR_SLOPE:
        return data.slope, PACKAGES
    return float(np.clip(fit_coefficients(gaps)[0], LEAST_SLOPE, data.slope)), VIDEOS

"""Fit the slopes that turn score differences into win probabilities, for two pictures under one title.

A score difference between two whole videos comes from their pictures and from their titles. A slope that was fitted to
whole videos would therefore be too steep or too flat for pictures alone. Here, the video of a pair with the higher
residual of `Context` counts as the winner. If enough experiments are known, the slopes are fitted to them instead of
pairs of videos.
"""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Flags, Float64s
from thumblab_core.ranking.trained_ranker import EXPERIMENTS, RESIDUALS, FittedTo
from thumblab_pipelines.dataset.splits import VALIDATION
from thumblab_pipelines.statistics.calibration import fit_slope
from thumblab_pipelines.statistics.held_out_scores import PictureGaps
from thumblab_pipelines.training.context import Context
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.picture_gaps import OneTitleScorer, pair_sides

LEAST_PAIRS_FOR_SLOPE = 50
"""Minimum number of pairs for fitting a slope. With fewer, the slope of whole videos is used."""


def one_title_slopes(
    corpus: Corpus,
    unseen: PictureGaps,
    early: OneTitleScorer,
    slopes: tuple[float, float],
    experiments: tuple[Float64s, Float64s],
) -> tuple[tuple[float, float], tuple[FittedTo, FittedTo]]:
    """Return the slopes for unadapted and for adapted scores of pictures under one title, and what each was fitted to.

    Without enough experiments, a slope is fitted to residuals, and is not above the slope of whole videos. A
    steeper slope would claim more certainty, and only tests of pictures under one title could justify it.

    Parameters
    ----------
    unseen
        The picture gaps by models that were trained without the channels of the pairs. A pair is used only if both
        videos are in the training part or the validation part.
    early
        The released model, with adapters that were fitted to the training part only. Its scores of the validation pairs
        give the slope for adapted scores.
    slopes
        The slopes of whole videos, for unadapted and for adapted scores.
    experiments
        The results of `training_experiment_gaps` for unadapted and for adapted scores. They say how far the better
        picture of each experiment scores above the other one. They are empty if there are too few experiments.
    """
    context = Context.of(corpus.data, corpus.known)
    parts = corpus.data.pairs.part.to_numpy(object)
    validation = np.flatnonzero(parts == VALIDATION)
    adapted = PictureGaps(validation, early.gaps(validation))
    fitted = [
        (fit_slope(tested), EXPERIMENTS) if len(tested) else (_slope(corpus, context, gaps, slope), RESIDUALS)
        for gaps, slope, tested in zip((unseen, adapted), slopes, experiments, strict=True)
    ]
    (unadapted, unadapted_from), (with_adapter, adapted_from) = fitted
    return (unadapted, with_adapter), (unadapted_from, adapted_from)


def _slope(corpus: Corpus, context: Context, pictures: PictureGaps, most: float) -> float:
    winners, losers = pair_sides(corpus, pictures.pairs)
    residual = context.residual[winners] - context.residual[losers]
    chosen: Flags = np.isfinite(residual) & (residual != 0)
    if chosen.sum() < LEAST_PAIRS_FOR_SLOPE:
        return most
    return min(most, fit_slope((np.sign(residual) * pictures.gaps.mean(axis=1))[chosen]))

"""Fit the slopes that turn score differences into win probabilities, for two pictures under one title.

A score difference between two whole videos comes from their pictures and from their titles. A slope that was fitted to
whole videos would therefore be too steep or too flat for pictures alone. Of a pair, the video with the higher residual
of `Context` counts as the winner.
"""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Flags
from thumblab_pipelines.dataset.splits import VALIDATION
from thumblab_pipelines.statistics.calibration import fit_slope
from thumblab_pipelines.statistics.held_out_scores import PictureGaps
from thumblab_pipelines.training.context import Context
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.picture_gaps import OneTitleScorer, pair_sides

LEAST_PAIRS_FOR_SLOPE = 50
"""Minimum number of pairs for fitting a slope. With fewer, the slope of whole videos is used."""


def one_title_slopes(
    corpus: Corpus, unseen: PictureGaps, early: OneTitleScorer, slopes: tuple[float, float]
) -> tuple[float, float]:
    """Return the slope for unadapted and for adapted scores of pictures under one title.

    No slope is above the slope of whole videos. A steeper slope would claim more certainty, and there are too few real
    tests of pictures under one title to justify it.

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
    """
    context = Context.of(corpus.data, corpus.known)
    parts = corpus.data.pairs.part.to_numpy(object)
    validation = np.flatnonzero(parts == VALIDATION)
    adapted = PictureGaps(validation, early.gaps(validation))
    unadapted_slope, adapted_slope = (
        _slope(corpus, context, gaps, slope) for gaps, slope in zip((unseen, adapted), slopes, strict=True)
    )
    return unadapted_slope, adapted_slope


def _slope(corpus: Corpus, context: Context, pictures: PictureGaps, most: float) -> float:
    winners, losers = pair_sides(corpus, pictures.pairs)
    residual = context.residual[winners] - context.residual[losers]
    chosen: Flags = np.isfinite(residual) & (residual != 0)
    if chosen.sum() < LEAST_PAIRS_FOR_SLOPE:
        return most
    return min(most, fit_slope((np.sign(residual) * pictures.gaps.mean(axis=1))[chosen]))

"""Evaluate the question *one video*: which of two pictures that one video showed is better?

The better picture is known from an experiment, or from the views before and after a change of the thumbnail.
Experiments and changes have separate figures, so each of these two sources is a slice of the question. Only decided
pairs are evaluated, see docs/training-pairs.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.ranking.skill import EXPERIMENT, ONE_VIDEO
from thumblab_pipelines.dataset.one_video import CHANGED_THUMBNAIL, OneVideoPairs
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.evaluation.figures import (
    MODEL,
    Evaluation,
    Place,
    Sides,
    calibration_figures,
    channel_mean_figure,
    mean_figure,
)
from thumblab_pipelines.statistics.calibration import too_close
from thumblab_pipelines.statistics.held_out_scores import OneVideoGaps
from thumblab_pipelines.statistics.metrics import numbered

SOURCES = (EXPERIMENT, CHANGED_THUMBNAIL)
"""The slices of the question *one video*. Each slice has the pairs of one source."""


def evaluate_one_video(
    split: str, pairs: OneVideoPairs, scorers: Mapping[str, OneVideoGaps], slope: float
) -> Iterator[Evaluation]:
    """Yield the figures of scorers for the question *one video*.

    A scorer is the model or a ranking that the model is compared with. `scorers` has the score gaps of each scorer by
    its name, and must contain the model. `split` is the name of the split of all figures. Each of the two sources of
    pairs has its own figures. A source without pairs has no figures.

    For each scorer, the figures are the AUC and the mean of the AUCs of single channels. For the model, further figures
    are the calibration of its win probabilities, and the share of pairs that are too close to call. `slope` turns a
    difference of the model's scores into the log odds of winning.
    """
    for source in SOURCES:
        for scorer, gaps in scorers.items():
            rows = pairs.pairs.iloc[gaps.pairs]
            chosen = (rows.source == source).to_numpy(bool)
            if not chosen.any():
                continue
            place = Place(split, source, scorer, "auc", ONE_VIDEO)
            right = signed_gaps(pairs, gaps)
            sides = sides_of(pairs, gaps.pairs)
            wins = wins_of(right)[chosen]
            yield mean_figure(place, wins, _only(sides, chosen))
            yield channel_mean_figure(replace(place, metric="auc_over_channels"), wins, _only(sides, chosen))
            if scorer == MODEL:
                # For unseen channels, the slope was fitted to pairs of the training part and the validation part.
                # Training and validation pairs would make the calibration look too good, so only test pairs are used.
                held_out = chosen & (rows.part == TEST).to_numpy(bool)
                yield from calibration_figures(place, right[held_out], slope, _only(sides, held_out))
                close = too_close(right[held_out], slope).astype(np.float64)
                yield mean_figure(replace(place, metric="abstained"), close, _only(sides, held_out))


def signed_gaps(pairs: OneVideoPairs, gaps: OneVideoGaps) -> Float64s:
    """Return for each pair [k] in `gaps` the score of its better picture minus the score of its worse picture."""
    better = np.sign(pairs.pairs.gap.to_numpy(float)[gaps.pairs])
    return np.asarray(better * gaps.gaps, np.float64)


def wins_of(signed: Float64s) -> Float64s:
    """Return 1 for each pair [k] whose better picture scores higher, 0.5 if both scores are equal, and 0 otherwise."""
    return np.asarray((signed > 0) + 0.5 * (signed == 0), np.float64)


def sides_of(pairs: OneVideoPairs, rows: Rows) -> Sides:
    """Return the `Sides` of the pairs in `rows` [k]. The two pictures of a pair belong to the same video.

    The intervals of figures are computed from these sides. So the intervals take into account that several pairs of one
    video are not independent.
    """
    chosen = pairs.pairs.iloc[rows]
    video = numbered(chosen.video_id)[0]
    return Sides(video, video, numbered(chosen.channel_id)[0])


def _only(sides: Sides, chosen: Flags) -> Sides:
    return Sides(*(side[chosen] for side in sides))

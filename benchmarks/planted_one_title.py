"""Measure how well a model compares two pictures under one title, on the synthetic catalogue.

Take two videos of a channel, and one of their two titles. In the synthetic catalogue, the quality of each picture under
this title is known. So the probability that one picture would get more views is known too. The figures are computed
from these probabilities, and not from random views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from demo.catalogues.formula import SIGMA_N, SIGMA_Q
from demo.catalogues.synthetic import SyntheticCatalogue
from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.statistics.held_out_scores import HeldOutScores

SPLITS = {"known channels": "future", "unseen channels": "new", "adapted": "adapted"}
"""The splits of an evaluation, and the names of their picture gaps in `HeldOutScores.pictures`."""

_BINS = 10


@dataclass(frozen=True)
class OneTitleFigures:
    """How good a model is on held-out pairs of pictures under one title. The two pictures are compared under both
    titles of the pair.

    For unseen channels, the pairs of all parts are used, because the model learnt from none of them. Only `ece` is
    measured on the test pairs alone, because the calibration of win probabilities was fitted to the other pairs.

    `auc`: the expected share of right answers. `ceiling`: the same share for a ranker that knows the planted effects.
    `way`: (`auc` - 0.5) / (`ceiling` - 0.5). `ece`: the expected calibration error of the win probabilities. `changes`:
    the share of the pairs in which the model prefers one picture under the first title and the other picture under the
    second title. `planted_changes`: the share of the pairs in which the truly better picture depends on the title.
    """

    split: str
    pairs: int
    auc: float
    ceiling: float
    way: float
    ece: float
    changes: float
    planted_changes: float


def one_title_figures(catalogue: SyntheticCatalogue, data: Dataset, held: HeldOutScores) -> list[OneTitleFigures]:
    """Return the figures of a trained model for each of `SPLITS`. `held` contains the model's scores of held-out
    videos.

    `data` is the training data that was made of the catalogue.
    """
    slopes = held.one_title_slopes or (held.slope, held.slope_adapted)
    is_test = (data.pairs.part == TEST).to_numpy(bool)
    figures = []
    for split, name in SPLITS.items():
        pictures = held.pictures[name]
        truth = planted_gaps(catalogue, data, pictures.pairs)
        figures.append(_figures(split, pictures.gaps, truth, slopes[name != "new"], is_test[pictures.pairs]))
    return figures


def planted_gaps(catalogue: SyntheticCatalogue, data: Dataset, pairs: Rows) -> Float64s:
    """Return the planted quality of the winner's picture minus the planted quality of the loser's picture, [len(pairs),
    2].

    In column 0, both pictures have the winner's title. In column 1, both have the loser's title. The unit is the
    standard deviation of the quality in the demo's catalogue.
    """
    ids = data.videos.video_id.tolist()
    sides = data.pairs[["winner", "loser"]].to_numpy(np.intp)[pairs]
    quality = catalogue.one_title_quality
    gaps = [[quality(ids[w], ids[t]) - quality(ids[lo], ids[t]) for t in (w, lo)] for w, lo in sides]
    return np.array(gaps, np.float64).reshape(len(sides), 2)


def _figures(split: str, gaps: Float64s, planted: Float64s, slope: float, is_test: Flags) -> OneTitleFigures:
    # The ln views of a video are SIGMA_Q times its quality, plus noise of the standard deviation SIGMA_N. The noise of
    # two videos is independent, so the difference of the noise has the standard deviation sqrt(2) * SIGMA_N.
    probability = ndtr(planted * SIGMA_Q / (np.sqrt(2) * SIGMA_N))
    right = np.where(gaps > 0, probability, np.where(gaps < 0, 1 - probability, 0.5))
    auc, ceiling = float(right.mean()), float(np.maximum(probability, 1 - probability).mean())
    return OneTitleFigures(
        split,
        len(gaps),
        auc,
        ceiling,
        (auc - 0.5) / (ceiling - 0.5),
        expected_error(expit(slope * gaps[is_test]).ravel(), probability[is_test].ravel()),
        float((gaps[:, 0] * gaps[:, 1] < 0).mean()),
        float((planted[:, 0] * planted[:, 1] < 0).mean()),
    )


def expected_error(claimed: Float64s, true: Float64s) -> float:
    """Return the expected calibration error of the win probabilities `claimed` [m], given the `true` probabilities [m].

    Each pair counts twice, once in each order of its pictures. The ten bins have about the same number of pairs.
    """
    claims, truth = np.concatenate([claimed, 1 - claimed]), np.concatenate([true, 1 - true])
    edges = np.unique(np.quantile(claims, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, claims, side="right")
    sums = np.bincount(bins, claims - truth)
    return float(np.abs(sums).sum() / len(claims))

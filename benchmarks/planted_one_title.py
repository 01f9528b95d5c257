"""Compare the answers of a model on pictures under one title with what the synthetic catalogue planted.

Take two videos of a channel, and one of their two titles. The catalogue knows how much better one picture is than the
other under this title, so it also knows the probability that this picture would get more views. Nothing has to be drawn
at random: the figures below are expected values over the noise of the views.
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
    """How good a model is on held-out pairs of pictures under one title. Each pair is asked under both of its titles.

    For unseen channels, `pairs` counts the pairs of all parts, because the model learnt from none of them. Only `ece`
    is measured on the test pairs alone, because the slope was fitted to the others.

    `auc`: the expected share of right answers. `ceiling`: the same of a ranker that knows the planted effects.
    `way`: how far `auc` comes on the way from 0.5 (0) to `ceiling` (1). `ece`: the expected calibration error of the
    win probabilities. `changes`: the share of the pairs in which the winner changes with the title. `planted_changes`:
    the share in which it should.
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
    """Return the figures of a trained model for each of `SPLITS`. The data must be made of the catalogue."""
    slopes = held.one_title_slopes or (held.slope, held.slope_adapted)
    is_test = (data.pairs.part == TEST).to_numpy(bool)
    figures = []
    for split, name in SPLITS.items():
        pictures = held.pictures[name]
        truth = planted_gaps(catalogue, data, pictures.pairs)
        figures.append(_figures(split, pictures.gaps, truth, slopes[name != "new"], is_test[pictures.pairs]))
    return figures


def planted_gaps(catalogue: SyntheticCatalogue, data: Dataset, pairs: Rows) -> Float64s:
    """Return by how much the winner's picture is planted to be better than the loser's, as [len(pairs), 2].

    Column 0 is under the winner's title, column 1 under the loser's title. The unit is the standard deviation of q.
    """
    ids = data.videos.video_id.tolist()
    sides = data.pairs[["winner", "loser"]].to_numpy(np.intp)[pairs]
    quality = catalogue.one_title_quality
    gaps = [[quality(ids[w], ids[t]) - quality(ids[lo], ids[t]) for t in (w, lo)] for w, lo in sides]
    return np.array(gaps, np.float64).reshape(len(sides), 2)


def _figures(split: str, gaps: Float64s, planted: Float64s, slope: float, is_test: Flags) -> OneTitleFigures:
    # Two videos differ by their qualities and by two independent errors of the standard deviation SIGMA_N / SIGMA_Q.
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
    """Return the expected calibration error of claimed win probabilities [m], if the true probabilities [m] are known.

    Each pair counts in both orders. The ten bins have about the same number of pairs.
    """
    claims, truth = np.concatenate([claimed, 1 - claimed]), np.concatenate([true, 1 - true])
    edges = np.unique(np.quantile(claims, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, claims, side="right")
    sums = np.bincount(bins, claims - truth)
    return float(np.abs(sums).sum() / len(claims))

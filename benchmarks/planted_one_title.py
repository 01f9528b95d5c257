"""Measure how well a model orders two pictures under one title, compared with the truth in the synthetic catalogue.

Take the pictures of two videos of a channel, and one of the titles of these videos. The catalogue stores how good each
picture is under this title. So the probability that the first picture would get more views is known, and the benchmark
need not draw views at random. The figures are expected values over the noise of the views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from demo.catalogues.formula import SIGMA_N, SIGMA_Q
from demo.catalogues.synthetic import SyntheticCatalogue
from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.statistics.held_out_scores import HeldOutScores, PictureGaps

SPLITS = {"known channels": "future", "unseen channels": "new", "adapted": "adapted"}
"""The splits of an evaluation. Each is mapped to the key of its picture gaps in `HeldOutScores.pictures`."""

_BINS = 10


@dataclass(frozen=True)
class OneTitleFigures:
    """Figures of a model on the test pairs of one split.

    A question compares the two pictures of a pair under one title. Each pair has two titles, so it gives two questions.
    `pairs` is the number of pairs.

    `auc`: the expected share of right answers. `ceiling`: the value of `auc` for a ranker that knows the planted
    effects. `way`: (`auc` - 0.5) / (`ceiling` - 0.5), which is 0 for guesses and 1 for that ranker. `ece`: the expected
    calibration error of the model's win probabilities. `changes`: the share of the pairs in which the model prefers one
    picture under the first title and the other picture under the second title. `planted_changes`: the share of the
    pairs in which the better picture, by the planted effects, is not the same under both titles.
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
    """Return the figures of a trained model for each of `SPLITS`.

    `data` must be made from the videos of `catalogue`, and `held` must have the model's scores of these videos.
    """
    slopes = held.one_title_slopes or (held.slope, held.slope_adapted)
    is_test = (data.pairs.part == TEST).to_numpy(bool)
    figures = []
    for split, name in SPLITS.items():
        pictures = held.pictures[name]
        chosen = is_test[pictures.pairs]
        tested = PictureGaps(pictures.pairs[chosen], pictures.gaps[chosen])
        figures.append(_figures(split, tested, planted_gaps(catalogue, data, tested.pairs), slopes[name != "new"]))
    return figures


def planted_gaps(catalogue: SyntheticCatalogue, data: Dataset, pairs: Rows) -> Float64s:
    """Return by how much the winner's picture is planted to be better than the loser's picture, as [len(pairs), 2].

    `pairs` are row numbers in `data.pairs`. In column 0, both pictures have the winner's title. In column 1, both have
    the loser's title. The unit is the standard deviation of a video's planted quality.
    """
    ids = data.videos.video_id.tolist()
    sides = data.pairs[["winner", "loser"]].to_numpy(np.intp)[pairs]
    quality = catalogue.one_title_quality
    gaps = [[quality(ids[w], ids[t]) - quality(ids[lo], ids[t]) for t in (w, lo)] for w, lo in sides]
    return np.array(gaps, np.float64).reshape(len(sides), 2)


def _figures(split: str, pictures: PictureGaps, planted: Float64s, slope: float) -> OneTitleFigures:
    gaps = pictures.gaps
    # The log views of a video are SIGMA_Q times its quality, plus noise with the standard deviation SIGMA_N. So the
    # noise in the difference of two videos has the standard deviation sqrt(2) * SIGMA_N.
    probability = ndtr(planted * SIGMA_Q / (np.sqrt(2) * SIGMA_N))
    right = np.where(gaps > 0, probability, np.where(gaps < 0, 1 - probability, 0.5))
    auc, ceiling = float(right.mean()), float(np.maximum(probability, 1 - probability).mean())
    return OneTitleFigures(
        split,
        len(gaps),
        auc,
        ceiling,
        (auc - 0.5) / (ceiling - 0.5),
        expected_error(expit(slope * gaps).ravel(), probability.ravel()),
        float((gaps[:, 0] * gaps[:, 1] < 0).mean()),
        float((planted[:, 0] * planted[:, 1] < 0).mean()),
    )


def expected_error(claimed: Float64s, true: Float64s) -> float:
    """Return the expected calibration error of the win probabilities `claimed` [m]. `true` [m] are the true ones.

    Each pair of candidates counts twice: with the claim p for one candidate, and with the claim 1 - p for the other.
    The claims are sorted into ten bins, which have about the same number of claims.
    """
    claims, truth = np.concatenate([claimed, 1 - claimed]), np.concatenate([true, 1 - true])
    edges = np.unique(np.quantile(claims, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, claims, side="right")
    sums = np.bincount(bins, claims - truth)
    return float(np.abs(sums).sum() / len(claims))

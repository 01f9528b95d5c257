"""Count pairs of faces by their cosine, for a plot that shows where the threshold lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_pipelines.people.clustering.order import canonical_order
from thumblab_pipelines.people.clustering.pairs import labelled_pairs, picture_pairs, unlabelled_pairs


@dataclass(frozen=True)
class Histogram:
    """How many pairs of faces have a cosine in each bin.

    Parameters
    ----------
    edges
        The ends of the bins [b + 1], from -1 to 1.
    same, different, unlabelled
        The number of pairs in each bin [b]: pairs of one person, pairs of different people, and pairs with a face that
        has no label.
    threshold
        The threshold for joining a cluster, as a cosine.
    """

    edges: list[float]
    same: list[int]
    different: list[int]
    unlabelled: list[int]
    threshold: float


def histogram(vectors: Float32s, pictures: Rows, people: Rows, threshold: float, bins: int = 80) -> Histogram:
    """Count pairs of faces by their cosine. See `calibrate` for the arrays.

    Faces in one picture count as different people. If there are more than a million pairs, a million random pairs are
    counted.

    Parameters
    ----------
    threshold
        The threshold for joining a cluster, as a cosine. `Calibration.cosine` computes it.
    """
    order = canonical_order(vectors, pictures, people)
    vectors, pictures, people = vectors[order], pictures[order], people[order]
    edges = np.linspace(-1, 1, bins + 1)
    same, different = labelled_pairs(vectors, people)
    unknown = people < 0
    different = np.concatenate([different, picture_pairs(vectors[unknown], pictures[unknown])])
    unlabelled = unlabelled_pairs(vectors, people)
    counts = [_counted(cosines, edges) for cosines in (same, different, unlabelled)]
    return Histogram(edges.tolist(), counts[0], counts[1], counts[2], threshold)


def _counted(cosines: Float64s, edges: Float64s) -> list[int]:
    # Because of rounding, a cosine may be slightly above 1 or below -1.
    return [int(count) for count in np.histogram(np.clip(cosines, -1, 1), edges)[0]]

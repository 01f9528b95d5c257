"""Estimate how similar the faces of different people are, so that `match_scores` can tell what a cosine means."""

from __future__ import annotations

import math

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_core.recognition.match_scores import Calibration, Method
from thumblab_pipelines.people.clustering.order import canonical_order
from thumblab_pipelines.people.clustering.pairs import labelled_pairs, picture_pairs, unlabelled_pairs

_LEAST_KNOWN = 1000
"""The number of known pairs of different people from which the calibration uses these alone."""

_PRIOR_PAIRS = 5000
"""How many pairs the guess from the dimension counts for."""

_INDEPENDENT = 10

_PRIOR_MEAN = 0.03
_PRIOR_SPREAD = 1.2
"""The guess: the spread of random directions is 1 / sqrt(dimension), and faces differ less than these."""

_TAIL = 1.05
"""Some people look alike, so the upper tail is longer than the lower one, from which the spread is estimated."""

_LOW, _HIGH = 0.05, 0.30
"""The quantiles that give the mean and the spread of random pairs. Pairs of one person are all above them."""

_EXCEEDED = 20
"""A quantile is read off only where at least so many pairs exceed it."""


def calibrate(vectors: Float32s, pictures: Rows, people: Rows) -> Calibration:
    """Estimate the distribution of cosines of different people.

    Pairs of different people are the pairs of faces that persons put into different clusters, and the pairs of faces in
    one picture. If there are few of these, random pairs are used. Most of them show different people. The estimate is
    averaged with a guess from the dimension, which counts only if there are few pairs.

    Parameters
    ----------
    vectors
        Unit vectors [n, d].
    pictures
        The picture of each face [n].
    people
        The cluster into which a person put each face [n], or -1.
    """
    dimension = vectors.shape[1]
    order = canonical_order(vectors, pictures, people)
    vectors, pictures, people = vectors[order], pictures[order], people[order]
    apart = labelled_pairs(vectors, people)[1]
    known = np.concatenate([apart, picture_pairs(vectors, pictures)])
    random = unlabelled_pairs(vectors, people)
    guess = (_PRIOR_MEAN, _PRIOR_SPREAD / math.sqrt(dimension))
    method: Method = "dimension"
    pairs, estimate = 0, guess
    if len(apart) >= _LEAST_KNOWN:
        method, pairs, estimate = "known pairs", len(known), _of_different_people(apart)
    elif len(known) >= _LEAST_KNOWN:
        # One person may be twice in a picture, in a mirror or before and after, so these pairs count as random ones.
        # Each face is in one of them or two, so they tell more than as many pairs of a few faces.
        method, pairs, estimate = "known pairs", _INDEPENDENT * len(known), _of_random_pairs(known)
    elif len(random) >= _PRIOR_PAIRS:
        method, pairs, estimate = "random pairs", len(random), _of_random_pairs(random)
    weight = pairs / (pairs + _PRIOR_PAIRS)
    mean, spread = (weight * a + (1 - weight) * b for a, b in zip(estimate, guess, strict=True))
    return Calibration(method, mean, max(spread, 1e-3), len(known), len(random), dimension)


def _of_different_people(cosines: Float64s) -> tuple[float, float]:
    """Return the median, and the spread that gives the false accept rate of 0.1 %, or of the lowest rate to be seen."""
    from scipy.stats import norm

    rate = max(1e-3, _EXCEEDED / len(cosines))
    middle = float(np.median(cosines))
    return middle, (float(np.quantile(cosines, 1 - rate)) - middle) / float(norm.isf(rate))


def _of_random_pairs(cosines: Float64s) -> tuple[float, float]:
    """Return the mean and the spread of pairs of different people among random pairs.

    Pairs of one person have large cosines. So only the lower part of the distribution is used.
    """
    from scipy.stats import norm

    low, high = np.quantile(cosines, (_LOW, _HIGH))
    spread = float((high - low) / (norm.ppf(_HIGH) - norm.ppf(_LOW)))
    return float(high - norm.ppf(_HIGH) * spread), _TAIL * spread

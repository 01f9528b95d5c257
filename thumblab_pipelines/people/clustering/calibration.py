"""Estimate how similar the faces of different people are. `match_scores` needs this estimate to interpret a cosine."""

from __future__ import annotations

import math

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_core.recognition.match_scores import Calibration, Method
from thumblab_pipelines.people.clustering.order import canonical_order
from thumblab_pipelines.people.clustering.pairs import labelled_pairs, picture_pairs, unlabelled_pairs

_LEAST_KNOWN = 1000
"""Minimum number of known pairs of different people. With fewer known pairs, the calibration uses random pairs
instead."""

_PRIOR_PAIRS = 5000
"""The distribution of cosines is first guessed from the dimension of the vectors. In the estimate, the guess has the
same weight as this number of pairs."""

_INDEPENDENT = 10

_PRIOR_MEAN = 0.03
_PRIOR_SPREAD = 1.2
"""The guessed mean of the cosines, and their guessed spread in units of 1 / sqrt(dimension). Random directions have the
spread 1 / sqrt(dimension). The spread of faces is larger, because faces differ less than random directions."""

_TAIL = 1.05
"""The spread is estimated from the lower tail of the cosines, and multiplied by this factor. The upper tail is longer,
because some people look alike."""

_LOW, _HIGH = 0.05, 0.30
"""The mean and the spread of the cosines of random pairs are computed from these two quantiles of the cosines. Pairs of
faces of one person have larger cosines than both quantiles."""

_EXCEEDED = 20
"""Minimum number of pairs whose cosine is above the quantile that is used as the upper end."""


def calibrate(vectors: Float32s, pictures: Rows, people: Rows) -> Calibration:
    """Estimate the distribution of the cosines between faces of different people.

    Known pairs of different people are pairs of faces that a person put into different clusters, and pairs of faces in
    one picture. If there are too few known pairs, random pairs are used, because most random pairs show different
    people. The estimate is averaged with a guess, which depends only on the dimension of the vectors. With many pairs,
    the guess has almost no weight.

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
        # A picture may show one person twice, for example in a mirror. So the pairs in one picture are treated like
        # random pairs. Each face is in at most two of these pairs, so the pairs are nearly independent of each other.
        # Therefore each pair has the larger weight `_INDEPENDENT`.
        method, pairs, estimate = "known pairs", _INDEPENDENT * len(known), _of_random_pairs(known)
    elif len(random) >= _PRIOR_PAIRS:
        method, pairs, estimate = "random pairs", len(random), _of_random_pairs(random)
    weight = pairs / (pairs + _PRIOR_PAIRS)
    mean, spread = (weight * a + (1 - weight) * b for a, b in zip(estimate, guess, strict=True))
    return Calibration(method, mean, max(spread, 1e-3), len(known), len(random), dimension)


def _of_different_people(cosines: Float64s) -> tuple[float, float]:
    """Return the median and the spread of a normal distribution that fits the upper tail of the cosines.

    In the data, 0.1 % of the pairs have a cosine above some value. The spread is chosen so that the normal distribution
    exceeds this value equally often. With few pairs, 0.1 % would be less than `_EXCEEDED` pairs. In this case, the
    value that `_EXCEEDED` pairs exceed is used.
    """
    from scipy.stats import norm

    rate = max(1e-3, _EXCEEDED / len(cosines))
    middle = float(np.median(cosines))
    return middle, (float(np.quantile(cosines, 1 - rate)) - middle) / float(norm.isf(rate))


def _of_random_pairs(cosines: Float64s) -> tuple[float, float]:
    """Return the mean and the spread of the cosines of different people, from the cosines of random pairs.

    Some random pairs show one person, and have large cosines. So only the lower part of the distribution is used.
    """
    from scipy.stats import norm

    low, high = np.quantile(cosines, (_LOW, _HIGH))
    spread = float((high - low) / (norm.ppf(_HIGH) - norm.ppf(_LOW)))
    return float(high - norm.ppf(_HIGH) * spread), _TAIL * spread

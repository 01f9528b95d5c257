"""Turn the cosine of two face vectors into a match score that means the same for every embedder.

    score = 0.1 + 0.2 * -log10(false accept rate), from 0 to 1

The false accept rate is the share of pairs of different people whose cosine is at least as large. So a score of 0.7
means a false accept rate of 0.1 %, 0.9 means 0.01 %, and a higher threshold is more conservative. The cosines of
different people are taken as normally distributed, with a mean and a spread that are estimated for the embedder.

A centroid of faces is compared with the same distribution as a single face. The vectors of different people point in
nearly independent directions, and this holds for the direction of a mean as well.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.people.clustering.order import canonical_order
from thumblab_pipelines.people.clustering.pairs import labelled_pairs, picture_pairs, unlabelled_pairs

Method = Literal["known pairs", "random pairs", "dimension"]

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


class CalibrationError(LabError):
    """An error because a stored calibration cannot be read."""


@dataclass(frozen=True)
class Calibration:
    """The distribution of cosines of different people for one embedder.

    Parameters
    ----------
    method
        The evidence: pairs that are known to show different people, random pairs, or only the dimension.
    mean, spread
        The mean and the standard deviation of the normal distribution, fitted to the upper tail.
    known_pairs, random_pairs
        The number of pairs of each kind that were counted.
    dimension
        The dimension of the vectors.
    """

    method: Method
    mean: float
    spread: float
    known_pairs: int
    random_pairs: int
    dimension: int

    def __post_init__(self) -> None:
        numbers = (self.mean, self.spread)
        if not all(isinstance(number, float) and math.isfinite(number) for number in numbers) or self.spread <= 0:
            raise CalibrationError(f"The calibration of faces has mean {self.mean} and spread {self.spread}; redo it.")

    def score(self, cosine: npt.ArrayLike) -> Float64s:
        """Return the match score of each cosine, 0 to 1."""
        from scipy.stats import norm

        log_rate = norm.logsf((np.asarray(cosine, np.float64) - self.mean) / self.spread)
        return np.asarray(np.clip(0.1 - 0.2 * log_rate / math.log(10), 0.0, 1.0), np.float64)

    def cosine(self, score: float) -> float:
        """Return the cosine that has the match score `score`, which is above 0.1 and at most 1."""
        return self.cosine_at_rate(false_accept_rate(score))

    def cosine_at_rate(self, rate: float) -> float:
        """Return the cosine with the false accept rate `rate`, above 0 and below 1. It is at most 1."""
        from scipy.stats import norm

        return min(1.0, self.mean + self.spread * float(norm.isf(rate)))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what `to_json` has written. Raises `CalibrationError` if it is anything else."""
        try:
            stored: Any = json.loads(text)
            return cls(**stored)
        except (ValueError, TypeError) as error:
            raise CalibrationError(f"The stored calibration of faces is damaged ({error}); redo it.") from None


def false_accept_rate(score: float) -> float:
    """Return the false accept rate that the match score `score` stands for."""
    return float(10 ** -((score - 0.1) / 0.2))


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

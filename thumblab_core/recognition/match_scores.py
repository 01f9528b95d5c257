"""Turn the cosine of two face vectors into a match score that means the same for every embedder.

    score = 0.1 + 0.2 * -log10(false accept rate), from 0 to 1

The false accept rate of a cosine is the share of pairs of different people that have at least this cosine. So a score
of 0.7 means a false accept rate of 0.1 %, and a score of 0.9 means 0.01 %. With a higher threshold, fewer faces match.
The cosines of different people are assumed to be normally distributed. Their mean and spread are estimated for each
embedder.

The cosine of a face and a centroid gets its score from the same distribution as the cosine of two faces. The vectors of
different people point in nearly independent directions, and this is also true for the direction of a mean.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s
from thumblab_core.errors import LabError

Method = Literal["known pairs", "random pairs", "dimension"]

_FEW = 10
"""If a face is compared with at most this number of clusters, each comparison may have the threshold's false accept
rate. With more clusters, each comparison must have a lower rate.
"""


class CalibrationError(LabError):
    """An error for a stored calibration that cannot be read."""


@dataclass(frozen=True)
class Calibration:
    """The distribution of cosines of different people for one embedder.

    Parameters
    ----------
    method
        What the distribution was estimated from: pairs that are known to show different people, random pairs, or only
        the dimension of the vectors.
    mean, spread
        The mean and the standard deviation of a normal distribution that is fitted to the highest cosines.
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
            raise CalibrationError(
                f"The calibration of faces has the mean {self.mean} and the spread {self.spread}, but both must be "
                "finite, and the spread must be above 0; run `thumblab people cluster` again"
            )

    def score(self, cosine: npt.ArrayLike) -> Float64s:
        """Return the match score of each cosine, 0 to 1."""
        from scipy.stats import norm

        log_rate = norm.logsf((np.asarray(cosine, np.float64) - self.mean) / self.spread)
        return np.asarray(np.clip(0.1 - 0.2 * log_rate / math.log(10), 0.0, 1.0), np.float64)

    def cosine(self, score: float) -> float:
        """Return the cosine that has the match score `score`. The match score must be above 0.1 and at most 1."""
        return self.cosine_at_rate(false_accept_rate(score))

    def cosine_at_rate(self, rate: float) -> float:
        """Return the cosine that the share `rate` of pairs of different people exceeds, but at most 1.

        `rate` is above 0 and below 1.
        """
        from scipy.stats import norm

        return min(1.0, self.mean + self.spread * float(norm.isf(rate)))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read a calibration from text that `to_json` wrote. Raises `CalibrationError` for any other text."""
        try:
            stored: Any = json.loads(text)
            return cls(**stored)
        except (ValueError, TypeError) as error:
            raise CalibrationError(
                f"The stored calibration of faces is damaged ({error}); run `thumblab people cluster` again"
            ) from None


def false_accept_rate(score: float) -> float:
    """Return the false accept rate that the match score `score` stands for."""
    return float(10 ** -((score - 0.1) / 0.2))


def join_rate(score: float, clusters: int) -> float:
    """Return the highest false accept rate at which a face joins one of `clusters` clusters. `score`: the match score
    that the settings require.

    With more clusters, it is more likely that a stranger looks like a person in one of the clusters. So if there are
    more than `_FEW` clusters, a lower false accept rate is required for each comparison.
    """
    return false_accept_rate(score) * min(1.0, _FEW / max(clusters, 1))

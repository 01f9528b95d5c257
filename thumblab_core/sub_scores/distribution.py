"""The distribution of each sub-score over the pictures of a niche's library.

The distribution shows whether a value is high or low for the niche. The same value can be good in one niche and weak in
another.

An index release stores the distribution as `sub_scores.json`:

    {"version": VERSION OF THE METER, "count": PICTURES, "quantiles": {NAME: [101 values, 0 to 1, rising] or null}}

The entry of a sub-score is null if the sub-score has values for fewer than `LEAST` pictures of the library. Old
releases do not have this file, and are loaded without a distribution.
"""

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.sub_scores import NAMES

FILE = "sub_scores.json"

LEAST = 20
"""Minimum number of values for a distribution. With fewer values, the lowest 10 % would be one value or none."""

WEAK_BELOW = 10.0
"""A sub-score below this percentile of the library is weak."""

_POINTS = 101
_DIGITS = 6
"""Number of decimal digits of the stored quantiles. Values that are compared with the quantiles are rounded too."""


class DistributionError(LabError):
    """Raised if the distribution file of a release is not valid."""


@dataclass(frozen=True)
class ScoreDistribution:
    """The 0th to 100th percentile of each sub-score over a library, measured by a meter of `version`."""

    version: str
    count: int
    quantiles: Mapping[str, Sequence[float] | None]

    @classmethod
    def of(cls, version: str, count: int, values: Mapping[str, Sequence[float]]) -> Self:
        """Build the distribution from the values of each sub-score over `count` pictures.

        A sub-score may have fewer values than `count`, because it could not be measured in some pictures.
        """
        return cls(version, count, {name: _quantiles(values.get(name, ())) for name in NAMES})

    def percentile(self, name: str, value: float) -> float | None:
        """Return the percentile of a value, 0 to 100. Return None if the library has no quantiles for this sub-score.

        It is the percentage of pictures with a lower value, plus half of the percentage with an equal value.
        """
        quantiles = self.quantiles.get(name)
        if quantiles is None:
            return None
        # Many pictures may have the same value, such as 0 or 1. If several quantiles are equal to the value, the result
        # is the middle of their percentages.
        value = round(value, _DIGITS)
        first, after = bisect_left(quantiles, value), bisect_right(quantiles, value)
        if after > first:
            return (first + after - 1) / 2
        if first in (0, _POINTS):
            return 0.0 if first == 0 else 100.0
        below, above = quantiles[first - 1], quantiles[first]
        return first - 1 + (value - below) / (above - below)

    def save(self, folder: Path) -> None:
        """Write the distribution file of a release."""
        content = {"version": self.version, "count": self.count, "quantiles": dict(self.quantiles)}
        (folder / FILE).write_text(json.dumps(content))

    @classmethod
    def load(cls, release: Release) -> Self | None:
        """Read the distribution of a verified release. Return None if the release has no such file.

        Raises `DistributionError` if the file is not valid.
        """
        if FILE not in release.files:
            return None
        try:
            content = json.loads((release.path / FILE).read_text())
            quantiles = {name: _checked(content["quantiles"][name]) for name in NAMES}
            return cls(str(content["version"]), int(content["count"]), quantiles)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DistributionError(f"{release}: {FILE} is not valid ({error}); build the library again") from None


def _quantiles(values: Sequence[float]) -> list[float] | None:
    if len(values) < LEAST:
        return None
    quantiles = np.quantile(np.asarray(values, np.float64), np.linspace(0, 1, _POINTS))
    return [round(value, _DIGITS) for value in quantiles.tolist()]


def _checked(values: list[float] | None) -> list[float] | None:
    """Check the quantiles of one sub-score from a file, and return them.

    Raises `ValueError` unless there are 101 rising values from 0 to 1.
    """
    if values is None:
        return None
    quantiles = [float(value) for value in values]
    if len(quantiles) != _POINTS or not all(math.isfinite(value) and 0 <= value <= 1 for value in quantiles):
        raise ValueError(f"its quantiles are not {_POINTS} values from 0 to 1")
    if quantiles != sorted(quantiles):
        raise ValueError("its quantiles do not rise")
    return quantiles

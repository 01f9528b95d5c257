"""How a niche's library is spread over each sub-score: a clarity that is good in one niche may be weak in another.

An index release carries it as `sub_scores.json`:

    {"version": VERSION OF THE METER, "count": PICTURES, "quantiles": {NAME: [101 values, 0 to 1, rising] or null}}

A name is null where fewer than `LEAST` pictures of the library have a value. Releases made before this file existed have
none of it, and load as they always did.
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
"""With fewer values the lowest tenth is one picture or none."""

WEAK_BELOW = 10.0
"""The lowest tenth of a library is weak."""

_POINTS = 101
_DIGITS = 6


class DistributionError(LabError):
    """The file of a release is not as it should be."""


@dataclass(frozen=True)
class ScoreDistribution:
    """The 0th to 100th percentile of each sub-score over a library, measured by a meter of `version`."""

    version: str
    count: int
    quantiles: Mapping[str, Sequence[float] | None]

    @classmethod
    def of(cls, version: str, count: int, values: Mapping[str, Sequence[float]]) -> Self:
        """From the values of each sub-score over `count` pictures; a picture may lack some."""
        return cls(version, count, {name: _quantiles(values.get(name, ())) for name in NAMES})

    def percentile(self, name: str, value: float) -> float | None:
        """The share of the library below the value and half of what is equal to it, 0 to 100; None without a library."""
        quantiles = self.quantiles.get(name)
        if quantiles is None:
            return None
        # Scores saturate, so many pictures may share the lowest or the highest value: the middle of them is their place.
        value = round(value, _DIGITS)
        first, after = bisect_left(quantiles, value), bisect_right(quantiles, value)
        if after > first:
            return (first + after - 1) / 2
        if first in (0, _POINTS):
            return 0.0 if first == 0 else 100.0
        below, above = quantiles[first - 1], quantiles[first]
        return first - 1 + (value - below) / (above - below)

    def save(self, folder: Path) -> None:
        """Write the file of a release."""
        said = {"version": self.version, "count": self.count, "quantiles": dict(self.quantiles)}
        (folder / FILE).write_text(json.dumps(said))

    @classmethod
    def load(cls, release: Release) -> Self | None:
        """That of a verified release; None for one that has none. Raises `DistributionError` for one that makes no sense."""
        if FILE not in release.files:
            return None
        try:
            said = json.loads((release.path / FILE).read_text())
            quantiles = {name: _checked(said["quantiles"][name]) for name in NAMES}
            return cls(str(said["version"]), int(said["count"]), quantiles)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DistributionError(f"{release}: {FILE} makes no sense ({error})") from None


def _quantiles(values: Sequence[float]) -> list[float] | None:
    if len(values) < LEAST:
        return None
    found = np.quantile(np.asarray(values, np.float64), np.linspace(0, 1, _POINTS))
    return [round(value, _DIGITS) for value in found.tolist()]


def _checked(values: list[float] | None) -> list[float] | None:
    if values is None:
        return None
    found = [float(value) for value in values]
    if len(found) != _POINTS or not all(math.isfinite(value) and 0 <= value <= 1 for value in found):
        raise ValueError(f"not {_POINTS} values from 0 to 1")
    if found != sorted(found):
        raise ValueError("quantiles that do not rise")
    return found

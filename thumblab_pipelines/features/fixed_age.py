"""Estimate the views of a video at a fixed age, so that videos of different ages can be compared.

An era is a time in which YouTube used one definition of a view. Views are never interpolated between counts of two
eras. The method and the maximum ratio of the ages at two observations were chosen after the errors of the estimates had
been measured. The measurements are in docs/view-histories.md and `benchmarks.fixed_age`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FIXED_AGES = (24, 72, 168, 720)
"""The fixed ages in hours: one day, three days, one week and thirty days.

Young videos are observed often enough to estimate their views at these ages.
"""

MAX_AGE_RATIO = 2.0
"""Maximum ratio of the later age to the earlier age for interpolating views between two observations.

If the lab misses one scheduled refresh, the ages at two neighbouring observations differ by up to this factor. The
errors were measured with real observations whose ages differ by this factor. 90 % of the estimates had an error below 6
%, and 99 % had an error below 10 %.
"""


@dataclass(frozen=True)
class Estimate:
    """An estimate of a video's views at the age `at` in hours.

    The estimate is interpolated between two observations of one era, at the ages `before` and `after` in hours. If an
    observation was made exactly at the age `at`, `before` and `after` are both equal to `at`.
    """

    at: float
    views: float
    era: str
    before: float
    after: float


def views_at_ages(
    at: Sequence[float],
    ages: npt.NDArray[np.float64],
    views: npt.NDArray[np.float64],
    eras: Sequence[str],
    max_ratio: float = MAX_AGE_RATIO,
) -> list[Estimate]:
    """Return estimates of one video's views at fixed ages. Ages that the observations do not cover are left out.

    Views are interpolated between the last observation before the fixed age and the first observation after it. Both
    observations must be of one era. The interpolation is linear in the logarithm of the age. An observation at exactly
    the fixed age is used directly. A fixed age is left out if no two observations enclose it, or if the ages at these
    observations differ by a factor above `max_ratio`.

    Counts normally only grow, but YouTube removes invalid views. So if a later count of the same era is lower, the
    later count replaces the earlier count. Observations from before the publication (premieres) are ignored.

    Args:
        at: the fixed ages in hours, above 0.
        ages: hours since publication at each observation, [n]. The order does not matter, and an age may be repeated.
        views: the counts, [n]. A count that YouTube did not give is NaN.
        eras: the era of each count, [n]. In an era, one definition of a view applies.
        max_ratio: the largest accepted ratio of the ages at the two observations.

    Returns:
        The estimates, in the order of `at`.
    """
    usable = np.isfinite(views) & np.isfinite(ages) & (ages > 0)
    series = []
    for era in sorted({era for era, use in zip(eras, usable, strict=True) if use}):
        of_era = usable & np.fromiter((other == era for other in eras), bool, len(eras))
        series.append((era, *_growing(ages[of_era], views[of_era])))
    estimates = []
    for age in at:
        # YouTube changed its definition of a view earlier for Shorts than for other videos. If the lab treated a video
        # as a Short at first, observations of two eras can enclose the same age. In this case, the era whose
        # observations are closer together is used.
        possible = [estimate for one_era in series if (estimate := _between(age, *one_era)) is not None]
        closest = min(possible, key=lambda estimate: estimate.after / estimate.before, default=None)
        if closest is not None and closest.after <= closest.before * max_ratio:
            estimates.append(closest)
    return estimates


def _growing(
    ages: npt.NDArray[np.float64], views: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the distinct ages [m] in order, and for each age the lowest count [m] observed at this age or later."""
    order = np.argsort(ages, kind="stable")
    lowest_since = np.minimum.accumulate(views[order][::-1])[::-1]
    distinct, first = np.unique(ages[order], return_index=True)
    return distinct, lowest_since[first]


def _between(at: float, era: str, ages: npt.NDArray[np.float64], views: npt.NDArray[np.float64]) -> Estimate | None:
    """Return the estimate at one age from the observations of one era, or None if the observations do not enclose this
    age."""
    right = int(np.searchsorted(ages, at))
    if right == len(ages):
        return None
    after, most = float(ages[right]), float(views[right])
    if after == at:
        return Estimate(at, most, era, after, after)
    if right == 0:
        return None
    before, least = float(ages[right - 1]), float(views[right - 1])
    share = math.log(at / before) / math.log(after / before)
    return Estimate(at, min(least + share * (most - least), most), era, before, after)

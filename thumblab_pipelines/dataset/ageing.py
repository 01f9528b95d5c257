"""Model how views grow with age, so that lifetime views of videos of different ages can be compared.

    views(age) = level * age / (age + half_age)

Views grow linearly at first and then level off. `level` is the final number of views. At the age `half_age`, a video
has half of these views. For two very young videos, comparing levels is like comparing views per hour. For two old
videos, comparing levels is like comparing views so far. docs/training-pairs.md compares this law with other laws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float64s
from thumblab_pipelines.features.fixed_age import FIXED_AGES

if TYPE_CHECKING:
    import pandas as pd


TYPICAL_HALF_AGE = 48.0
"""Half age in hours for a corpus with too few view series, see `LEAST_HISTORIES`.

Fits to three real data sets gave half ages of 17, 35 and 470 hours. The half age of 48 hours is between these three
half ages.
"""

LEAST_HISTORIES = 50
"""Minimum number of videos with at least two counts for fitting a half age. With fewer videos, `TYPICAL_HALF_AGE` is
used."""

_HALF_AGES = np.geomspace(6, 2_160, 50)
"""Half ages in hours that the fit tries.

The shortest half age, 6 hours, suits a news item that gets most of its views within a day. The longest half age, 90
days, suits a tutorial that people watch for months.
"""


@dataclass(frozen=True)
class Growth:
    """The growth law with its half age in hours.

    `histories` is the number of view series to which the half age was fitted. `histories` is 0 for the typical half
    age.
    """

    half_age: float = TYPICAL_HALF_AGE
    histories: int = 0

    def log_share(self, ages: npt.ArrayLike) -> Float64s:
        """Return ln(age / (age + half_age)) for each age. Ages are in hours and above 0.

        A video at the age `age` is expected to have the share age / (age + half_age) of its final views.
        """
        hours = np.asarray(ages, np.float64)
        return np.asarray(np.log(hours / (hours + self.half_age)), np.float64)

    def target(self, corpus: pd.DataFrame) -> Float64s:
        """Return the target of each video [n]: the natural logarithm (ln) of its age-corrected views.

        Age-corrected views are the views that the video is expected to have in the end.
        """
        corrected = np.log(corpus.views.to_numpy(float)) - self.log_share(corpus.age_hours.to_numpy(float))
        return np.asarray(corrected, np.float64)


def views_at(age: int) -> str:
    """Return the name of the column with the views at a fixed age in hours. Unknown views are NaN in the column."""
    return f"views_at_{age}"


def fit_growth(corpus: pd.DataFrame) -> Growth:
    """Fit the half age to the view series of the videos in `corpus`, by least squares of ln views.

    The view series of a video consists of its views at fixed ages and its latest count. Counts of two videos are never
    compared, because their difference may also come from the trend of the channel. So a video with a single count is
    not used. If fewer than 50 videos have at least two counts, return the typical half age.
    """
    names = [views_at(age) for age in FIXED_AGES if views_at(age) in corpus]
    ages = np.array([float(age) for age in FIXED_AGES if views_at(age) in corpus])
    if corpus.empty or not names:
        return Growth()
    views = np.column_stack([corpus[names].to_numpy(float), corpus.views.to_numpy(float)])
    hours = np.column_stack([np.tile(ages, (len(corpus), 1)), corpus.age_hours.to_numpy(float)])
    views[hours > hours[:, -1:]] = np.nan
    views[:, :-1][hours[:, :-1] == hours[:, -1:]] = np.nan
    known = views > 0
    histories = known.sum(axis=1) > 1
    if histories.sum() < LEAST_HISTORIES:
        return Growth()
    known, hours = known[histories], hours[histories]
    logs = _centred(np.log(np.where(known, views[histories], 1.0)), known)
    errors = [
        float(((logs - _centred(Growth(half).log_share(hours), known)) ** 2).sum(where=known)) for half in _HALF_AGES
    ]
    return Growth(float(_HALF_AGES[int(np.argmin(errors))]), int(histories.sum()))


def _centred(values: Float64s, known: Flags) -> Float64s:
    """Return `values` [n, ages], minus the mean of the known values of each row."""
    return np.asarray(values - values.mean(axis=1, keepdims=True, where=known), np.float64)


def age_exponent(corpus: pd.DataFrame) -> float:
    """Return the exponent b of `log views = a + b log age`, where `a` differs per channel.

    The fit is by least squares. Values of b outside 0 to 1 are clipped.

    The exponent describes how the views of a corpus vary with age. The exponent depends on the growth of videos and also on
    the trend of channels. The manifest of a release reports the exponent. The exponent does not correct any views.
    """
    import pandas as pd

    if corpus.empty:
        return 0.0
    logs = pd.DataFrame({"x": np.log(corpus.age_hours.to_numpy(float)), "y": np.log(corpus.views.to_numpy(float))})
    centred = logs - logs.groupby(corpus.channel_id.to_numpy()).transform("mean")
    variance = float((centred.x**2).sum())
    return float(np.clip((centred.x * centred.y).sum() / variance, 0, 1)) if variance > 1e-9 else 0.0

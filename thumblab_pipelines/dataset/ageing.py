"""How views come with age, so that lifetime views of videos of different ages can be compared.

    views(age) = level * age / (age + half_age)

Views come steadily at first and level off: for a young video this is views per hour, for an old one lifetime views. At the
half age a video has half of what it will ever have. The law was chosen by measurement, see docs/training-pairs.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s
from thumblab_pipelines.features.views_at_age import FIXED_AGES

if TYPE_CHECKING:
    import pandas as pd


TYPICAL_HALF_AGE = 48.0
"""Hours. Where the corpus has no histories: about the middle of what three sets of real ones said, 17, 35 and 470 h."""

LEAST_HISTORIES = 50
_HALF_AGES = np.geomspace(6, 2_160, 50)
"""Hours: a news item is over after a day, an evergreen grows for a season."""


@dataclass(frozen=True)
class Growth:
    """The law with its half age (hours), and the number of histories it was fitted to: 0 where the typical one stands in."""

    half_age: float = TYPICAL_HALF_AGE
    histories: int = 0

    def log_share(self, ages: npt.ArrayLike) -> Float64s:
        """ln of the share of its final views that a video has at each age (hours, above 0)."""
        hours = np.asarray(ages, np.float64)
        return np.asarray(np.log(hours / (hours + self.half_age)), np.float64)

    def target(self, corpus: pd.DataFrame) -> Float64s:
        """[n] ln of the age-corrected views: what a video will have when it has grown up."""
        corrected = np.log(corpus.views.to_numpy(float)) - self.log_share(corpus.age_hours.to_numpy(float))
        return np.asarray(corrected, np.float64)


def views_at(age: int) -> str:
    """The column of the views at a fixed age in hours; NaN where they are not known."""
    return f"views_at_{age}"


def fit_growth(corpus: pd.DataFrame) -> Growth:
    """The half age that fits the histories of these videos best, within each video, by least squares of ln views.

    A history is a video's views at fixed ages and its latest count. Videos of one age each tell nothing of growth: across
    them age cannot be told from the trend of the channel. Fewer than 50 histories give the typical half age.
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


def _centred(values: Float64s, known: npt.NDArray[np.bool_]) -> Float64s:
    """[n, ages] less the mean of each row's known values."""
    return np.asarray(values - values.mean(axis=1, keepdims=True, where=known), np.float64)


def age_exponent(corpus: pd.DataFrame) -> float:
    """b of `log views = channel + b log age`, least squares within channels, kept between 0 and 1.

    How the views of a catalogue go with age, growth and the channel's trend together: told with a release, not corrected by.
    """
    import pandas as pd

    if corpus.empty:
        return 0.0
    logs = pd.DataFrame({"x": np.log(corpus.age_hours.to_numpy(float)), "y": np.log(corpus.views.to_numpy(float))})
    centred = logs - logs.groupby(corpus.channel_id.to_numpy()).transform("mean")
    variance = float((centred.x**2).sum())
    return float(np.clip((centred.x * centred.y).sum() / variance, 0, 1)) if variance > 1e-9 else 0.0

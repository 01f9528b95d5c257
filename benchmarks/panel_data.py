"""Read the title panel: real titles of many channels with views, corrected for age, and the pairs to order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_pipelines.dataset.pairing import near_in_time
from thumblab_pipelines.statistics.metrics import interval_over_channels, numbered, pair_wins
from thumblab_pipelines.statistics.trend import local_trend, publication_days

FILE = "panel.parquet"
KNOWN_SHARE = 0.8
"""Share of each channel's videos, by publication, that the future is predicted from."""
LEAST_PAIRS = 10
"""Channels with fewer pairs of a set are left out of its figure."""

_DAYS_APART, _AGES_APART = 30, 1.0
_OBSERVED_AT = 0.65
"""Time of day, as a share of a day, at which the charts were read: the earliest at which almost no age is negative."""
_KNOTS = (0.25, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
"""Ages in days at which the slope of log views over age may change."""
_OLDEST, _OUTLIER, _AGE_PENALTY = 25.0, 2.5, 5.0
_TWICE = np.log(2.0) - 1e-12


@dataclass(frozen=True)
class Panel:
    """n videos by channel and publication, at their first observation.

    `channel` [n]: numbers; `published` and `age` [n] in days; `views` [n]: log views; `place` [n]: the share of the
    channel's videos that were published before. `first` and `second`: the videos of each pair [m].
    """

    titles: list[str]
    channel: Rows
    published: Float64s
    age: Float64s
    views: Float64s
    place: Float64s
    first: Rows
    second: Rows

    @classmethod
    def read(cls, folder: Path) -> Panel:
        """Read `panel.parquet`."""
        return cls.of(pd.read_parquet(folder / FILE))

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Panel:
        """Return the videos of daily observations, one a row, with the columns of `panel.parquet`."""
        videos = rows.sort_values(["video_id", "observed_on"]).drop_duplicates("video_id")
        videos = videos.assign(published=publication_days(videos))
        videos = videos.sort_values(["channel_id", "published", "video_id"]).reset_index(drop=True)
        channel = numbered(videos.channel_id.to_numpy(str))[0]
        published = videos.published.to_numpy(float)
        day = pd.to_datetime(videos.observed_on).to_numpy("datetime64[D]").astype(np.int64)
        age = day + _OBSERVED_AT - published
        of_channel = videos.groupby("channel_id").cumcount() / videos.groupby("channel_id").views.transform("size")
        views = np.log(np.maximum(videos.views.to_numpy(float), 1.0))
        pairs = _pairs(channel, published, age)
        return cls(videos.title.tolist(), channel, published, age, views, of_channel.to_numpy(float), *pairs)

    def above_trend(self, target: Floats, known: Flags) -> Float64s:
        """Return the target [n] minus the local trend of the channel's known videos."""
        return np.asarray(target - local_trend(self.channel, self.published, target, known), np.float64)

    def age_corrected(self, known: Flags) -> Float64s:
        """Return log views [n] minus what their age explains among the known videos.

        The age curve is piecewise linear. It is fitted by ridge regression to how far views, and the pieces, are above
        the channel's local trend, so that neither the size nor the growth of a channel is taken for age.
        """
        pieces = np.maximum(np.clip(self.age, 0, _OLDEST)[:, None] - np.array([0.0, *_KNOTS]), 0.0)
        above = np.clip(self.above_trend(self.views, known)[known], -_OUTLIER, _OUTLIER)
        x = np.column_stack([self.above_trend(piece, known)[known] for piece in pieces.T])
        spread = x.std(axis=0) + 1e-9
        x /= spread
        slopes = np.linalg.solve(x.T @ x + _AGE_PENALTY * np.eye(x.shape[1]), x.T @ above) / spread
        return np.asarray(self.views - pieces @ slopes, np.float64)


def _pairs(channel: Rows, published: Float64s, age: Float64s) -> tuple[Rows, Rows]:
    """Return the pairs [m] of one channel, at most 30 days apart, with ages at most a day apart."""
    seconds = np.round(published * 86_400).astype(np.int64)
    sides: list[tuple[Rows, Rows]] = []
    for rows in np.split(np.arange(len(channel)), np.flatnonzero(np.diff(channel)) + 1):
        first, second = near_in_time(seconds[rows], _DAYS_APART * 86_400)
        sides.append((rows[first], rows[second]))
    first, second = (np.concatenate(side) for side in zip(*sides, strict=True))
    near = np.abs(age[first] - age[second]) <= _AGES_APART + 1e-9
    return first[near], second[near]


@dataclass(frozen=True)
class PairSet:
    """The pairs [m] of a set: `winners`, `losers`, `channel` [m]."""

    winners: Rows
    losers: Rows
    channel: Rows

    @classmethod
    def of(cls, panel: Panel, target: Floats, within: Flags, twice: bool = False) -> PairSet:
        """Return the pairs within the rows, of unequal target [n] (log views); `twice`: with a twofold gap only."""
        inside = within[panel.first] & within[panel.second]
        first, second = panel.first[inside], panel.second[inside]
        gap = target[first] - target[second]
        wanted = np.abs(gap) >= _TWICE if twice else gap != 0
        first, second, gap = first[wanted], second[wanted], gap[wanted]
        winners, losers = np.where(gap > 0, first, second), np.where(gap > 0, second, first)
        count = np.bincount(panel.channel[winners], minlength=int(panel.channel.max()) + 1)
        enough = count[panel.channel[winners]] >= LEAST_PAIRS
        return cls(winners[enough], losers[enough], panel.channel[winners[enough]])

    def by_channel(self, scores: Floats) -> Float64s:
        """Return the AUC of the scores [n] in each channel that has pairs, in the order of the channels."""
        _, number = np.unique(self.channel, return_inverse=True)
        wins = np.bincount(number, pair_wins(scores, self.winners, self.losers))
        return np.asarray(wins / np.maximum(np.bincount(number), 1), np.float64)


def mean_with_interval(values: Float64s) -> tuple[float, float, float]:
    """Return the mean over channels [c] and its 95 % interval by a bootstrap over channels; NaN without channels."""
    if not len(values):
        return (float("nan"),) * 3
    return float(values.mean()), *interval_over_channels(values, np.arange(len(values)))


Progress = Callable[[str], None]

"""Read the title panel: the titles and views of the videos of many real channels.

The module also corrects the views for age, and makes the pairs of videos on which models of titles are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_pipelines.dataset.pairing import near_in_time
from thumblab_pipelines.statistics.intervals import DIFFERENCE, interval_of_channels
from thumblab_pipelines.statistics.metrics import numbered, pair_wins
from thumblab_pipelines.statistics.trend import local_trend, publication_days

FILE = "panel.parquet"
KNOWN_SHARE = 0.8
"""The share of a channel's videos that models may learn from. These known videos are the oldest of the channel."""
LEAST_PAIRS = 10
"""A channel with fewer pairs than this in a set of pairs does not count in the mean AUC of this set."""

_DAYS_APART, _AGES_APART = 30, 1.0
_OBSERVED_AT = 0.65
"""The time of day at which the views are assumed to have been observed, as a share of a day.

The panel has only the date of an observation. The value is late in the day: with an earlier time, more videos would
seem to be observed before their publication.
"""
_KNOTS = (0.25, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
"""The ages in days at which the slope of the age curve may change. The age curve gives log views by age."""
_OLDEST, _OUTLIER, _AGE_PENALTY = 25.0, 2.5, 5.0
_TWICE = np.log(2.0) - 1e-12


@dataclass(frozen=True)
class Panel:
    """The n videos of the title panel, sorted by channel and publication, and the m pairs of these videos.

    `channel` [n]: the number of the channel. `published` [n]: the time of publication in days since 1970. `age` [n] and
    `views` [n]: the age in days and the log views at the first observation of the video. `place` [n]: the share of the
    channel's videos that were published before this video. `first` [m] and `second` [m]: the rows of the two videos of
    each pair.
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
        """Return the panel that is stored in the folder as `panel.parquet`."""
        return cls.of(pd.read_parquet(folder / FILE))

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Panel:
        """Return the panel of a table with the columns of `panel.parquet`. Each row is one observation of a video."""
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
        """Return `target` [n] of each video minus the local trend of the video's channel.

        The local trend at a video is a weighted mean of `target` over the known videos of the channel. The nearer two
        publications are in time, the larger is the weight.
        """
        return np.asarray(target - local_trend(self.channel, self.published, target, known), np.float64)

    def age_corrected(self, known: Flags) -> Float64s:
        """Return the log views [n] minus the age curve, which gives the effect of age on log views.

        The age curve is a sum of pieces. A piece is 0 up to a certain age, and rises linearly from there on. The
        weights of the pieces are fitted to the known videos by ridge regression. Before the fit, the local trend of the
        channel is subtracted from views and pieces. Without this step, the size and the growth of a channel would be
        mistaken for effects of age.
        """
        pieces = np.maximum(np.clip(self.age, 0, _OLDEST)[:, None] - np.array([0.0, *_KNOTS]), 0.0)
        above = np.clip(self.above_trend(self.views, known)[known], -_OUTLIER, _OUTLIER)
        x = np.column_stack([self.above_trend(piece, known)[known] for piece in pieces.T])
        spread = x.std(axis=0) + 1e-9
        x /= spread
        slopes = np.linalg.solve(x.T @ x + _AGE_PENALTY * np.eye(x.shape[1]), x.T @ above) / spread
        return np.asarray(self.views - pieces @ slopes, np.float64)


def _pairs(channel: Rows, published: Float64s, age: Float64s) -> tuple[Rows, Rows]:
    """Return the rows of the two videos of each pair, [m] and [m].

    The videos of a pair belong to one channel and were published at most 30 days apart. The ages of the two videos at
    their first observations differ by at most a day.
    """
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
    """A set of m pairs. The set has the rows of the winners and of the losers, and the channel number of each pair."""

    winners: Rows
    losers: Rows
    channel: Rows

    @classmethod
    def of(cls, panel: Panel, target: Floats, within: Flags, twice: bool = False) -> PairSet:
        """Return the pairs of the panel whose two videos are both in the rows `within` [n], and differ in `target` [n].

        `target` holds log views. The winner of a pair is the video with the larger `target`. If `twice` is true, only
        pairs whose winner has at least twice the views of the loser are returned. Channels with fewer than
        `LEAST_PAIRS` such pairs are left out.
        """
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
        """Return the AUC of the scores [n] on the pairs of each channel, in the order of the channel numbers.

        Channels without pairs are left out.
        """
        _, number = np.unique(self.channel, return_inverse=True)
        wins = np.bincount(number, pair_wins(scores, self.winners, self.losers))
        return np.asarray(wins / np.maximum(np.bincount(number), 1), np.float64)


def mean_with_interval(values: Float64s) -> tuple[float, float, float]:
    """Return the mean of one value per channel [c], and the ends of its 95 % interval over channels.

    The values are shares, or differences of shares. All three results are NaN if there are fewer than two channels.
    """
    if len(values) < 2:
        return (float("nan"),) * 3
    return float(values.mean()), *interval_of_channels(values, DIFFERENCE)


Progress = Callable[[str], None]

"""Read the title panel: the titles and views of the videos of many real channels.

The module also corrects the views for age, and makes the pairs of videos on which models of titles are evaluated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_pipelines.dataset.pairing import near_in_time
from thumblab_pipelines.statistics.intervals import DIFFERENCE, interval_of_channels
from thumblab_pipelines.statistics.metrics import pair_wins
from thumblab_pipelines.training.title_prior.table import TitleTable, columns_of, read_observations, sorted_videos

FILE = "panel.parquet"
KNOWN_SHARE = 0.8
"""The share of a channel's videos that models may learn from. These known videos are the oldest of the channel."""
LEAST_PAIRS = 10
"""Minimum number of pairs of a channel. With fewer pairs, the channel is left out of the mean AUC over channels."""

_DAYS_APART, _AGES_APART = 30, 1.0
_TWICE = np.log(2.0) - 1e-12


@dataclass(frozen=True)
class Panel(TitleTable):
    """The n videos of the title panel, sorted by channel and publication time, and the m pairs of these videos.

    `place` [n]: the share of the channel's videos that were published before this video. `first` [m] and `second` [m]:
    the rows of the two videos of each pair.
    """

    place: Float64s
    first: Rows
    second: Rows

    @classmethod
    def read(cls, folder: Path) -> Panel:
        """Return the panel that is stored in the folder as `panel.parquet`."""
        return cls.of(read_observations(folder / FILE))

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Panel:
        """Return the panel for a table. The table has the columns of `panel.parquet`, and a row for each observation of
        a video.
        """
        videos = sorted_videos(rows)
        titles, channel, published, age, views = columns_of(videos)
        place = videos.groupby("channel_id").cumcount() / videos.groupby("channel_id").views.transform("size")
        pairs = _pairs(channel, published, age)
        return cls(titles, channel, published, age, views, place.to_numpy(float), *pairs)

    def only(self, chosen: Flags) -> Panel:
        """Return a panel with only the chosen videos and their pairs. `chosen` [n] says which videos are chosen. The
        channels get new numbers.
        """
        row, inside = np.cumsum(chosen) - 1, chosen[self.first] & chosen[self.second]
        titles = [title for title, wanted in zip(self.titles, chosen, strict=True) if wanted]
        channel = np.unique(self.channel[chosen], return_inverse=True)[1]
        published, age, views = self.published[chosen], self.age[chosen], self.views[chosen]
        first, second = row[self.first[inside]], row[self.second[inside]]
        return Panel(titles, channel, published, age, views, self.place[chosen], first, second)


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
        """Return the pairs of the panel whose two videos are both in the rows `within` [n] and have different values of
        `target` [n].

        `target` contains log views. The winner of a pair is the video with the larger `target`. If `twice` is true,
        only pairs whose winner has at least twice the views of the loser are kept. A channel with fewer than
        `LEAST_PAIRS` kept pairs is left out.
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


def timed_progress() -> Progress:
    """Return a function that prints a text to stderr. The seconds since the call of `timed_progress` are printed before
    the text.
    """
    start = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - start:5.0f} s  {what}", file=sys.stderr, flush=True)

    return tell


def panel_in(folder: Path, program: str) -> Panel:
    """Return the panel that is stored in the folder.

    If the folder has no panel, end the process. The error message says how to run `program` with another folder.
    """
    if not (folder / FILE).is_file():
        sys.exit(f"There is no {FILE} in {folder}. Give the folder of this file: python -m {program} DIR")
    return Panel.read(folder)

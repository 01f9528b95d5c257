"""Compute the figures of a scorer on all held-out pairs and on slices of these pairs, such as the pairs of one niche.

A scorer is the ranking model or a reference model. A figure is the value of one metric, such as AUC, with its interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_core.ranking import skill
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.statistics.calibration import (
    error_if_calibrated,
    expected_calibration_error,
    mean_log_loss,
    too_close,
)
from thumblab_pipelines.statistics.intervals import (
    DIFFERENCE,
    SHARE,
    ChannelMeans,
    Interval,
    interval,
    interval_of_channels,
)
from thumblab_pipelines.statistics.metrics import channel_correlations, distinct, numbered, pair_wins

if TYPE_CHECKING:
    import pandas as pd

FUTURE, NEW_CHANNELS, ADAPTED = skill.FUTURE, skill.NEW_CHANNELS, skill.ADAPTED
MODEL = "model"

SLICES = {"all": 0.0, "2x": 0.5}
"""The slices on which every scorer gets an AUC, each with the smallest margin of its pairs.

See `MARGINS` for the meaning of a margin. At a margin of 0.5, the winner has twice the views of the loser.
"""

MARGINS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Limits of the slices by margin. The margin of a pair is 1 - (views of the loser) / (views of the winner)."""

LEAST_SLICE_PAIRS, MOST_CHANNELS = 30, 50
"""Conditions for a channel or niche to get its own figures.

A channel or niche needs at least 30 held-out pairs. Only the fifty channels with the most pairs get figures.
"""

DEEP = 100
"""Minimum number of held-out pairs for a second figure of a channel.

The second figure is the AUC on the channel's pairs whose winner has at least twice the views of the loser.
"""


LEAST_CHANNEL_PAIRS = 10
"""Minimum number of pairs of a channel. With fewer pairs, the channel is left out of means over channels."""

_CORRELATION: Interval = (-1.0, 1.0)


@dataclass(frozen=True)
class Evaluation:
    """One figure: a metric of one scorer on one slice of one split. docs/evaluation.md explains these terms.

    Parameters
    ----------
    value
        The figure, or None if it could not be measured.
    low, high
        The ends of the figure's 95 % interval, or None if the figure has no interval.
    pairs
        The number of pairs that the figure was measured on, or 0 if it was measured on videos instead of pairs.
    channels
        The number of channels to which these pairs or videos belong.
    question
        What is asked about the pairs: `PACKAGE`, `ONE_TITLE` or `ONE_VIDEO` of `thumblab_core.ranking.skill`.
        Evaluations of older releases have only `PACKAGE`.
    """

    split: str
    slice: str
    scorer: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    pairs: int
    channels: int
    question: str = skill.PACKAGE

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Return the evaluation that is stored in a row.

        Old releases store only AUCs. Rows of old releases have the fields `auc`, `auc_low` and `auc_high`, and no
        `metric`.
        """
        if "auc" not in row:
            return cls(**row)
        common = {name: value for name, value in row.items() if not name.startswith("auc")}
        return cls(**common, metric="auc", value=row["auc"], low=row["auc_low"], high=row["auc_high"])


@dataclass(frozen=True)
class Place:
    """The subject of a figure: the split, the slice, the scorer, the metric and the question of an `Evaluation`."""

    split: str
    slice: str
    scorer: str
    metric: str
    question: str = skill.PACKAGE

    def figure(
        self, value: float | None, ends: tuple[float | None, float | None], pairs: int, channels: int
    ) -> Evaluation:
        """Return an `Evaluation` of this place with the given value.

        `ends` are the lower and the upper end of the interval. Both ends are None if no interval was computed.
        """
        return Evaluation(
            self.split, self.slice, self.scorer, self.metric, value, *ends, pairs, channels, self.question
        )


class Sides(NamedTuple):
    """m pairs: the row number of each pair's winner [m] and loser [m], and the number of each pair's channel [m]."""

    winners: Rows
    losers: Rows
    channels: Rows


@dataclass(frozen=True)
class HeldOutPairs:
    """The held-out pairs of one split. The methods yield the figures of scores [n] on these pairs."""

    split: str
    pairs: pd.DataFrame

    @classmethod
    def of(cls, split: str, pairs: pd.DataFrame) -> Self:
        """Return the pairs of a release that are held out in the split.

        In the split of unseen channels, all pairs are held out. In the other splits, only the pairs of each
        channel's newest videos (20 %) are held out.
        """
        return cls(split, pairs if split == NEW_CHANNELS else pairs[pairs.part == TEST])

    def aucs(self, scorer: str, scores: Floats) -> Iterator[Evaluation]:
        """Yield the AUC on all pairs, and the AUC on the pairs whose winner has at least twice the views of the loser.

        After each AUC, the mean of the AUCs of single channels is yielded. In this mean, all channels have the same
        weight. The mean includes only channels with at least `LEAST_CHANNEL_PAIRS` pairs.
        """
        for name, least in SLICES.items():
            sides = self._sides(self._margin >= least)
            wins = pair_wins(scores, sides.winners, sides.losers)
            yield mean_figure(Place(self.split, name, scorer, "auc"), wins, sides)
            yield channel_mean_figure(Place(self.split, name, scorer, "auc_over_channels"), wins, sides)

    def lead(self, scores: Floats, reference: str, reference_scores: Floats) -> Iterator[Evaluation]:
        """Yield the model's AUC minus the AUC of a reference model, on each of the slices in `SLICES`."""
        for name, least in SLICES.items():
            sides = self._sides(self._margin >= least)
            model_wins = pair_wins(scores, sides.winners, sides.losers)
            reference_wins = pair_wins(reference_scores, sides.winners, sides.losers)
            place = Place(self.split, name, MODEL, f"lead_over_{reference}")
            yield mean_figure(place, model_wins - reference_wins, sides, DIFFERENCE)

    def detailed_aucs(self, videos: pd.DataFrame, scorer: str, scores: Floats) -> Iterator[Evaluation]:
        """Yield the AUC for each range of margins, for each niche and for each channel.

        `videos`: the videos of the release.
        """
        for low, high in pairwise(MARGINS):
            inside = (self._margin >= low) & ((self._margin < high) | (high == MARGINS[-1]))
            yield self._auc(f"margin {low:g}-{high:g}", scorer, scores, inside)
        niche_of_video, niches = numbered(videos.niche)
        niche = niche_of_video[self._winner]
        for number, _ in _frequent(niche):
            yield self._auc(f"niche:{niches[number]}", scorer, scores, niche == number)
        channel, channels = self._channels
        for number, count in _frequent(channel)[:MOST_CHANNELS]:
            in_channel = channel == number
            yield self._auc(f"channel:{channels[number]}", scorer, scores, in_channel)
            if count >= DEEP:
                twofold = in_channel & (self._margin >= SLICES["2x"])
                yield self._auc(f"channel:{channels[number]}", scorer, scores, twofold, "auc_2x")

    def calibration(self, scores: Floats, slope: float) -> Iterator[Evaluation]:
        """Yield the calibration of the win probabilities, and figures on the pairs that are too close to call.

        The calibration is the expected calibration error (`ece`) and the mean logarithmic loss (`log_loss`).
        `abstained` is the share of pairs that are too close to call. `accuracy_decided` is the AUC on all other pairs.

        `slope` turns a difference of scores into the log odds of winning.
        """
        gaps = (scores[self._winner] - scores[self._loser]).astype(np.float64)
        close = too_close(gaps, slope)
        every_pair = self._sides(np.ones(len(gaps), bool))
        yield from calibration_figures(Place(self.split, "all", MODEL, ""), gaps, slope, every_pair)
        yield mean_figure(Place(self.split, "all", MODEL, "abstained"), close.astype(np.float64), every_pair)
        yield self._auc("all", MODEL, scores, ~close, "accuracy_decided")

    def correlations(self, videos: pd.DataFrame, rows: Rows, scores: Floats) -> Iterator[Evaluation]:
        """Yield two rank correlations for the given rows of `videos`.

        Each correlation is computed within each channel, and then averaged over the channels. The first correlation
        compares the model's scores with the age-corrected views. The second correlation compares the scores with the
        click-through rates from the channel's owner.
        """
        truths = {"spearman": "target", "ctr_correlation": "click_through_rate"}
        for metric, column in truths.items():
            by_channel: dict[str, float] = {}
            if column in videos:
                by_channel = channel_correlations(scores, videos[column].to_numpy(float), videos.channel_id, rows)
            values = np.array(list(by_channel.values()), np.float64)
            value = float(values.mean()) if by_channel else None
            low, high = interval_of_channels(values, _CORRELATION) if len(by_channel) > 1 else (None, None)
            yield Evaluation(self.split, "all", MODEL, metric, value, low, high, 0, len(by_channel))

    def _auc(self, slice_: str, scorer: str, scores: Floats, chosen: Flags, metric: str = "auc") -> Evaluation:
        sides = self._sides(chosen)
        wins = pair_wins(scores, sides.winners, sides.losers)
        return mean_figure(Place(self.split, slice_, scorer, metric), wins, sides)

    def _sides(self, chosen: Flags) -> Sides:
        return Sides(self._winner[chosen], self._loser[chosen], self._channels[0][chosen])

    @cached_property
    def _winner(self) -> Rows:
        return np.asarray(self.pairs.winner.to_numpy(np.intp), np.intp)

    @cached_property
    def _loser(self) -> Rows:
        return np.asarray(self.pairs.loser.to_numpy(np.intp), np.intp)

    @cached_property
    def _channels(self) -> tuple[Rows, list[str]]:
        """The channel number of each pair, and the channel names by number.

        The numbers and the names are computed once and kept, because hundreds of figures need them.
        """
        return numbered(self.pairs.channel_id)

    @cached_property
    def _margin(self) -> Float64s:
        return np.asarray(self.pairs.margin.to_numpy(float), np.float64)


def mean_figure(place: Place, values: Float64s, sides: Sides, within: Interval = SHARE) -> Evaluation:
    """Return the mean of `values` [m], one value for each pair, with the interval of the mean.

    `sides` has the videos and channels of the pairs. `within` has the smallest and the largest possible value of the
    mean.
    """
    if not len(values):
        return place.figure(None, (None, None), 0, 0)
    ends = interval(values, *sides, within)
    return place.figure(float(values.mean()), ends, len(values), distinct(sides.channels))


def channel_mean_figure(place: Place, values: Float64s, sides: Sides) -> Evaluation:
    """Return the mean of the channels' means, with its interval.

    The mean of a channel is the mean of the `values` [m] of its pairs. Only channels with at least
    `LEAST_CHANNEL_PAIRS` pairs are included.
    """
    counts = np.bincount(sides.channels) if len(values) else np.zeros(1, np.intp)
    chosen = counts[sides.channels] >= LEAST_CHANNEL_PAIRS
    if not chosen.any():
        return place.figure(None, (None, None), 0, 0)
    winners, losers, channels = (side[chosen] for side in sides)
    by_channel = ChannelMeans.of(values[chosen], winners, losers, channels, SHARE)
    ends = by_channel.interval(by_channel.over_channels())
    return place.figure(float(by_channel.means.mean()), ends, int(chosen.sum()), len(by_channel.means))


def calibration_figures(place: Place, gaps: Float64s, slope: float, sides: Sides) -> Iterator[Evaluation]:
    """Yield three figures: the expected calibration error of the win probabilities, the error that chance alone would
    cause (see `error_if_calibrated`), and the mean logarithmic loss.

    `gaps` [m]: score of each pair's winner minus the score of its loser. `slope` turns a gap into the log odds of
    winning. The metric of `place` is ignored.
    """
    size = len(gaps), distinct(sides.channels)
    measures = {"ece": expected_calibration_error, "log_loss": mean_log_loss}
    for metric, measure in measures.items():
        value = measure(gaps, slope) if len(gaps) else None
        yield replace(place, metric=metric).figure(value, (None, None), *size)
    by_chance = replace(place, metric="ece_if_calibrated")
    if not len(gaps):
        yield by_chance.figure(None, (None, None), 0, 0)
        return
    expected = error_if_calibrated(gaps, slope, sides.winners, sides.losers)
    yield by_chance.figure(expected.mean, (expected.low, expected.high), *size)


def _frequent(numbers: Rows) -> list[tuple[int, int]]:
    """Return the channels or niches that have at least 30 pairs, each with its number of pairs.

    `numbers` [m]: for each pair, the number that stands for its channel or niche. The channel or niche with the most
    pairs comes first.
    """
    counts = np.bincount(numbers) if len(numbers) else np.zeros(0, np.intp)
    order = np.argsort(-counts, kind="stable")
    return [(int(number), int(counts[number])) for number in order if counts[number] >= LEAST_SLICE_PAIRS]

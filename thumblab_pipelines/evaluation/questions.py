"""One question to a ranking, the held-out pairs that ask it, and the figures that answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Floats, Rows
from thumblab_core.ranking import skill
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.statistics.calibration import expected_calibration_error, too_close
from thumblab_pipelines.statistics.metrics import (
    channel_correlations,
    distinct,
    interval,
    interval_over_channels,
    numbered,
    pair_wins,
)

if TYPE_CHECKING:
    import pandas as pd

FUTURE, NEW_CHANNELS, ADAPTED = skill.FUTURE, skill.NEW_CHANNELS, skill.ADAPTED
MODEL = "model"

SLICES = {"all": 0.0, "2x": 0.5}
"""The least margin of a pair; a margin of 0.5 is twice the views."""

MARGINS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)

LEAST_PAIRS, MOST_CHANNELS = 30, 50
"""Channels and niches with fewer held-out pairs have no figures of their own; of channels the fifty largest have them."""

DEEP = 100
"""Held-out pairs of a channel from which on its pairs with a twofold gap are worth a figure."""


@dataclass(frozen=True)
class Evaluation:
    """One figure: a metric of one scorer on one slice of one split. docs/evaluation.md says what each of them is.

    `value` is None where nothing could be measured; `low` and `high` are the ends of its 95 % interval, where it has one.
    `pairs` were looked at, 0 for a figure of videos; of `channels`.
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

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """From its fields; also from those of a release that was made when AUC was all that was measured."""
        if "auc" not in row:
            return cls(**row)
        found = {name: value for name, value in row.items() if not name.startswith("auc")}
        return cls(**found, metric="auc", value=row["auc"], low=row["auc_low"], high=row["auc_high"])


@dataclass(frozen=True)
class Question:
    """`pairs` as a release has them, those of a split only."""

    split: str
    pairs: pd.DataFrame

    @classmethod
    def of(cls, split: str, pairs: pd.DataFrame) -> Self:
        """Of all pairs of a release: whoever knows nothing of a channel is asked all of its pairs, else those of its end."""
        return cls(split, pairs if split == NEW_CHANNELS else pairs[pairs.part == TEST])

    def aucs(self, scorer: str, scores: Floats) -> Iterator[Evaluation]:
        """Of all pairs, and of those with a twofold gap."""
        for name, least in SLICES.items():
            yield self._auc(name, scorer, scores, self._margin >= least)

    def lead(self, scores: Floats, bar: str, theirs: Floats) -> Iterator[Evaluation]:
        """By how much the model's AUC is above that of the reference model `bar`, on the same pairs."""
        for name, least in SLICES.items():
            chosen = self._margin >= least
            winners, losers, channels = self._sides(chosen)
            gained = pair_wins(scores, winners, losers) - pair_wins(theirs, winners, losers)
            yield self._mean(name, MODEL, f"lead_over_{bar}", gained, winners, losers, channels)

    def parts(self, videos: pd.DataFrame, scorer: str, scores: Floats) -> Iterator[Evaluation]:
        """AUC by how far the two are apart, by niche and by channel."""
        for low, high in pairwise(MARGINS):
            inside = (self._margin >= low) & ((self._margin < high) | (high == MARGINS[-1]))
            yield self._auc(f"margin {low:g}-{high:g}", scorer, scores, inside)
        niches, names = numbered(videos.niche)
        niche = niches[self._winner]
        for number, _ in _frequent(niche):
            yield self._auc(f"niche:{names[number]}", scorer, scores, niche == number)
        channel, names = self._channels
        for number, count in _frequent(channel)[:MOST_CHANNELS]:
            mine = channel == number
            yield self._auc(f"channel:{names[number]}", scorer, scores, mine)
            if count >= DEEP:
                twice = mine & (self._margin >= SLICES["2x"])
                yield self._auc(f"channel:{names[number]}", scorer, scores, twice, "auc_2x")

    def certainty(self, scores: Floats, slope: float) -> Iterator[Evaluation]:
        """Whether the model's win probabilities hold, how often it would not say, and how often it is right when it does."""
        gaps = (scores[self._winner] - scores[self._loser]).astype(np.float64)
        close = too_close(gaps, slope)
        error = expected_calibration_error(gaps, slope) if len(gaps) else None
        pairs, channels = self._size(self._channels[0])
        yield Evaluation(self.split, "all", MODEL, "ece", error, None, None, pairs, channels)
        yield self._mean("all", MODEL, "abstained", close.astype(np.float64), *self._sides(np.ones(len(gaps), bool)))
        yield self._auc("all", MODEL, scores, ~close, "accuracy_decided")

    def correlations(self, videos: pd.DataFrame, rows: Rows, scores: Floats) -> Iterator[Evaluation]:
        """Spearman's within channels, of the score and what the rows' videos got: views for their age, and true CTR."""
        truths = {"spearman": "target", "ctr_correlation": "click_through_rate"}
        for metric, column in truths.items():
            found: dict[str, float] = {}
            if column in videos:
                found = channel_correlations(scores, videos[column].to_numpy(float), videos.channel_id, rows)
            values = np.array(list(found.values()), np.float64)
            value = float(values.mean()) if found else None
            low, high = interval_over_channels(values, list(found)) if len(found) > 1 else (None, None)
            yield Evaluation(self.split, "all", MODEL, metric, value, low, high, 0, len(found))

    def _auc(
        self, slice_: str, scorer: str, scores: Floats, chosen: npt.NDArray[np.bool_], metric: str = "auc"
    ) -> Evaluation:
        winners, losers, channels = self._sides(chosen)
        return self._mean(slice_, scorer, metric, pair_wins(scores, winners, losers), winners, losers, channels)

    def _mean(
        self, slice_: str, scorer: str, metric: str, values: Float64s, winners: Rows, losers: Rows, channels: Rows
    ) -> Evaluation:
        if not len(values):
            return Evaluation(self.split, slice_, scorer, metric, None, None, None, 0, 0)
        low, high = interval(values, winners, losers, channels)
        return Evaluation(self.split, slice_, scorer, metric, float(values.mean()), low, high, *self._size(channels))

    def _sides(self, chosen: npt.NDArray[np.bool_]) -> tuple[Rows, Rows, Rows]:
        return self._winner[chosen], self._loser[chosen], self._channels[0][chosen]

    def _size(self, channels: Rows) -> tuple[int, int]:
        return len(channels), distinct(channels)

    @cached_property
    def _winner(self) -> Rows:
        return np.asarray(self.pairs.winner.to_numpy(np.intp), np.intp)

    @cached_property
    def _loser(self) -> Rows:
        return np.asarray(self.pairs.loser.to_numpy(np.intp), np.intp)

    @cached_property
    def _channels(self) -> tuple[Rows, list[str]]:
        """The number of each pair's channel, and their names. Numbered once: there are hundreds of figures."""
        return numbered(self.pairs.channel_id)

    @cached_property
    def _margin(self) -> Float64s:
        return np.asarray(self.pairs.margin.to_numpy(float), np.float64)


def _frequent(numbers: Rows) -> list[tuple[int, int]]:
    """The numbers of enough pairs, and of how many; the most frequent first."""
    counts = np.bincount(numbers) if len(numbers) else np.zeros(0, np.intp)
    order = np.argsort(-counts, kind="stable")
    return [(int(number), int(counts[number])) for number in order if counts[number] >= LEAST_PAIRS]

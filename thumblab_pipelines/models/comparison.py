"""Compare two models on the same held-out pairs, for each question of the evaluation.

d is the challenger's AUC minus the champion's AUC. The challenger is not worse if d is at least 0, or if the lower
one-sided 95 % bound of d is above -0.01. The question *one video* has few pairs. So for this question, it is enough if
the upper bound of d is at least 0. `thumblab_pipelines.statistics.intervals` computes the bounds, and docs/mlflow.md
gives the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.skill import ONE_TITLE, ONE_VIDEO, PACKAGE
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.evaluation.figures import Sides
from thumblab_pipelines.evaluation.one_title import title_wins
from thumblab_pipelines.evaluation.one_video import sides_of, signed_gaps, wins_of
from thumblab_pipelines.statistics.held_out_scores import OneVideoGaps
from thumblab_pipelines.statistics.intervals import DIFFERENCE, interval
from thumblab_pipelines.statistics.metrics import numbered, pair_wins
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.training.context import Context
from thumblab_pipelines.training.corpus import crossed_inputs, dataset_inputs
from thumblab_pipelines.training.one_video_inputs import OneVideoInputs
from thumblab_pipelines.training.picture_gaps import MOST_PAIRS

if TYPE_CHECKING:
    import pandas as pd

    from thumblab_core.ranking.trained_ranker import TrainedRanker

LEAST_COMPARED_PAIRS = 50
"""Minimum number of pairs for comparing two models."""

TOLERATED = 0.01
"""Tolerated loss of AUC. A challenger is not worse if the lower bound of the AUC difference is above -TOLERATED."""

_LEVEL = 0.90
"""The probability that the interval covers the true difference. Each end of this interval is a one-sided 95 % bound."""


@dataclass(frozen=True)
class Comparison:
    """The AUC of the challenger minus the AUC of the champion on the same pairs, for one question.

    `low` and `high` are the ends of the 90 % interval, so each is a one-sided 95 % bound.
    """

    question: str
    difference: float
    low: float
    high: float
    pairs: int
    channels: int
    not_worse: bool
    explanation: str


@dataclass(frozen=True)
class Contender:
    """One of the two models of a comparison. `data`: the videos, with vectors from the encoders of this model."""

    ranker: TrainedRanker
    data: Dataset

    def picture_gaps(self, winners: Rows, losers: Rows) -> Float64s:
        """Return the picture gap of each pair [k, 2], under the winner's title and under the loser's title.

        A picture gap is the score of the winner's picture minus the score of the loser's picture, both under the same
        title. `winners` and `losers` [k] are rows of the videos.
        """
        data, version = self.data, self.ranker.model.config.version
        channels = data.videos.channel_id.to_numpy(str)

        def scores(pictures: Rows, titles: Rows) -> Floats:
            return scores_of(self.ranker, crossed_inputs(data, pictures, titles, version), channels[pictures])

        under = [scores(winners, titles) - scores(losers, titles) for titles in (winners, losers)]
        return np.stack(under, axis=1).astype(np.float64)

    def one_video_gaps(self, rows: Rows) -> OneVideoGaps:
        """Return the score of picture a minus the score of picture b, for the one-video pairs with the row numbers
        `rows`."""
        channels = self.data.one_video.pairs.channel_id.to_numpy(str)[rows]
        inputs = OneVideoInputs.of(self.data.one_video, rows, self.ranker.model.config.version)
        a, b = (scores_of(self.ranker, side, channels) for side in (inputs.first, inputs.second))
        return OneVideoGaps(rows, (a - b).astype(np.float64))


def scores_of(trained: TrainedRanker, inputs: Float32s | MixedRows, channels: npt.NDArray[np.str_]) -> Floats:
    """Return the model's score of each picture with its title [k], with the channel adapters applied.

    `inputs` [k, d]: the model's inputs. `channels` [k]: the channels of the videos.
    """
    scores: Floats = MixedRows.of(inputs).mapped(lambda block: trained.predict_inputs(block).score)
    for channel in np.unique(channels):
        adapter = trained.adapter(str(channel))
        if adapter is not None:
            rows = np.flatnonzero(channels == channel)
            scores[rows] = trained.predict_inputs(inputs[rows], adapter).score
    return scores


def model_scores(trained: TrainedRanker, data: Dataset) -> Floats:
    """Return the model's score of each video [n]. If the model has an adapter for a video's channel, the adapter is
    applied."""
    inputs = dataset_inputs(data, trained.model.config.version)
    return scores_of(trained, inputs, data.videos.channel_id.to_numpy(str))


def compare_questions(
    champion: Contender, challenger: Contender, pairs: pd.DataFrame, one_video: Rows
) -> list[Comparison]:
    """Compare two models on each question for which there are at least `LEAST_COMPARED_PAIRS` pairs.

    `pairs` are pairs of two videos. `one_video` has the row numbers of one-video pairs. Neither model may have been
    trained on any of these pairs. The result for the question `PACKAGE` comes first.
    """
    compared = [
        compare_models(
            model_scores(champion.ranker, champion.data), model_scores(challenger.ranker, challenger.data), pairs
        ),
        _compare_one_title(champion, challenger, pairs),
        _compare_one_video(champion, challenger, one_video),
    ]
    return [comparison for comparison in compared if comparison is not None]


def compare_models(champion: Floats, challenger: Floats, pairs: pd.DataFrame) -> Comparison | None:
    """Compare two models on the same pairs, for the question `PACKAGE`.

    `champion` [n] and `challenger` [n] are the scores that the two models give the videos. `pairs` has the column
    `channel_id`, and the columns `winner` and `loser` with row numbers of these scores. Return None if there are fewer
    than `LEAST_COMPARED_PAIRS` pairs.
    """
    sides = _sides(pairs)
    wins = [pair_wins(scores, sides.winners, sides.losers) for scores in (champion, challenger)]
    return compare_wins(PACKAGE, wins[0], wins[1], sides)


def compare_wins(question: str, champion_wins: Float64s, challenger_wins: Float64s, sides: Sides) -> Comparison | None:
    """Compare how often two models order the same pairs correctly. `question`: the question that the pairs answer.

    `champion_wins` and `challenger_wins` [m]: 1 for a pair that the model orders correctly, 0.5 for a pair with equal
    scores, and 0 for any other pair. Return None if there are fewer than `LEAST_COMPARED_PAIRS` pairs.
    """
    gains = challenger_wins - champion_wins
    if len(gains) < LEAST_COMPARED_PAIRS:
        return None
    low, high = interval(gains, *sides, DIFFERENCE, _LEVEL)
    difference = float(gains.mean())
    not_worse = difference >= 0 or low > -TOLERATED or (question == ONE_VIDEO and high >= 0)
    channels = len(np.unique(sides.channels))
    explanation = (
        f"AUC {challenger_wins.mean():.3f} and the champion's {champion_wins.mean():.3f} on the same {len(gains):,} "
        f"held-out pairs of {channels} channels: {difference:+.3f}, 90 % interval {low:+.3f} to {high:+.3f}"
    )
    return Comparison(question, difference, low, high, len(gains), channels, not_worse, explanation)


def _compare_one_title(champion: Contender, challenger: Contender, pairs: pd.DataFrame) -> Comparison | None:
    """Compare two models for the question `ONE_TITLE`, on the slice `residual`.

    In the slice `residual`, the video with the larger residual counts as the video with the better picture. If there
    are more than `MOST_PAIRS` pairs, a fixed random sample is used. Return None if there are fewer than
    `LEAST_COMPARED_PAIRS` pairs.
    """
    if len(pairs) > MOST_PAIRS:
        pairs = pairs.sample(MOST_PAIRS, random_state=0)
    sides, context = _sides(pairs), Context.of(challenger.data)
    residual = context.residual[sides.winners] - context.residual[sides.losers]
    decided = np.isfinite(residual) & (residual != 0)
    sides, residual = Sides(*(side[decided] for side in sides)), residual[decided]
    if len(residual) < LEAST_COMPARED_PAIRS:
        return None
    wins = []
    for contender in (champion, challenger):
        under_both = title_wins(contender.picture_gaps(sides.winners, sides.losers))
        wins.append(np.where(residual > 0, under_both, 1 - under_both))
    return compare_wins(ONE_TITLE, wins[0], wins[1], sides)


def _compare_one_video(champion: Contender, challenger: Contender, rows: Rows) -> Comparison | None:
    if len(rows) < LEAST_COMPARED_PAIRS:
        return None
    wins = [
        wins_of(signed_gaps(contender.data.one_video, contender.one_video_gaps(rows)))
        for contender in (champion, challenger)
    ]
    return compare_wins(ONE_VIDEO, wins[0], wins[1], sides_of(challenger.data.one_video, rows))


def _sides(pairs: pd.DataFrame) -> Sides:
    return Sides(pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp), numbered(pairs.channel_id)[0])

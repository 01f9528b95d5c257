"""Evaluate the question *one title*: which of two pictures gets more views under the same title?

Two observed videos of a channel differ in title *and* picture, so the video with more views may have won by its title.
So the pairs are evaluated in slices. All slices except `swap` reduce the effect of the title:

    residual     The winner is the video with the higher residual. The residual is the log views minus the log views
                 that the context predicts, see `Context`. `residual 2x` has only the pairs whose residuals differ by at
                 least a factor of two.
    tied third   The contexts of the two videos of a pair predict their views. This slice has one in three pairs: those
                 with the most similar predictions. The winner is the video with more views. `tied tenth` is stricter:
                 it has only one in ten pairs.
    swap         All pairs. The winner is the video with more views. The effect of the title on the views remains.

In every slice, the two pictures are scored twice: under the winner's title, and under the loser's title.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from thumblab_core.arrays import Flags, Float64s
from thumblab_core.ranking.skill import ONE_TITLE, RESIDUAL
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.evaluation.figures import (
    MODEL,
    Evaluation,
    Place,
    Sides,
    calibration_figures,
    channel_mean_figure,
    mean_figure,
)
from thumblab_pipelines.statistics.calibration import too_close
from thumblab_pipelines.statistics.held_out_scores import PictureGaps
from thumblab_pipelines.statistics.metrics import numbered
from thumblab_pipelines.training.context import Context

TIED_THIRD, TIED_TENTH, SWAP = "tied third", "tied tenth", "swap"

_TIED_SHARES = {TIED_THIRD: 1 / 3, TIED_TENTH: 1 / 10}
"""The share of the pairs that is in each slice of tied pairs."""

_TWOFOLD = float(np.log(2))
"""The difference of two residuals that means twice the views. Residuals are in ln views."""


@dataclass(frozen=True)
class OneTitlePairs:
    """Held-out pairs of one split, on which the question *one title* is evaluated."""

    split: str
    data: Dataset
    context: Context

    def aucs(self, scorer: str, pictures: PictureGaps) -> Iterator[Evaluation]:
        """Yield the AUC of a scorer in each slice, and the mean of the AUCs of single channels.

        The AUC is a mean over pairs. A pair has the value 1 if the winner's picture scores higher under both titles.
        The value is 0.5 if the winner's picture scores higher under one title and lower under the other title. See
        `title_wins` for equal scores.
        """
        sides, wins = self._sides(pictures), title_wins(pictures.gaps)
        residual = self.context.residual[sides.winners] - self.context.residual[sides.losers]
        residual_wins = np.where(residual > 0, wins, 1 - wins)
        slices: dict[str, tuple[Flags, Float64s]] = {
            RESIDUAL: (residual != 0, residual_wins),
            f"{RESIDUAL} 2x": (np.abs(residual) >= _TWOFOLD, residual_wins),
        }
        predicted = np.abs(self.context.predicted[sides.winners] - self.context.predicted[sides.losers])
        for name, share in _TIED_SHARES.items():
            most = int(np.ceil(share * len(predicted)))
            slices[name] = (np.argsort(np.argsort(predicted, kind="stable"), kind="stable") < most, wins)
        slices[SWAP] = (np.ones(len(wins), bool), wins)
        for name, (chosen, values) in slices.items():
            chosen_sides = Sides(*(side[chosen] for side in sides))
            place = Place(self.split, name, scorer, "auc", ONE_TITLE)
            yield mean_figure(place, values[chosen], chosen_sides)
            yield channel_mean_figure(replace(place, metric="auc_over_channels"), values[chosen], chosen_sides)

    def claims(self, pictures: PictureGaps, slope: float) -> Iterator[Evaluation]:
        """Yield figures of the model's win probabilities, and a figure of how much its choices depend on the title.

        Calibration is measured on test pairs, with the winners of the slice `residual`. `abstained` is the share of the
        test pairs that are too close to call. In some pairs, one picture scores higher under the winner's title, but
        the other picture scores higher under the loser's title. `changes_with_title` is the share of these pairs among
        all pairs. `slope` turns a difference of scores into the log odds of winning.
        """
        sides, gaps = self._sides(pictures), pictures.gaps.mean(axis=1)
        residual = self.context.residual[sides.winners] - self.context.residual[sides.losers]
        # For unseen channels, `slope` was fitted to pairs of the training part and the validation part. So calibration
        # is measured only on pairs of the test part.
        is_test = self.data.pairs.part.to_numpy(object)[pictures.pairs] == TEST
        held_out = is_test & (residual != 0)
        place = Place(self.split, RESIDUAL, MODEL, "", ONE_TITLE)
        signed = (np.sign(residual) * gaps)[held_out]
        first = np.where(residual > 0, sides.winners, sides.losers)
        second = np.where(residual > 0, sides.losers, sides.winners)
        by_residual = Sides(*(side[held_out] for side in (first, second, sides.channels)))
        yield from calibration_figures(place, signed, slope, by_residual)
        close = too_close(gaps[held_out], slope).astype(np.float64)
        yield mean_figure(replace(place, metric="abstained"), close, by_residual)
        changes = pictures.gaps[:, 0] * pictures.gaps[:, 1] < 0
        place = Place(self.split, SWAP, MODEL, "changes_with_title", ONE_TITLE)
        yield mean_figure(place, changes.astype(np.float64), sides)

    def _sides(self, pictures: PictureGaps) -> Sides:
        pairs = self.data.pairs.iloc[pictures.pairs]
        return Sides(pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp), numbered(pairs.channel_id)[0])


def evaluate_one_title(
    split: str, data: Dataset, context: Context, scorers: Mapping[str, PictureGaps], slope: float
) -> list[Evaluation]:
    """Return the figures of one split for the question *one title*.

    `scorers` has the picture gaps of each scorer by its name, and must contain the model. `slope` turns a difference of
    the model's scores into the log odds of winning.
    """
    pairs = OneTitlePairs(split, data, context)
    evaluations = [figure for scorer, pictures in scorers.items() for figure in pairs.aucs(scorer, pictures)]
    return [*evaluations, *pairs.claims(scorers[MODEL], slope)]


def gaps_of_scores(data: Dataset, like: PictureGaps, scores: Float64s) -> PictureGaps:
    """Return the picture gaps of a scorer that uses only pictures. Its gaps do not depend on the title.

    `scores` [n]: the scores that this scorer gives the videos. The result has the gaps of the same pairs as `like`.
    """
    pairs = data.pairs.iloc[like.pairs]
    gaps = scores[pairs.winner.to_numpy(np.intp)] - scores[pairs.loser.to_numpy(np.intp)]
    return PictureGaps(like.pairs, np.stack([gaps, gaps], axis=1))


def title_wins(gaps: Float64s) -> Float64s:
    """Return for each pair [k] under how many of its two titles the winner's picture scores higher, divided by 2.

    If both pictures have the same score under a title, this title counts as half a title.
    """
    return np.asarray(((gaps > 0) + 0.5 * (gaps == 0)).mean(axis=1), np.float64)

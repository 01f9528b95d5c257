"""Train the ranking model on cached vectors: a straight line, the network on top of it, and the histories of channels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from thumblab_core.arrays import Floats, Rows
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter, Adapters
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.ranking.percentiles import LEAST_PLACED, percentiles
from thumblab_core.ranking.ranker import Ranker, RankerConfig, join
from thumblab_core.ranking.trained_ranker import CTR, ENGAGEMENT, Calibration, Informed, TrainedRanker
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import FOLDS, TRAIN, VALIDATION
from thumblab_pipelines.statistics.calibration import fit_slope, too_close_share
from thumblab_pipelines.statistics.held_out import HeldOut
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.statistics.trend import publication_days
from thumblab_pipelines.training.adaptation import above_trend, adjusted, fit_adapters
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.config import Epoch, TrainConfig
from thumblab_pipelines.training.fitting import fit
from thumblab_pipelines.training.linear import Choice, choose, solve

Listener = Callable[[str, Epoch], None]
"""Told which training it is, and of each epoch."""

_LEAST_FOR_ENGAGEMENT = 5
_LEAST_FOR_CTR = 200
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_KEPT = 0.02
"""So that candidates like nothing in the history still differ."""


@dataclass(frozen=True)
class Trained:
    """The model of the release, its epochs, and what it and its siblings say of held-out videos."""

    ranker: TrainedRanker
    history: list[Epoch]
    held: HeldOut


@dataclass(frozen=True)
class _Fitted:
    """A network, its scores of every video [n] without any channel's history, what its absolute head expects of each [n],
    and how it came about."""

    model: Ranker
    scores: npt.NDArray[np.float32]
    expected: npt.NDArray[np.float32]
    choice: Choice
    history: list[Epoch]


def train(
    data: Dataset,
    config: TrainConfig,
    listen: Listener = lambda what, epoch: None,
    checkpoints: Path | None = None,
    logs: Path | None = None,
) -> Trained:
    """Train on the first 68 % of each channel, stop and calibrate on the next 12 %; and three times without a third of the
    channels, to know what the model is worth to a channel that it never saw.

    `checkpoints`: a folder where an interrupted training is taken up again; `logs`: one for TensorBoard. Raises `LabError`
    when there is no pair to learn from.
    """
    return _Training(data, config, listen, checkpoints, logs).run()


class _Training:
    def __init__(
        self, data: Dataset, config: TrainConfig, listen: Listener, checkpoints: Path | None, logs: Path | None
    ) -> None:
        self.data, self.config, self.listen, self.checkpoints, self.logs = data, config, listen, checkpoints, logs
        self.inputs = join(data.images, data.titles, data.videos.title.tolist())
        self.channel = data.videos.channel_id.to_numpy(str)
        self.target = data.videos.target.to_numpy(float)
        self.published = publication_days(data.videos)
        self.validation = data.rows(VALIDATION)
        self.known = np.union1d(data.rows(TRAIN), self.validation)

    def run(self) -> Trained:
        data = self.data
        first = self._fit(data.learnt(TRAIN), self.validation, "training", "model")
        strangers = self._without_each_fold()
        new = np.full(len(self.target), np.nan)
        for there, other in strangers:
            new[there] = other.scores[there]
        kept = self._worth(new)
        adapters, future = self._adapted(first, self.known, kept)
        adapted = np.full(len(self.target), np.nan)
        for there, other in strangers:
            adapted[there] = self._adapted(other, self.known, kept, set(self.channel[there]))[1][there]
        # Judged by the histories of the training part alone: of later rows these know the answer.
        early = self._adapted(first, data.rows(TRAIN), kept)[1]
        unknown, own = self._gaps(new, self.known), self._gaps(early, self.validation)
        slope_adapted = fit_slope(own)
        # Where no model could be trained without a part of the channels, nothing better is known of strangers.
        slope = fit_slope(unknown) if len(unknown) else slope_adapted
        calibration = Calibration(
            slope=slope,
            slope_adapted=slope_adapted,
            quantiles=self._quantiles(first.scores),
            too_close=(_too_close(unknown, slope), _too_close(own, slope_adapted)),
        )
        training: dict[str, Any] = {
            "config": asdict(self.config),
            "choice": asdict(first.choice),
            "kept": kept,
            "absolute": CTR if _learns_ctr(data, data.learnt(TRAIN)) else ENGAGEMENT,
            "informed": self._informed(first.expected),
            "growth": data.release.info.get("growth"),
            "near_duplicate": data.release.info.get("near_duplicate"),
            "pairs_release": data.release.release_id,
            "epochs_run": len(first.history),
            "channels_adapted": len(adapters),
        }
        learnt = data.learnt(TRAIN)
        familiar = Familiarity.of(data.images[learnt], self.channel[learnt])
        ranker = TrainedRanker(first.model, calibration, training, Adapters(adapters), familiar)
        held = HeldOut(future, first.scores.astype(np.float64), new, adapted, slope, slope_adapted)
        return Trained(ranker, first.history, held)

    def _without_each_fold(self) -> list[tuple[npt.NDArray[np.bool_], _Fitted]]:
        """For each third of the channels [n] a model that never saw them; not where the rest has nothing to teach."""
        folds = self.data.videos.fold.to_numpy(int)
        found = []
        for fold in range(FOLDS):
            there = folds == fold
            if not there.any() or there.all():
                continue
            learnt = self.data.learnt(TRAIN)
            learnt = learnt[~there[learnt]]
            if not (self._pairs(learnt)[2] >= self.config.least_margin).any():
                continue
            what = f"training without the channels it is judged on ({fold + 1} of {FOLDS})"
            other = self._fit(learnt, self.validation[~there[self.validation]], what, f"without-{fold}")
            found.append((there, other))
        return found

    def _fit(self, train: Rows, validation: Rows, what: str, name: str) -> _Fitted:
        release, pictures = self.data.release.info, self.data.images.shape[1]
        torch.manual_seed(self.config.seed)
        sizes = pictures, self.data.titles.shape[1]
        if len(train) < 2:
            raise LabError(
                "there are no two videos to learn from; collect more, or look at what training_pairs left out"
            )
        model = Ranker(RankerConfig(release["image_encoder"], release["title_encoder"], *sizes))
        model.fit_scale(self.inputs[train])
        winners, losers, margins = self._pairs(train)
        above = self._above(train)[train]
        place = np.full(len(self.target), -1)
        place[train] = np.arange(len(train))
        known = model.standardise(self.inputs[train])
        sides = known[:, :pictures], known[:, pictures:]
        choice = choose(*sides, above, self.channel[train], place[winners], place[losers])
        lengths = np.ones(known.shape[1], np.float32)
        lengths[:pictures] = choice.length
        measured = _learns_ctr(self.data, train)
        absolute, held = _absolute(self.data, train, measured), self._pairs(validation)[:2]
        told = absolute[np.isfinite(absolute)]
        usual = float(np.clip(told.mean(), 0.001, 0.999)) if len(told) else 0.5
        model.start(lengths * solve(known * lengths, above, choice.penalty), choice.length, usual)
        problem = TrainingArrays(
            self.inputs,
            winners,
            losers,
            absolute,
            self.data.sub_scores,
            *held,
            margins=margins,
            measured=measured,
        )
        model, history = fit(
            problem,
            self.config,
            model,
            on_epoch=lambda epoch: self.listen(what, epoch),
            checkpoints=self.checkpoints / name if self.checkpoints else None,
            logs=self.logs / name if self.logs else None,
        )
        self._take(model, *held)
        model.unit.fill_(self._unit(model, validation))
        said = model.predict(self.inputs)
        return _Fitted(model, said.score, said.engagement, choice, history)

    def _take(self, model: Ranker, winners: Rows, losers: Rows) -> None:
        """Take as much of the network as orders the validation pairs best; all of it where there are none."""
        if not len(winners):
            return
        whole, line = model.predict(self.inputs).score, copy.deepcopy(model)
        line.take(0.0)
        start = line.predict(self.inputs).score
        aucs = [(pair_auc(start + share * (whole - start), winners, losers), share) for share in _SHARES]
        model.take(max(aucs)[1])

    def _unit(self, model: Ranker, rows: Rows) -> float:
        """What makes the scores log views on videos that were not trained on."""
        if len(rows) < 2:
            return 1.0
        # A model that is wrong on validation must not be turned round, and one that is right must not shout.
        return float(np.clip(self._slope(model.predict(self.inputs[rows]).score, self.target[rows], rows), 0.05, 2.0))

    def _worth(self, new: Floats) -> float:
        """What a log view is worth that was promised to a channel never seen."""
        rows = self.known[np.isfinite(new[self.known])]
        if not len(rows):
            return 1.0
        return float(np.clip(self._slope(new[rows], self._above(self.known)[rows], rows), _LEAST_KEPT, 1.0))

    def _slope(self, scores: Floats, target: Floats, rows: Rows) -> float:
        """Least squares of the target [m] by the scores [m] within the channels of the rows [m]."""
        _, place = np.unique(self.channel[rows], return_inverse=True)
        count = np.bincount(place)
        x, y = (v - (np.bincount(place, v) / count)[place] for v in (np.asarray(scores, np.float64), target))
        spread = float((x**2).sum())
        return float((x * y).sum()) / spread if spread > 1e-12 else 1.0

    def _adapted(
        self, fitted: _Fitted, known: Rows, kept: float, only: set[str] | None = None
    ) -> tuple[dict[str, Adapter], Floats]:
        """The histories of the known rows, and the scores [n] with them."""
        compare, above = fitted.model.standardise, self._above(known)
        adapters = fit_adapters(self.inputs, fitted.scores, above, self.channel, known, kept, only, compare)
        return adapters, adjusted(self.inputs, fitted.scores, self.channel, adapters, compare)

    def _quantiles(self, scores: Floats) -> dict[str, list[float]]:
        """The 101 percentiles of the scores [n] of each niche that has videos enough."""
        niches = self.data.videos.niche.to_numpy(str)
        of_each = {str(niche): scores[niches == niche] for niche in np.unique(niches)}
        return {niche: percentiles(found).tolist() for niche, found in of_each.items() if len(found) >= LEAST_PLACED}

    def _informed(self, expected: Floats) -> dict[str, float] | None:
        """What the absolute head knows of the validation videos, which it was not fitted to."""
        from scipy.stats import spearmanr

        told = _absolute(self.data, self.validation, _learns_ctr(self.data, self.data.learnt(TRAIN)))
        rows = np.flatnonzero(np.isfinite(told))
        if len(rows) < LEAST_PLACED:
            return None
        low, high = np.percentile(expected, [5, 95])
        constant = expected[rows].min() == expected[rows].max() or told[rows].min() == told[rows].max()
        rank = 0.0 if constant else float(spearmanr(expected[rows], told[rows]).statistic)
        # Fisher's transformation; of a perfect correlation there is none.
        least = float(np.tanh(np.arctanh(np.clip(rank, -1 + 1e-9, 1 - 1e-9)) - 1.96 / np.sqrt(len(rows) - 3)))
        return asdict(Informed(rank, least, len(rows), float(high - low)))

    def _above(self, rows: Rows) -> Floats:
        known = np.zeros(len(self.target), bool)
        known[rows] = True
        return above_trend(self.channel, self.published, self.target, known)

    def _pairs(self, rows: Rows) -> tuple[Rows, Rows, npt.NDArray[np.float32]]:
        """Winners, losers and margins of the pairs that lie wholly within the rows."""
        pairs, inside = self.data.pairs, self.data.pairs_within(rows)
        winner, loser = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
        return winner[inside], loser[inside], pairs.margin.to_numpy(np.float32)[inside]

    def _gaps(self, scores: Floats, rows: Rows) -> Floats:
        winners, losers, _ = self._pairs(rows)
        gaps = scores[winners] - scores[losers]
        return gaps[np.isfinite(gaps)]


def _too_close(gaps: Floats, slope: float) -> float | None:
    return too_close_share(gaps, slope) if len(gaps) else None


def _learns_ctr(data: Dataset, rows: Rows) -> bool:
    """The absolute head learns the owner's true click-through rate where there is enough of it, else engagement."""
    if "click_through_rate" not in data.videos:
        return False
    return int(data.videos.click_through_rate.iloc[rows].notna().sum()) >= _LEAST_FOR_CTR


def _absolute(data: Dataset, rows: Rows, measured: bool) -> npt.NDArray[np.float32]:
    """[n] what the absolute head learns of the rows, 0 to 1; NaN where it is not known, and elsewhere.

    The click-through rate where that is `measured`, or where a video stands among its channel's by its target.
    """
    target = np.full(len(data.videos), np.nan, np.float32)
    videos = data.videos.iloc[rows]
    if measured:
        target[rows] = videos.click_through_rate.to_numpy(np.float32)
        return target
    place = videos.groupby("channel_id").target.rank() - 0.5
    size = videos.groupby("channel_id").target.transform("size")
    target[rows] = np.where(size >= _LEAST_FOR_ENGAGEMENT, place / size, np.nan)
    return target

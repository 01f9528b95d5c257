"""Train the ranking model on stored vectors.

A training fits the channel adapters and the global model, which is the same for all channels. Then the training
calibrates the scores without and with adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_core.ranking.adapters import Adapter, Adapters
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.ranking.kernel import Kernel
from thumblab_core.ranking.percentiles import LEAST_PLACED, percentiles
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_core.ranking.trained_ranker import CTR, ENGAGEMENT, Calibration, EngagementAccuracy, TrainedRanker
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import FOLDS, TRAIN, VALIDATION
from thumblab_pipelines.ray_cluster.cluster import Cluster
from thumblab_pipelines.ray_cluster.connection import cluster_errors
from thumblab_pipelines.statistics.calibration import fit_slope, too_close_share
from thumblab_pipelines.statistics.held_out_scores import HeldOutScores, PictureGaps
from thumblab_pipelines.statistics.metrics import correlation_within, numbered
from thumblab_pipelines.statistics.trend import slope_within_channels
from thumblab_pipelines.training.adaptation import ScoredVideos, adapted_scores, fit_adapters
from thumblab_pipelines.training.config import NO_FOLDERS, Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.global_model import GlobalModel, fit_global_model
from thumblab_pipelines.training.one_title_slopes import SlopeData, one_title_slopes
from thumblab_pipelines.training.one_video_gaps import held_out_one_video_gaps, training_experiment_gaps
from thumblab_pipelines.training.one_video_inputs import compared_pictures
from thumblab_pipelines.training.picture_gaps import OneTitleScorer, held_out_picture_gaps

if TYPE_CHECKING:
    from thumblab_pipelines.training.title_prior.prior import TitlePrior

EpochListener = Callable[[str, Epoch], None]
"""A function that is called after each epoch. Its arguments are the name of the trained model, and the epoch."""

_LEAST_KEPT = 0.02
"""Minimum score slope. An adapter multiplies the score of the global model by the score slope.

The minimum is above 0, because the adapter adds almost nothing to candidates that are unlike all videos that it was
fitted to. Such candidates must still get different scores.
"""


@dataclass(frozen=True)
class TrainedRanking:
    """The trained ranker, the epochs of its global model, and the scores of held-out videos.

    `deleted_meanwhile`: number of videos that the lab deleted during the training. The ranker contains no vectors of
    these videos.
    """

    ranker: TrainedRanker
    history: list[Epoch]
    held: HeldOutScores
    deleted_meanwhile: int = 0


def train(
    data: Dataset,
    config: TrainConfig,
    listen: EpochListener = lambda what, epoch: None,
    folders: TrainingFolders = NO_FOLDERS,
    deleted: Callable[[], Collection[str]] = tuple,
    prior: TitlePrior | None = None,
    cluster: Cluster | None = None,
) -> TrainedRanking:
    """Train on the first 68 % of each channel's videos. Use the next 12 % to stop early and to calibrate.

    Up to three more models are trained, each without a third of the channels. The further models show how well a model
    ranks videos of unseen channels. An interrupted training is resumed from `folders.checkpoints`.

    `deleted` returns the ids of the videos that the lab has deleted since `data` was read. Two parts of the result
    contain vectors of videos: the channel adapters, and the pictures that decide whether a new picture is familiar.
    These parts are made last, after the long training of the global models, and `deleted` is called just before that.
    So the result has no vectors of the deleted videos.

    `prior`: the title prior from which every linear model starts. The prior must not have been fitted to videos of
    `data`.

    `cluster`: if given, its workers train the networks. The models without a third of the channels are then trained at
    the same time.

    Raises `LabError` when there is no pair to learn from.
    """
    corpus, training = Corpus.of(data, prior), Training(config, listen, folders, cluster)
    learnt = data.learnt(TRAIN)
    model = training.fit(corpus, learnt, corpus.validation, "training", "model")
    others = training.fit_without_folds(corpus)
    unseen = scores_of_unseen_channels(corpus, others)
    score_slope = measure_score_slope(corpus, unseen)
    gone = deleted()
    remaining, alive = _without_videos(corpus, gone)
    adapters, future = adapt(remaining, model, remaining.known, score_slope)
    adapted = np.full(len(corpus.target), np.nan)
    adapted_others = []
    for left_out, other in others:
        of_left_out, scores = adapt(corpus, other, corpus.known, score_slope, set(corpus.channel[left_out]))
        adapted[left_out] = scores[left_out]
        adapted_others.append((left_out, OneTitleScorer(corpus, other, of_left_out)))
    pictures = held_out_picture_gaps(corpus, OneTitleScorer(corpus, model, adapters), adapted_others)
    without_adapters = [(left_out, OneTitleScorer(corpus, other, {})) for left_out, other in others]
    tested = training_experiment_gaps(corpus, without_adapters), _adapted_experiments(corpus, others, score_slope)
    calibration = _calibrate(corpus, model, (unseen, pictures["new"]), tested, score_slope)
    facts: dict[str, Any] = {
        "config": asdict(config),
        "choice": asdict(model.line),
        "kept": score_slope,
        "absolute": CTR if corpus.learns_ctr(learnt) else ENGAGEMENT,
        "informed": _informed(corpus, model.expected),
        "growth": data.release.info.get("growth"),
        "near_duplicate": data.release.info.get("near_duplicate"),
        "pairs_release": data.release.release_id,
        "epochs_run": len(model.history),
        "channels_adapted": len(adapters),
        "title_prior": None if prior is None else {"videos": prior.videos, "channels": prior.channels},
    }
    familiar = learnt[alive[learnt]]
    familiarity = Familiarity.of(data.images[familiar], corpus.channel[familiar])
    ranker = TrainedRanker(model.model, calibration, facts, Adapters(adapters), familiarity)
    slopes = calibration.slope, calibration.slope_adapted
    one_video = held_out_one_video_gaps(corpus, OneTitleScorer(corpus, model, adapters), adapted_others)
    held = HeldOutScores(
        future, model.scores.astype(np.float64), unseen, adapted, *slopes, pictures, calibration.one_title, one_video
    )
    return TrainedRanking(ranker, model.history, held, int((~alive).sum()))


def _without_videos(corpus: Corpus, gone: Collection[str]) -> tuple[Corpus, Flags]:
    """Return a copy of the corpus whose known rows and one-video pairs lack the videos `gone`. Also return which videos
    [n] are left.
    """
    alive = ~corpus.data.videos.video_id.isin(list(gone)).to_numpy(bool)
    if alive.all():
        return corpus, alive
    data = replace(corpus.data, one_video=corpus.data.one_video.without_videos(gone))
    return replace(corpus, data=data, known=corpus.known[alive[corpus.known]]), alive


@dataclass(frozen=True)
class _Part:
    """The rows that train one model, and the rows that validate it. `what` and `folder`: see `Training.fit`."""

    train: Rows
    validation: Rows
    what: str
    folder: str


@dataclass(frozen=True)
class Training:
    """The settings that the models of one training share. With a `cluster`, its workers train the models."""

    config: TrainConfig
    listen: EpochListener
    folders: TrainingFolders
    cluster: Cluster | None = None

    def fit(self, corpus: Corpus, train: Rows, validation: Rows, what: str, folder: str) -> GlobalModel:
        """Fit one model. `what`: the model's name for the listener. `folder`: the name of the model's folder below
        `folders`."""
        return self._fit(corpus, _Part(train, validation, what, folder))

    def fit_without_folds(self, corpus: Corpus) -> list[tuple[Flags, GlobalModel]]:
        """Return up to three models. Each model was trained without a third of the channels.

        Each model comes with flags [n], which mark the videos of the channels without which it was trained. A model is
        left out if the remaining channels have no pair to learn from.
        """
        folds = corpus.data.videos.fold.to_numpy(int)
        flags, parts = [], []
        for fold in range(FOLDS):
            left_out = folds == fold
            if not left_out.any() or left_out.all():
                continue
            learnt = corpus.data.learnt(TRAIN)
            learnt = learnt[~left_out[learnt]]
            if not (corpus.pairs_within(learnt)[2] >= self.config.least_margin).any():
                continue
            what = f"training without the channels of the evaluation ({fold + 1} of {FOLDS})"
            validation = corpus.validation[~left_out[corpus.validation]]
            flags.append(left_out)
            parts.append(_Part(learnt, validation, what, f"without-{fold}"))
        return list(zip(flags, self._fit_all(corpus, parts), strict=True))

    def _fit(self, corpus: Corpus, part: _Part) -> GlobalModel:
        folders, listen = self.folders.below(part.folder), partial(self.listen, part.what)
        return fit_global_model(corpus, self.config, part.train, part.validation, listen, folders, self.cluster)

    def _fit_all(self, corpus: Corpus, parts: list[_Part]) -> list[GlobalModel]:
        """Fit a model to each part. On a cluster, each model is one task, and trains in a single process."""
        if self.cluster is None:
            return [self._fit(corpus, part) for part in parts]
        with cluster_errors(), self.cluster.hearing(self.listen) as tell:
            in_worker = replace(self, listen=tell, folders=self.folders.resolved(), cluster=None)
            return self.cluster.map(partial(in_worker._fit, corpus), parts)


def scores_of_unseen_channels(corpus: Corpus, models: list[tuple[Flags, GlobalModel]]) -> Floats:
    """Return each video's score [n] by the model that was trained without its channel, or NaN if there is no such
    model."""
    scores = np.full(len(corpus.target), np.nan)
    for left_out, model in models:
        scores[left_out] = model.scores[left_out]
    return scores


def measure_score_slope(corpus: Corpus, unseen: Floats) -> float:
    """Return by how much the true log views rise per unit of predicted log views, on videos of unseen channels.

    The result is the slope of a regression within channels, limited to values from 0.02 to 1. Adapters multiply the
    score of the global model by this slope.

    `unseen` [n]: the predicted log views of each video, by a model that was trained without its channel. The value is
    NaN if there is no such model. If all values are NaN, the slope is 1.
    """
    rows = corpus.known[np.isfinite(unseen[corpus.known])]
    if not len(rows):
        return 1.0
    above = corpus.above_trend(corpus.known)[rows]
    return float(np.clip(slope_within_channels(corpus.channel[rows], unseen[rows], above), _LEAST_KEPT, 1.0))


def adapt(
    corpus: Corpus,
    model: GlobalModel,
    known: Rows,
    score_slope: float,
    only: set[str] | None = None,
    experiments: bool = True,
) -> tuple[dict[str, Adapter], Floats]:
    """Return adapters that are fitted to the known rows, and all scores [n] with these adapters applied.

    If `experiments` is true, the adapters are also fitted to the one-video pairs of the part `TRAIN`. `only`: see
    `fit_adapters`.
    """
    kernel = Kernel.of(model.model.config.layout)
    compared = compared_pictures(corpus.data, model.model) if experiments else {}
    videos = ScoredVideos(corpus.inputs, model.scores, corpus.channel, model.model.standardise, kernel, compared)
    adapters = fit_adapters(videos, corpus.above_trend(known), known, score_slope, only)
    return adapters, adapted_scores(videos, adapters)


def _adapted_experiments(corpus: Corpus, others: list[tuple[Flags, GlobalModel]], score_slope: float) -> Float64s:
    """Return the result of `training_experiment_gaps` for adapted scores.

    The models were trained without the channels of the experiments. The adapters were fitted to training videos of
    these channels, but not to experiments or tested videos.
    """
    pairs, videos = corpus.data.one_video.pairs, corpus.data.videos
    if not ((pairs.part == TRAIN) & (pairs.source == EXPERIMENT)).any():
        return np.zeros(0)
    tested = videos.video_id.isin(pairs.video_id[pairs.part == TRAIN]).to_numpy(bool)
    rows = corpus.data.rows(TRAIN)
    known = rows[~tested[rows]]
    scorers = []
    for left_out, other in others:
        adapters, _ = adapt(corpus, other, known, score_slope, set(corpus.channel[left_out]), experiments=False)
        scorers.append((left_out, OneTitleScorer(corpus, other, adapters)))
    return training_experiment_gaps(corpus, scorers)


def _calibrate(
    corpus: Corpus,
    model: GlobalModel,
    of_unseen: tuple[Floats, PictureGaps],
    experiments: tuple[Float64s, Float64s],
    score_slope: float,
) -> Calibration:
    """Return the calibration of the model's scores.

    Unadapted scores are calibrated on unseen channels, and adapted scores on the validation videos. `of_unseen`: the
    scores of videos [n] and the picture gaps of pairs, both from models that were trained without the channel.
    `experiments`: the experiments of `SlopeData`, without and with adapters.
    """
    unseen, unseen_pictures = of_unseen
    # Adapters that are fitted to validation videos or to experiments have already learnt from the outcomes. So the
    # adapters for the calibration are fitted only to the videos of the training part.
    early_adapters, early = adapt(corpus, model, corpus.data.rows(TRAIN), score_slope, experiments=False)
    gaps, gaps_adapted = corpus.score_gaps(unseen, corpus.known), corpus.score_gaps(early, corpus.validation)
    # `gaps` comes from the models that were trained without a third of the channels, and is empty if no such model could
    # be trained. `gaps_adapted` is empty if no channel has two validation videos. The other slope is then the best
    # estimate.
    slope = fit_slope(gaps if len(gaps) else gaps_adapted)
    slope_adapted = fit_slope(gaps_adapted if len(gaps_adapted) else gaps)
    validation = np.flatnonzero(corpus.data.pairs.part == VALIDATION)
    pictures = PictureGaps(validation, OneTitleScorer(corpus, model, early_adapters).gaps(validation))
    one_title, fitted_to = one_title_slopes(
        corpus,
        SlopeData(unseen_pictures, unseen, slope, experiments[0]),
        SlopeData(pictures, early, slope_adapted, experiments[1]),
    )
    return Calibration(
        slope=slope,
        slope_adapted=slope_adapted,
        quantiles=_quantiles(corpus, model.scores),
        too_close=(_too_close(gaps, slope), _too_close(gaps_adapted, slope_adapted)),
        one_title=one_title,
        one_title_from=fitted_to,
    )


def _too_close(gaps: Floats, slope: float) -> float | None:
    return too_close_share(gaps, slope) if len(gaps) else None


def _quantiles(corpus: Corpus, scores: Floats) -> dict[str, list[float]]:
    """Return the 101 percentiles of the scores in each niche with at least `LEAST_PLACED` videos.

    `scores` [n] are the scores of all videos.
    """
    niches = corpus.data.videos.niche.to_numpy(str)
    scores_by_niche = {str(niche): scores[niches == niche] for niche in np.unique(niches)}
    return {
        niche: percentiles(of_niche).tolist()
        for niche, of_niche in scores_by_niche.items()
        if len(of_niche) >= LEAST_PLACED
    }


def _informed(corpus: Corpus, expected: Floats) -> dict[str, float] | None:
    """Return how well the absolute head orders the validation videos, or None if there are too few videos.

    The absolute head is the ranker's output for engagement. `expected` [n]: predictions of the absolute
    head. The keys of the result are the fields of `EngagementAccuracy`.
    """
    measured = corpus.learns_ctr(corpus.data.learnt(TRAIN))
    target = corpus.absolute_target(corpus.validation, measured)
    rows = np.flatnonzero(np.isfinite(target))
    if len(rows) < LEAST_PLACED:
        return None
    # The click-through rates of two channels differ for many reasons, so they are compared within channels. Percentiles
    # are relative to the channel already.
    group = numbered(corpus.channel[rows])[0] if measured else np.zeros(len(rows), np.intp)
    rank, least = correlation_within(expected[rows], target[rows], group)
    low, high = np.percentile(expected[rows], [5, 95])
    return asdict(EngagementAccuracy(rank, least, len(rows), float(high - low)))

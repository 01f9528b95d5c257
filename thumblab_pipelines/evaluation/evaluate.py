"""Evaluate the ranking model and the reference models on held-out pairs.

The three splits differ in how much the model has learnt about the channel of a pair:
- `future`: the model and its channel adapter were fitted to videos from the oldest 80 % of the channel's videos
- `new_channels`: the model was fitted to no video of the channel
- `adapted`: the model was fitted to no video of the channel, but a channel adapter was fitted to the oldest 80 % of its
  videos
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_core.database.tables import model_evaluations
from thumblab_core.ranking.skill import PACKAGE
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import FOLDS, TEST, TRAIN, VALIDATION
from thumblab_pipelines.evaluation.figures import ADAPTED, FUTURE, MODEL, NEW_CHANNELS, Evaluation, HeldOutPairs
from thumblab_pipelines.evaluation.one_title import evaluate_one_title, gaps_of_scores
from thumblab_pipelines.evaluation.one_video import evaluate_one_video
from thumblab_pipelines.evaluation.reference_models import LINEAR, POOLED, references
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.ray_cluster.tasks import IN_THIS_PROCESS, Tasks
from thumblab_pipelines.statistics.held_out_scores import HeldOutScores
from thumblab_pipelines.training.context import Context

if TYPE_CHECKING:
    import pandas as pd

GLOBAL = "global"
"""The name under which the model without channel adapters is evaluated."""


def evaluate(data: Dataset, held: HeldOutScores, tasks: Tasks = IN_THIS_PROCESS) -> list[Evaluation]:
    """Return the figures of the model and of its reference models on all three splits, for all questions.

    docs/evaluation.md lists the figures. The splits `new_channels` and `adapted` need models that were trained without
    some of the channels. If no such models could be trained, these two splits are left out. `tasks`: where the
    reference models are fitted.
    """
    known = np.union1d(data.rows(TRAIN), data.rows(VALIDATION))
    # The first item is for reference models that are fitted to older videos of all channels. Each further item is for
    # reference models that are fitted without the channels of one fold.
    fits: list[tuple[Rows, Rows | None]] = [(known, None), *_without_folds(data, known)]
    future_references, *fitted = tasks.map(partial(_references, data), fits)
    unseen_references, adapted_references = _references_without_channel(data, fitted)
    future = {MODEL: held.future, GLOBAL: held.future_unadapted, **future_references}
    evaluations = _evaluate_split(data, FUTURE, future, POOLED, held.slope_adapted, data.rows(TEST))
    has_score = np.isfinite(held.new)
    if has_score.any():
        pairs = data.pairs[has_score[data.pairs.winner] & has_score[data.pairs.loser]]
        scored, rows = dataclasses.replace(data, pairs=pairs), np.flatnonzero(has_score)
        new = {MODEL: held.new, **unseen_references}
        evaluations += _evaluate_split(scored, NEW_CHANNELS, new, LINEAR, held.slope, rows)
        adapted = {MODEL: held.adapted, GLOBAL: held.new, **adapted_references}
        test_rows = np.intersect1d(data.rows(TEST), rows)
        evaluations += _evaluate_split(scored, ADAPTED, adapted, POOLED, held.slope_adapted, test_rows)
    evaluations += _evaluate_pictures(data, held, future_references.get("image"), unseen_references.get("image"))
    return evaluations + _evaluate_one_video(data, held)


def evaluate_scores(pairs: pd.DataFrame, scores: Floats, split: str, scorer: str) -> list[Evaluation]:
    """Return the AUCs of `scores` [n] on the held-out pairs of a split.

    The first AUC is on all held-out pairs. The second AUC is on the pairs whose winner has at least twice the loser's
    views. Each AUC is followed by the mean of the AUCs of the single channels. See `HeldOutPairs.aucs`.
    """
    return list(HeldOutPairs.of(split, pairs).aucs(scorer, scores))


def figure(
    evaluations: Iterable[Evaluation], split: str, slice_: str = "all", metric: str = "auc", question: str = PACKAGE
) -> Evaluation:
    """Return the model's figure with this metric, split, slice and question.

    Raises `KeyError` if the evaluations do not contain this figure.
    """
    wanted = (question, split, slice_, MODEL, metric)
    for evaluation in evaluations:
        fields = evaluation.question, evaluation.split, evaluation.slice, evaluation.scorer, evaluation.metric
        if fields == wanted:
            return evaluation
    raise KeyError(f"no {metric} of the model in the slice {slice_} of the split {split} for the question {question}")


def save_evaluations(lab: Lab, release_id: str, evaluations: list[Evaluation]) -> None:
    """Write the evaluations of a model release to the table `model_evaluations`.

    If the table already has the row of an evaluation, the row stays as it is.
    """
    now = datetime.now(UTC)
    rows = [{"release_id": release_id, "evaluated_at": now, **asdict(evaluation)} for evaluation in evaluations]
    with lab.engine.begin() as connection:
        connection.execute(insert(model_evaluations).on_conflict_do_nothing(), rows)


def _evaluate_split(
    data: Dataset, split: str, scores: dict[str, Floats], reference: str, slope: float, rows: Rows
) -> list[Evaluation]:
    """Return the figures of one split.

    Parameters
    ----------
    scores
        The scores [n] of each scorer, by its name. A scorer is the model or a reference model. The result has the AUC
        of every scorer.
    reference
        The name of the reference model that gets the same detailed figures as the model. This reference model knows the
        same videos of the evaluated channels as the model.
    slope
        Factor that turns a difference of the model's scores into the log odds of winning.
    rows
        The videos for which the correlation of scores and age-corrected views is computed.
    """
    held_out = HeldOutPairs.of(split, data.pairs)
    evaluations = [auc for scorer, values in scores.items() for auc in held_out.aucs(scorer, values)]
    for scorer in (MODEL, reference):
        if scorer in scores:
            evaluations += held_out.detailed_aucs(data.videos, scorer, scores[scorer])
    if reference in scores:
        evaluations += held_out.lead(scores[MODEL], reference, scores[reference])
    # `slope` turns score differences into log odds. For unseen channels, the slope was fitted to pairs of the training
    # part and the validation part. So calibration is measured only on test pairs.
    test_pairs = HeldOutPairs(split, data.pairs[data.pairs.part == TEST])
    evaluations += test_pairs.calibration(scores[MODEL], slope)
    return [*evaluations, *held_out.correlations(data.videos, rows, scores[MODEL])]


def _evaluate_pictures(
    data: Dataset, held: HeldOutScores, known_image: Floats | None, unseen_image: Floats | None
) -> list[Evaluation]:
    """Return the figures for the question *one title*, on the splits for which picture gaps were computed.

    `known_image` and `unseen_image` [n] are scores of the reference model that uses only pictures. For `known_image`,
    the reference model was fitted with the older videos of each channel. For `unseen_image`, the reference model was
    fitted without the channel.
    """
    unadapted_slope, adapted_slope = held.one_title_slopes or (held.slope, held.slope_adapted)
    splits = {
        FUTURE: ("future", "future_unadapted", known_image, adapted_slope),
        NEW_CHANNELS: ("new", None, unseen_image, unadapted_slope),
        ADAPTED: ("adapted", "adapted_unadapted", unseen_image, adapted_slope),
    }
    context = Context.of(data) if held.pictures else None
    evaluations: list[Evaluation] = []
    for split, (model, unadapted, image, slope) in splits.items():
        gaps = held.pictures.get(model)
        if context is None or gaps is None or not len(gaps.pairs):
            continue
        scorers = {MODEL: gaps}
        if unadapted is not None:
            scorers[GLOBAL] = held.pictures[unadapted]
        if image is not None:
            scorers["image"] = gaps_of_scores(data, gaps, np.asarray(image, np.float64))
        evaluations += evaluate_one_title(split, data, context, scorers, slope)
    return evaluations


def _evaluate_one_video(data: Dataset, held: HeldOutScores) -> list[Evaluation]:
    """Return the figures for the question *one video*, on each split that has one-video pairs."""
    unadapted_slope, adapted_slope = held.one_title_slopes or (held.slope, held.slope_adapted)
    splits = {
        FUTURE: ("future", "future_unadapted", adapted_slope),
        NEW_CHANNELS: ("new", None, unadapted_slope),
        ADAPTED: ("adapted", "adapted_unadapted", adapted_slope),
    }
    evaluations: list[Evaluation] = []
    for split, (model, unadapted, slope) in splits.items():
        names = {MODEL: model} if unadapted is None else {MODEL: model, GLOBAL: unadapted}
        scorers = {scorer: held.one_video[key] for scorer, key in names.items() if key in held.one_video}
        if scorers:
            evaluations += evaluate_one_video(split, data.one_video, scorers, slope)
    return evaluations


def _references(data: Dataset, rows: tuple[Rows, Rows | None]) -> dict[str, Float64s]:
    """Return `references(data, *rows)`. `Tasks.map` passes a single argument, so `rows` holds the
    arguments `known` and `own` of `references`.
    """
    return references(data, *rows)


def _folds(data: Dataset) -> list[Flags]:
    """Return for each fold of channels whether each video [n] belongs to the fold.

    A fold is left out if it has no videos, or if it has all videos.
    """
    folds = data.videos.fold.to_numpy(int)
    flags = [folds == fold for fold in range(FOLDS)]
    return [in_fold for in_fold in flags if in_fold.any() and not in_fold.all()]


def _without_folds(data: Dataset, known: Rows) -> list[tuple[Rows, Rows | None]]:
    """Return two arrays for each fold: the rows outside the fold, and the known rows inside the fold.

    The reference models are fitted to the rows outside the fold. Partial pooling then adapts to the known rows inside
    the fold.
    """
    return [(np.flatnonzero(~in_fold), known[in_fold[known]]) for in_fold in _folds(data)]


def _references_without_channel(
    data: Dataset, fitted: Iterable[dict[str, Float64s]]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return the scores [n] of reference models. Each video is scored by models that were fitted without its channel.

    `fitted`: the scores of the reference models that were fitted without each fold, see `_without_folds`.

    The first result has the scores without adaptation. The second result has the scores of partial pooling, the only
    reference model that adapts to a channel. Partial pooling adds a regression for each channel, fitted to the known
    rows of this channel.
    """
    unadapted: dict[str, Floats] = {}
    adapted: dict[str, Floats] = {}
    for in_fold, by_name in zip(_folds(data), fitted, strict=True):
        for name, scores in by_name.items():
            # Partial pooling without known videos of the channel gives the same scores as the linear model. So partial
            # pooling is evaluated only with known videos.
            collected = adapted if name == POOLED else unadapted
            collected.setdefault(name, np.zeros(len(in_fold)))[in_fold] = scores[in_fold]
    return unadapted, adapted

"""Judge the ranking model on held-out pairs, beside what needs no model and what a simple one can do.

Three questions, and who may know what: the `future` of known channels (their first 80 %), `new_channels` (nothing of them),
and channels that are new but `adapted` to (nothing at training, then their first 80 %).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.arrays import Floats, Rows
from thumblab_core.database.tables import model_evaluations
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import FOLDS, TEST, TRAIN, VALIDATION
from thumblab_pipelines.evaluation.questions import ADAPTED, FUTURE, MODEL, NEW_CHANNELS, Evaluation, Question
from thumblab_pipelines.evaluation.reference_models import LINEAR, POOLED, references
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.statistics.held_out import HeldOut

if TYPE_CHECKING:
    import pandas as pd

GLOBAL = "global"
"""The model's part that is the same for all channels."""


def evaluate(data: Dataset, held: HeldOut) -> list[Evaluation]:
    """The model and its references on all three questions; which figures there are is told in docs/evaluation.md."""
    own = np.union1d(data.rows(TRAIN), data.rows(VALIDATION))
    known = references(data, own)
    unknown, adapted = _without_the_channel(data, own)
    future = {MODEL: held.future, GLOBAL: held.future_unadapted, **known}
    later = {MODEL: held.adapted, GLOBAL: held.new, **adapted}
    found = _answers(data, FUTURE, future, POOLED, held.slope_adapted, data.rows(TEST))
    told = np.isfinite(held.new)
    if told.any():
        asked = dataclasses.replace(data, pairs=data.pairs[told[data.pairs.winner] & told[data.pairs.loser]])
        new, rows = {MODEL: held.new, **unknown}, np.flatnonzero(told)
        found += _answers(asked, NEW_CHANNELS, new, LINEAR, held.slope, rows)
        found += _answers(asked, ADAPTED, later, POOLED, held.slope_adapted, np.intersect1d(data.rows(TEST), rows))
    return found


def evaluate_scores(pairs: pd.DataFrame, scores: Floats, split: str, scorer: str) -> list[Evaluation]:
    """AUC of any scores [n] on the pairs of a release that ask the question `split`: all, and those with a twofold gap."""
    return list(Question.of(split, pairs).aucs(scorer, scores))


def figure(evaluations: Iterable[Evaluation], split: str, slice_: str = "all", metric: str = "auc") -> Evaluation:
    """The model's figure of that metric. Raises `KeyError` when it is not among the evaluations."""
    sought = (split, slice_, MODEL, metric)
    for evaluation in evaluations:
        if (evaluation.split, evaluation.slice, evaluation.scorer, evaluation.metric) == sought:
            return evaluation
    raise KeyError(f"no {metric} of the model on {slice_} of {split}")


def save_evaluations(lab: Lab, release_id: str, evaluations: list[Evaluation]) -> None:
    """Write `model_evaluations` of a model release; writing them again changes nothing."""
    now = datetime.now(UTC)
    rows = [{"release_id": release_id, "evaluated_at": now, **asdict(evaluation)} for evaluation in evaluations]
    with lab.engine.begin() as connection:
        connection.execute(insert(model_evaluations).on_conflict_do_nothing(), rows)


def _answers(
    data: Dataset, split: str, scores: dict[str, Floats], bar: str, slope: float, rows: Rows
) -> list[Evaluation]:
    """Every scorer on all pairs; in detail the model and the reference `bar`, the best that knew as much as the model."""
    question = Question.of(split, data.pairs)
    found = [row for scorer, said in scores.items() for row in question.aucs(scorer, said)]
    for scorer in (MODEL, bar):
        if scorer in scores:
            found += question.parts(data.videos, scorer, scores[scorer])
    if bar in scores:
        found += question.lead(scores[MODEL], bar, scores[bar])
    # Of the other pairs the slope of channels never seen knows the outcomes.
    found += Question(split, data.pairs[data.pairs.part == TEST]).certainty(scores[MODEL], slope)
    return [*found, *question.correlations(data.videos, rows, scores[MODEL])]


def _without_the_channel(data: Dataset, own: Rows) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Reference models that never saw the channel, and partial pooling that then learnt from the channel's `own` rows.

    Scores [n] by name; none at all where there is one fold of channels only.
    """
    folds = data.videos.fold.to_numpy(int)
    unknown: dict[str, Floats] = {}
    adapted: dict[str, Floats] = {}
    for fold in range(FOLDS):
        there, elsewhere = folds == fold, np.flatnonzero(folds != fold)
        if not there.any() or not len(elsewhere):
            continue
        seen = references(data, elsewhere, own[there[own]])
        for name, scores in seen.items():
            # Of a channel without a history partial pooling is the linear model.
            found = adapted if name == POOLED else unknown
            found.setdefault(name, np.zeros(len(folds)))[there] = scores[there]
    return unknown, adapted

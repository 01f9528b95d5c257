"""Check the served releases: the checksums of all files, the recall of the indices, and whether the model beats simple
rankings."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import select

from thumblab_core.database.tables import model_evaluations
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.evaluation.figures import FUTURE, NEW_CHANNELS
from thumblab_pipelines.evaluation.figures import MODEL as THE_MODEL
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.predictions.quality import measure_quality
from thumblab_pipelines.predictions.report import check_quality

_QUERIES, _K = 64, 20
_MOST_WORSE = 0.02
"""Largest amount by which the measured recall may be below the recall in the settings. The recall is measured with few
queries, so it is not exact."""


def check_index_files(lab: Lab) -> CheckResult:
    """Compare every file of each served index with its checksum."""
    return _check_files(lab, INDEX, lab.niches)


def check_model_files(lab: Lab) -> CheckResult:
    """Compare every file of the served model with its checksum."""
    return _check_files(lab, MODEL, (ALL,))


def _check_files(lab: Lab, kind: str, scopes: Sequence[str]) -> CheckResult:
    verified, damaged = 0, []
    for scope in scopes:
        try:
            served = lab.releases.serving.current(kind, scope)
            if served is not None:
                served.verify()
                verified += 1
        except LabError as error:
            damaged.append(f"{scope}: {error}")
    good = f"{verified} served releases, and no file of them is damaged"
    return CheckResult("files_undamaged", not damaged, "; ".join(damaged) or good, figures={"damaged": len(damaged)})


def check_recall(lab: Lab) -> CheckResult:
    """Search each served index for a sample of its own vectors, and compare the results with an exact search."""
    least = lab.settings.index_recall - _MOST_WORSE
    figures: dict[str, float] = {}
    bad = []
    for niche in lab.niches:
        try:
            served = lab.releases.serving.current(INDEX, niche)
            if served is None:
                continue
            recall = _recall(NicheIndex.load(served))
        except LabError as error:
            bad.append(f"{niche}: {error}")
            continue
        figures[f"{niche}_recall"] = round(recall, 4)
        if recall < least:
            bad.append(
                f"{niche}: a search finds {recall:.1%} of the nearest vectors, and should find {least:.1%}; rebuild the "
                "index"
            )
    good = f"{len(figures)} served indices find at least {least:.1%} of the nearest vectors"
    return CheckResult("recall", not bad, "; ".join(bad) or good, advisory=True, figures=figures)


def _recall(index: NicheIndex) -> float:
    vectors, ids = index.vectors(), [item.video_id for item in index.items]
    k = min(_K, len(ids))
    found = []
    for row in np.random.default_rng(0).permutation(len(ids))[:_QUERIES]:
        exact = vectors @ vectors[row]
        # Several videos may show the same picture, so a result does not need the id that the exact search finds. A
        # result is correct if it is as similar to the query as the exact neighbours.
        least = np.partition(exact, -k)[-k]
        near = index.search(vectors[row], k)
        found.append(sum(neighbour.similarity >= least - 1e-4 for neighbour in near) / k)
    return float(np.mean(found))


def check_against_baselines(lab: Lab) -> CheckResult:
    """Compare the AUC of the served model with the AUC of the best simple ranking, on the same held-out pairs."""
    name = "beats_simple_rankings"
    served = lab.releases.serving.current_id(MODEL, ALL)
    if served is None:
        return CheckResult(name, True, "no model is served", advisory=True)
    statement = select(model_evaluations.c.split, model_evaluations.c.scorer, model_evaluations.c.value).where(
        model_evaluations.c.release_id == served,
        model_evaluations.c.slice == "all",
        model_evaluations.c.metric == "auc",
        model_evaluations.c.question == "package",
        model_evaluations.c.value.is_not(None),
    )
    auc: dict[str, dict[str, float]] = {}
    with lab.engine.connect() as connection:
        for row in connection.execute(statement):
            auc.setdefault(row.split, {})[row.scorer] = row.value
    figures: dict[str, float] = {}
    bad = []
    for split in (FUTURE, NEW_CHANNELS):
        scorers = dict(auc.get(split, {}))
        own = scorers.pop(THE_MODEL, None)
        if own is None or not scorers:
            continue
        best = max(scorers, key=scorers.__getitem__)
        figures |= {f"{split}_auc": own, f"{split}_best_simple_auc": scorers[best]}
        figures[f"{split}_difference"] = round(own - scorers[best], 4)
        if own < scorers[best]:
            bad.append(
                f"{split}: the AUC of the model is {own:.3f}, and the AUC of the ranking by {best} is {scorers[best]:.3f}"
            )
    good = f"{served} is at least as good as each simple ranking" if figures else f"{served} has no evaluation"
    return CheckResult(name, not bad, "; ".join(bad) or good, advisory=True, figures=figures)


def check_predictions(lab: Lab) -> CheckResult:
    """Check that, on average, predicted winners win as often as their win probabilities say. Only kept predictions with
    a known outcome are used.
    """
    qualities = measure_quality(lab)
    (calibrated,) = [one for one in check_quality(qualities, lab.settings.keep_predictions) if one.name == "calibrated"]
    every = qualities[0]
    figures = dict(calibrated.figures) | {"predictions": every.predictions}
    if every.experiments is not None:
        accuracy = every.experiments.accuracy
        figures |= {"accuracy": accuracy.value, "accuracy_low": accuracy.low, "pairs": every.experiments.pairs}
    return CheckResult("answers_calibrated", calibrated.passed, calibrated.explanation, True, figures)

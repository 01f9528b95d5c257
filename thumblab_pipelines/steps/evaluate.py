"""Judge a ranking on held-out pairs, beside what needs no model at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import model_evaluations
from thumblab_pipelines.steps.dataset import Dataset
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.pairs import FOLDS, TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    import pandas as pd

FUTURE, NEW_CHANNELS = "future", "new_channels"
SLICES = {"all": 0.0, "2x": 0.5}
"""The least margin of a pair; a margin of 0.5 is twice the corrected views."""

_BOOTSTRAP = 1_000
Scores = npt.NDArray[np.floating]
Rows = npt.NDArray[np.intp]
Scorer = Callable[[Rows], Scores]
"""Given the training rows, a score for every video of the dataset [n]."""


@dataclass(frozen=True)
class Evaluation:
    """AUC of one scorer on one slice of one split, with the 95 % interval of a bootstrap over channels."""

    split: str
    slice: str
    scorer: str
    pairs: int
    channels: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None


def pair_auc(scores: Scores, winners: Rows, losers: Rows) -> float:
    """Share of pairs whose winner has the higher score; a tie counts half."""
    return float(_wins(scores, winners, losers).mean())


def evaluate(data: Dataset, model_scores: Scores, fit_elsewhere: Scorer) -> list[Evaluation]:
    """Every scorer on both questions, all pairs and those with a twofold gap.

    `model_scores` [n] are those of the trained model: judged on the last part of each channel. `fit_elsewhere` trains anew
    without the channels that it is then judged on.
    """
    known = np.sort(np.concatenate([data.rows(TRAIN), data.rows(VALIDATION)]))
    future = {"model": model_scores, **baselines(data, known)}
    found = [e for name, scores in future.items() for e in judge(data.pairs, scores, FUTURE, name)]
    folds = data.videos.fold.to_numpy(int)
    elsewhere: dict[str, Scores] = {}
    for fold in range(FOLDS):
        there = folds == fold
        known = np.flatnonzero(~there)
        if not there.any() or not len(known):
            continue
        for name, scores in {"model": fit_elsewhere(known), **baselines(data, known)}.items():
            elsewhere.setdefault(name, np.zeros(len(folds)))[there] = scores[there]
    return found + [e for name, scores in elsewhere.items() for e in judge(data.pairs, scores, NEW_CHANNELS, name)]


def baselines(data: Dataset, known: Rows) -> dict[str, Scores]:
    """Scores [n] of what anyone could do: order by age, by length, by a ridge regression on the title's vector.

    The sign of age and length is the one that orders the known rows' pairs better.
    """
    from sklearn.linear_model import Ridge

    inside = np.zeros(len(data.videos), bool)
    inside[known] = True
    winner, loser = data.pairs.winner.to_numpy(np.intp), data.pairs.loser.to_numpy(np.intp)
    chosen = inside[winner] & inside[loser]
    found: dict[str, Scores] = {}
    for name, column in (("age", "age_hours"), ("length", "duration_s")):
        scores = data.videos[column].to_numpy(float)
        right = pair_auc(scores, winner[chosen], loser[chosen]) if chosen.any() else 0.5
        found[name] = scores if right >= 0.5 else -scores
    seen = data.videos.iloc[known]
    target = seen.target - seen.groupby("channel_id").target.transform("mean")
    ridge = Ridge(alpha=10.0).fit(data.titles[known], target.to_numpy(float))
    found["title"] = ridge.predict(data.titles)
    return found


def judge(pairs: pd.DataFrame, scores: Scores, split: str, scorer: str) -> list[Evaluation]:
    """Judge scores [n] on the pairs of a release: the future is its test pairs, new channels are all of its pairs."""
    if split == FUTURE:
        pairs = pairs[pairs.part == TEST]
    found = []
    for name, least in SLICES.items():
        chosen = pairs[pairs.margin >= least]
        if chosen.empty:
            found.append(Evaluation(split, name, scorer, 0, 0, None, None, None))
            continue
        wins = _wins(scores, chosen.winner.to_numpy(np.intp), chosen.loser.to_numpy(np.intp))
        channels, place = np.unique(chosen.channel_id.to_numpy(str), return_inverse=True)
        low, high = _interval(wins, place, len(channels))
        found.append(Evaluation(split, name, scorer, len(chosen), len(channels), float(wins.mean()), low, high))
    return found


def _wins(scores: Scores, winners: Rows, losers: Rows) -> npt.NDArray[np.float64]:
    gap = scores[winners] - scores[losers]
    return np.asarray((gap > 0) + 0.5 * (gap == 0), np.float64)


def _interval(wins: npt.NDArray[np.float64], channel: Rows, channels: int) -> tuple[float, float]:
    """95 % interval by drawing whole channels with replacement: pairs of one channel share its videos."""
    won, count = np.bincount(channel, wins, channels), np.bincount(channel, minlength=channels)
    random = np.random.default_rng(0)
    drawn = random.integers(0, channels, (_BOOTSTRAP, channels))
    aucs = won[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.percentile(aucs, [2.5, 97.5])
    return float(low), float(high)


def save_evaluations(lab: Lab, release_id: str, evaluations: list[Evaluation]) -> None:
    """Write `model_evaluations` of a model release; writing them again changes nothing."""
    now = datetime.now(UTC)
    rows = [{"release_id": release_id, "evaluated_at": now, **asdict(evaluation)} for evaluation in evaluations]
    with lab.engine.begin() as connection:
        connection.execute(insert(model_evaluations).values(rows).on_conflict_do_nothing())

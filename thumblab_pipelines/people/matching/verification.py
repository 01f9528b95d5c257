"""Measure verification without and with a head. Verification means to decide whether two faces show the same person.

TAR at a FAR
    The true accept rate (TAR) at a false accept rate (FAR). The TAR is the share of the pairs of one person that are
    accepted. The FAR is the share of the pairs of two people that are accepted. The lowest threshold that does not
    exceed the FAR is used.
ROC AUC, EER
    The area under the curve of TAR over FAR. The equal error rate is the rate at which both kinds of errors are equally
    frequent.

The intervals are from a bootstrap over people, because the pairs of one person are not independent. Each sample of
people is used for the scores without the head (`before`) and with the head (`after`), so the interval of the difference
is paired.
With few people, a plain percentile interval is too narrow. The percentiles are therefore expanded [1]_.

.. [1] T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician, 2015.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.ray_cluster.tasks import IN_THIS_PROCESS, Tasks

FAR = 0.001
"""The false accept rate at which the TAR is measured, if there are enough pairs of two people."""

_DRAWS = 1_000
_DRAWS_OF_A_TASK = 50


@dataclass(frozen=True)
class JudgedPairs:
    """m pairs of faces with their similarity without a head (`before`) and with a head (`after`). The head was trained
    on neither person of a pair.

    `first`, `second` [m]: the number that stands for each person. `same` [m]: whether the pair counts as one person.
    `weight` [m]: if k heads have judged a pair, the pair occurs k times, each time with the weight 1 / k.
    """

    first: Rows
    second: Rows
    same: Flags
    before: Float64s
    after: Float64s
    weight: Float64s


@dataclass(frozen=True)
class Estimate:
    """A figure, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Change:
    """A figure without the head (`before`) and with the head (`after`). `difference` is `after` minus `before`."""

    before: Estimate
    after: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Verification:
    """The figures of a head, or of the heads of a cross-fitting.

    `genuine_pairs`: number of different pairs of one person. `impostor_pairs`: number of different pairs of two people.
    `far`: the FAR at which `tar` is measured. With fewer than 1,000 impostor pairs, `far` is above 0.001, because a
    smaller FAR cannot be measured, see `note`.
    """

    people: int
    genuine_pairs: int
    impostor_pairs: int
    far: float
    tar: Change
    auc: Change
    eer: Change

    @property
    def note(self) -> str | None:
        """A sentence that says why the FAR is above the usual FAR, or None if the FAR is the usual FAR."""
        if self.far <= FAR:
            return None
        return (
            f"{self.impostor_pairs} pairs of two people are too few to measure a false accept rate of {FAR:.1%}; the true "
            f"accept rate is given at {self.far:.2%}, the smallest rate that can be measured"
        )

    def lines(self) -> list[str]:
        """Return the figures as lines of text."""
        head = f"{self.people} people, {self.genuine_pairs} genuine and {self.impostor_pairs} impostor pairs"
        rows = [
            f"{name}: before {change.before}, after {change.after}, difference {change.difference}"
            for name, change in ((f"TAR at {self.far:.2%} FAR", self.tar), ("ROC AUC", self.auc), ("EER", self.eer))
        ]
        return [head, *rows, *filter(None, [self.note])]

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a manifest, rounded to five digits."""
        figures = {
            name: {when: [round(x, 5) for x in vars(part).values()] for when, part in vars(change).items()}
            for name, change in (("tar", self.tar), ("auc", self.auc), ("eer", self.eer))
        }
        counts = {name: getattr(self, name) for name in ("people", "genuine_pairs", "impostor_pairs", "far")}
        return {**counts, **figures, "note": self.note}


def verify(pairs: JudgedPairs, seed: int, tasks: Tasks = IN_THIS_PROCESS) -> Verification:
    """Return the figures of the pairs. `tasks`: where the bootstrap is computed.

    Raises `LabError` if there are no pairs of one person, or no pairs of two people.
    """
    genuine, impostor = (float(pairs.weight[kind].sum()) for kind in (pairs.same, ~pairs.same))
    if not genuine or not impostor:
        raise LabError(
            "there are no pairs of one person, or no pairs of two people; label more people in more pictures"
        )
    far = max(FAR, 1 / round(impostor))
    people, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    first, second = np.split(places, 2)
    curves = [_Curve(scores, first, second, pairs) for scores in (pairs.before, pairs.after)]
    once = np.ones(len(people), np.int64)
    # An array [2, 3]: the three figures without the head, and the three figures with the head.
    values = np.array([curve.figures(once, far) for curve in curves])
    # All draws are made here by one generator. So the result is the same in this process and on a cluster.
    draws = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), size=_DRAWS)
    parts = tasks.map(partial(_figures_of_draws, curves, far), np.array_split(draws, _DRAWS // _DRAWS_OF_A_TASK))
    drawn = np.array([figures for part in parts for figures in part])
    tar, auc, eer = (_change(values[:, k], drawn[:, :, k], len(people)) for k in range(3))
    return Verification(len(people), round(genuine), round(impostor), far, tar, auc, eer)


def _figures_of_draws(
    curves: list["_Curve"], far: float, draws: npt.NDArray[np.int64]
) -> list[list[tuple[float, float, float]]]:
    """Return the figures of each curve in each draw. Leave out a draw that has no pairs of one person, or no pairs of
    two people.
    """
    found = []
    for times in draws:
        figures = [drawn for curve in curves if (drawn := curve.figures(times, far)) is not None]
        if len(figures) == len(curves):
            found.append(figures)
    return found


def _change(values: Float64s, draws: Float64s, people: int) -> Change:
    """Return the estimates of one figure. `values` [2]: the figure without and with the head. `draws` [b, 2]: the same
    figures in each draw of the bootstrap.
    """
    from scipy.stats import norm, t

    # The variance of a bootstrap over n people is too small by the factor (n - 1) / n. The percentiles of the bootstrap
    # also follow the normal distribution instead of Student's distribution. `share` corrects both faults.
    share = float(norm.cdf(-math.sqrt(people / (people - 1)) * float(t.ppf(0.975, people - 1))))
    estimates = [
        Estimate(float(value), *(float(end) for end in np.quantile(drawn, [share, 1 - share])))
        for value, drawn in (
            (values[0], draws[:, 0]),
            (values[1], draws[:, 1]),
            (values[1] - values[0], draws[:, 1] - draws[:, 0]),
        )
    ]
    return Change(*estimates)


class _Curve:
    """The ROC curve of the scores, for any bootstrap sample of the people. The scores are sorted only once, and not for
    each sample.
    """

    def __init__(self, scores: Float64s, first: Rows, second: Rows, pairs: JudgedPairs) -> None:
        self.genuine, self.impostor = (
            _Sorted(scores[kind], first[kind], second[kind], pairs.weight[kind]) for kind in (pairs.same, ~pairs.same)
        )
        # A genuine pair shows one person, and an impostor pair shows two people. For each impostor pair, `higher` has
        # the number of genuine pairs with a higher score, and `not_lower` has the number with a higher or equal score.
        rising, of_impostor = -self.genuine.scores, -self.impostor.scores
        self.higher = np.searchsorted(rising, of_impostor, side="left")
        self.not_lower = np.searchsorted(rising, of_impostor, side="right")
        # If several impostor pairs have the same score, a threshold accepts all or none of them. For each different
        # score, `last` has the row of the last pair with this score.
        scores = self.impostor.scores
        self.last = np.nonzero(np.append(scores[1:] != scores[:-1], True))[0]

    def figures(self, times: npt.NDArray[np.int64], far: float) -> tuple[float, float, float] | None:
        """Return the TAR at `far`, the ROC AUC and the EER of a sample in which person k occurs `times[k]` times.

        Return None if the sample has no genuine pairs or no impostor pairs.
        """
        genuine, impostor = self.genuine.weights(times), self.impostor.weights(times)
        accepted = np.concatenate([[0.0], np.cumsum(genuine)])
        falsely = np.cumsum(impostor)
        if not accepted[-1] or not falsely[-1]:
            return None
        accepted /= accepted[-1]
        auc = float(impostor @ (accepted[self.higher] + accepted[self.not_lower])) / (2 * falsely[-1])
        falsely = falsely[self.last] / falsely[-1]
        # Sums of weights such as 1/4 and 1/3 are inexact. Without the addition of 1e-9, a point that is exactly at
        # `far` could be missed.
        allowed = int(np.searchsorted(falsely, far + 1e-9, side="right"))
        # The threshold is the highest score among the impostor pairs that must be rejected. All genuine pairs with a
        # higher score are accepted.
        tar = accepted[self.higher[self.last[allowed]]] if allowed < len(falsely) else 1.0
        # `falsely` and `false_rejects` have the two error rates at each threshold, from the highest threshold to the
        # lowest. Each threshold is just below the score of an impostor pair, so that the pair is accepted.
        false_rejects = 1 - accepted[self.higher[self.last]]
        place = int(np.argmax(falsely >= false_rejects))
        before = falsely[place - 1] if place else 0.0
        eer = min(max(false_rejects[place], before), falsely[place])
        return float(tar), auc, float(eer)


class _Sorted:
    """All pairs of one person, or all pairs of two people. The pair with the highest score comes first."""

    def __init__(self, scores: Float64s, first: Rows, second: Rows, weight: Float64s) -> None:
        order = np.argsort(-scores, kind="stable")
        self.scores, self.first, self.second, self.weight = scores[order], first[order], second[order], weight[order]
        self.within = np.nonzero(self.first == self.second)[0]

    def weights(self, times: npt.NDArray[np.int64]) -> Float64s:
        """Return the weight of each pair in a sample in which person k occurs `times[k]` times.

        A pair of the people i and j occurs `times[i] * times[j]` times. A pair of two faces of person k occurs
        `times[k]` times.
        """
        count = times[self.first] * times[self.second]
        count[self.within] = times[self.first[self.within]]
        return self.weight * count

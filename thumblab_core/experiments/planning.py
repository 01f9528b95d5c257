"""Plan an experiment: how many impressions it needs, and which two candidates to test.

The plan never tests two candidates that look almost the same.

The functions need no database and no files. The number of impressions is the sample size of a two-sided test of two
proportions [1]_. This sample size is computed by the normal approximation, without a correction for continuity. The
proportions are the click-through rates (CTRs) of two variants.

.. [1] J. Fleiss, B. Levin and M. Paik, "Statistical Methods for Rates and Proportions", 3rd edition, Wiley 2003,
   chapter 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

from thumblab_core.errors import LabError
from thumblab_core.images.perceptual import Appearance

POWER, ALPHA = 0.8, 0.05
"""`POWER` is the usual probability that a test finds a difference that exists.

`ALPHA` is the usual probability that a test reports a difference although there is none.
"""


ASSUMED_CTR = 0.05
"""The click-through rate that is assumed for a channel whose rate is not known.

YouTube's help says that the rates of half of all channels and videos are from 2 % to 10 %
(https://support.google.com/youtube/answer/7628154).
"""

ALL_ALIKE = (
    "All candidates are too alike. A test would hardly find a difference; make a candidate that looks different."
)
"""The advice if every pair of candidates is too alike to be tested."""

NOT_PROVEN = (
    "The order of the model is not used, because its skill is not proven. "
    "Test any two candidates that are not too alike."
)
"""The advice if the skill of the model is not proven, and at least one pair of candidates can be tested."""

LIFT = 0.1
"""The default for the smallest relative difference of two click-through rates that a test should find."""


@dataclass(frozen=True)
class AlikePair:
    """Two candidates that look the same.

    `first` and `second`: their positions in the list of candidates. `bits`: number of bits in which their perceptual
    hashes differ, 0 to 64.
    """

    first: int
    second: int
    bits: int


@dataclass(frozen=True)
class PairToTest:
    """Two candidates to test.

    `first` and `second`: their positions in the list of candidates. `win_probability`: the model's probability that
    `first` beats `second`, 0.5 to 1. `information`: the expected information of the outcome in bits, 0 to 1.
    """

    first: int
    second: int
    win_probability: float
    information: float


def impressions_per_variant(ctr: float, lift: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Return how many impressions each of two variants needs, so that a test finds the difference of their CTRs.

        p1 = ctr, p2 = ctr * (1 + lift), p = (p1 + p2) / 2
        n = (z(1 - alpha/2) * sqrt(2 p (1 - p)) + z(power) * sqrt(p1 (1 - p1) + p2 (1 - p2)))^2 / (p2 - p1)^2

    `z` is the quantile function of the standard normal distribution.

    Args:
        ctr: the click-through rate of the first variant, such as the usual rate of the channel, between 0 and 1.
        lift: how much higher the click-through rate of the second variant is, relative to `ctr`. With 0.1, the rate is
            1.1 times `ctr`. `lift` may be negative.
        power: the probability that the test finds the difference.
        alpha: the probability that the test reports a difference between two variants with the same rate.

    Raises:
        LabError: an argument is out of its range, or the second click-through rate is not between 0 and 1.
    """
    other = ctr * (1 + lift)
    if not (0 < ctr < 1 and 0 < other < 1):
        raise LabError(
            f"click-through rates of {100 * ctr:g} % and {100 * other:g} % cannot be tested; give a rate and a lift "
            "that keep both between 0 and 100 %"
        )
    if other == ctr:
        raise LabError("an experiment cannot find a difference of 0; give the smallest lift that matters to you")
    if not (0 < power < 1 and 0 < alpha < 1):
        raise LabError(
            f"power {power:g} and alpha {alpha:g} must be between 0 and 1; the usual values are 0.8 and 0.05"
        )
    mean = (ctr + other) / 2
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    spread = z_alpha * math.sqrt(2 * mean * (1 - mean)) + z_power * math.sqrt(ctr * (1 - ctr) + other * (1 - other))
    return math.ceil((spread / (other - ctr)) ** 2)


def alike_pairs(pictures: Sequence[Appearance]) -> list[AlikePair]:
    """Return the pairs of candidates that are too alike. A test of such a pair would give no information.

    Two pictures are too alike if `Appearance.is_near` returns True for them.
    """
    return [
        AlikePair(first, second, pictures[first].bits_from(pictures[second]))
        for first, second in combinations(range(len(pictures)), 2)
        if pictures[first].is_near(pictures[second])
    ]


def pair_to_test(scores: Sequence[float | None], slope: float, alike: Sequence[AlikePair] = ()) -> PairToTest | None:
    """Return which two candidates to test. Return None if no two candidates with scores can be tested.

    The first of the two is the candidate with the highest score, because a creator would use this candidate without a
    test. The second is the candidate whose test against the first is expected to give the most information. This is the
    test whose outcome is the least certain. Two candidates that are too alike are not tested. If several candidates
    have the same score or the same information, the first of them in the list is chosen.

    The expected information is the entropy of the outcome: H(p) = -p log2(p) - (1 - p) log2(1 - p). The win probability
    follows the Bradley-Terry model: p = sigmoid(slope * difference of the scores).

    Args:
        scores: the score of each candidate [n], or None for a candidate that the model cannot score.
        slope: log odds of winning per unit of score difference, see `thumblab_pipelines.statistics.calibration`.
        alike: the pairs that are too alike, see `alike_pairs`.
    """
    known = [place for place, score in enumerate(scores) if score is not None]
    if len(known) < 2:
        return None
    best = max(known, key=lambda place: scores[place] or 0.0)
    excluded = {frozenset((pair.first, pair.second)) for pair in alike}
    pairs = []
    for other in known:
        if other != best and frozenset((best, other)) not in excluded:
            gap = (scores[best] or 0.0) - (scores[other] or 0.0)
            probability = 1 / (1 + math.exp(-slope * gap))  # The exponent is 0 or less, so it cannot overflow.
            pairs.append(PairToTest(best, other, probability, _entropy(probability)))
    return max(pairs, key=lambda pair: pair.information, default=None)


def advice_without_pair(scores: Sequence[float | None], alike: Sequence[AlikePair], proven: bool = True) -> str:
    """Return a sentence that says what to do if `pair_to_test` chose no two candidates.

    Pass the same `scores` and `alike` as to `pair_to_test`. `proven` says whether the skill of the model is proven. If
    the skill is not proven, all `scores` must be None.
    """
    if all_alike(len(scores), alike):
        return ALL_ALIKE
    if not proven:
        return NOT_PROVEN
    if sum(score is not None for score in scores) < 2:
        return (
            "The model gives a win probability to fewer than two of the candidates. "
            "Test two candidates that are not too alike."
        )
    return "Every other candidate looks too much like the best one; make a candidate that looks different from the best one."


def all_alike(candidates: int, alike: Sequence[AlikePair]) -> bool:
    """Return whether every pair of candidates is too alike. `candidates` is the number of candidates."""
    return len(alike) == candidates * (candidates - 1) // 2


def _entropy(probability: float) -> float:
    """Return the entropy in bits of an outcome with this probability."""
    return sum(-p * math.log2(p) for p in (probability, 1 - probability) if p > 0)

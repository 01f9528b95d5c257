"""Make the plan of an experiment: how many impressions it needs, and which two of the candidate pictures to test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.experiments.planning import (
    ALL_ALIKE,
    ALPHA,
    POWER,
    AlikePair,
    PairToTest,
    advice_without_pair,
    alike_pairs,
    all_alike,
    impressions_per_variant,
    pair_to_test,
)
from thumblab_core.images.perceptual import Appearance
from thumblab_pipelines.experiments.pictures import read_variant

MOST_CANDIDATES = 20


@dataclass(frozen=True)
class ExperimentPlan:
    """The plan of an experiment.

    `impressions_per_variant`: number of impressions that each of the two variants needs. This number is computed from
    `ctr`, `lift`, `power` and `alpha`, see `planning.impressions_per_variant`. `pair`: the two candidates to test, or
    None if no model's scores are given or if no pair can be chosen. `advice`: what to do if `pair` is None. `alike`:
    the pairs of candidates that look too similar to be tested.
    """

    ctr: float
    lift: float
    power: float
    alpha: float
    impressions_per_variant: int
    candidates: tuple[str, ...]
    pair: PairToTest | None
    alike: tuple[AlikePair, ...]
    advice: str


def plan_experiment(
    candidates: Sequence[Path],
    scores: Sequence[float | None] | None,
    slope: float,
    ctr: float,
    lift: float,
    proven: bool = True,
) -> ExperimentPlan:
    """Plan an experiment that tests two of the candidates.

    `scores` and `slope` come from the model, see `pair_to_test`. If `scores` is None, no two candidates are chosen.
    `proven`: whether the model's skill is proven. `ctr`: the usual click-through rate. `lift`: the smallest lift that
    the test should detect, see `impressions_per_variant`. Raises `LabError` if a picture cannot be read, if the number
    of candidates is not allowed, or if no test can detect this lift.
    """
    if not 2 <= len(candidates) <= MOST_CANDIDATES:
        raise LabError(f"{len(candidates)} pictures are given; a plan needs 2 to {MOST_CANDIDATES} candidates")
    needed = impressions_per_variant(ctr, lift)
    alike = alike_pairs([_appearance_of(path) for path in candidates])
    pair = None if scores is None else pair_to_test(scores, slope, alike)
    advice = "" if pair is not None else _advice(len(candidates), scores, alike, proven)
    names = tuple(str(path) for path in candidates)
    return ExperimentPlan(ctr, lift, POWER, ALPHA, needed, names, pair, tuple(alike), advice)


def _advice(candidates: int, scores: Sequence[float | None] | None, alike: Sequence[AlikePair], proven: bool) -> str:
    """Return a sentence that says what to do when no two candidates could be chosen."""
    if scores is not None:
        return advice_without_pair(scores, alike, proven)
    if all_alike(candidates, alike):
        return ALL_ALIKE
    if candidates == 2:
        return "Test the two candidates against each other."
    return "Test two candidates that are not too alike. With --title and --niche, the model chooses which two."


def _appearance_of(path: Path) -> Appearance:
    return Appearance.of(read_variant(path, str(path))[1].pixels)

"""Order the pictures of a request by evidence, if the skill of the model is not proven.

A picture has percentiles in the niche's library: one for each sub-score, and one for its similarity to the library. The
evidence of the picture is the mean of these percentiles. A percentile is used only if every picture of the request has
it. So all pictures are compared by the same measurements. The model is not used, so pictures that are unlike its
training data are ordered too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from thumblab_core.sub_scores import NAMES
from thumblab_serving.schemas.answer import SimilaritySource
from thumblab_serving.schemas.verdict import OrderedBy, Verdict
from thumblab_serving.scoring.intake import ExaminedPicture
from thumblab_serving.scoring.near_identical import count_groups_once
from thumblab_serving.scoring.rank import Ranking, places_of
from thumblab_serving.scoring.similarity import Placements

SIMILARITY = "similarity"

_DIGITS = 6
"""Number of decimal digits to which a mean is rounded. So means that differ only by rounding errors become equal."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of the pictures of a request.

    `percentiles` has the names of the measurements whose percentiles are averaged: sub-scores and, if all pictures have
    it, the similarity (`SIMILARITY`). `means` has the mean percentile of each picture, 0 to 100, by the picture's id.
    `percentiles` and `means` are empty if the pictures have no percentile in common.
    """

    percentiles: tuple[str, ...]
    means: Mapping[str, float]


def evidence_of(pictures: Mapping[str, ExaminedPicture], placements: Placements) -> Evidence:
    """Return the evidence of the pictures of a request. `placements` has the place of each picture in the library."""
    placed = {name: _percentiles(name, picture, placements) for name, picture in pictures.items()}
    common = tuple(
        measured for measured in (*NAMES, SIMILARITY) if placed and all(measured in of for of in placed.values())
    )
    if not common:
        return Evidence((), {})
    means = {name: float(np.mean([of[measured] for measured in common])) for name, of in placed.items()}
    return Evidence(common, {name: round(mean, _DIGITS) for name, mean in means.items()})


def order_by_evidence(ranking: Ranking, evidence: Evidence) -> Ranking:
    """Return the ranking with ranks by evidence, and without a winner, strengths and win probabilities.

    Near-identical pictures share the rank of their mean evidence. Pictures with equal evidence keep the order of the
    request. Without evidence, no picture has a rank.
    """
    names = list(ranking.pictures)
    if not names:
        return ranking
    ranks: dict[str, int] = {}
    if evidence.means:
        means = np.array([evidence.means[name] for name in names])
        candidates = count_groups_once(names, ranking.near_identical)
        places = places_of(np.array([means[members].mean() for members in candidates]))
        ranks = {names[member]: place for members, place in zip(candidates, places, strict=True) for member in members}
    pictures = {
        name: replace(picture, rank=ranks.get(name), win_probability=None, evidence_mean=evidence.means.get(name))
        for name, picture in ranking.pictures.items()
    }
    return replace(
        ranking,
        pictures=pictures,
        winner=None,
        confidence=None,
        verdict=Verdict.ONLY_ONE if len(names) == 1 else Verdict.NO_SKILL,
        ordered_by=OrderedBy.EVIDENCE if ranks else None,
        evidence=evidence.percentiles,
        strengths={},
    )


def _percentiles(name: str, picture: ExaminedPicture, placements: Placements) -> dict[str, float]:
    """Return the percentiles that a picture has in the library of the niche."""
    found: dict[str, float | None] = {}
    if placements.sub_scores is not None:
        found = {
            score.name: placements.sub_scores.percentile(score.name, score.value)
            for score in picture.measurement.scores.values()
            if score.value is not None
        }
    if placements.source is not SimilaritySource.DEFAULT:
        found[SIMILARITY] = placements.by_id[name].percentile
    return {measured: percentile for measured, percentile in found.items() if percentile is not None}

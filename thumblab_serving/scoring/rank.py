"""Rank examined pictures by a model. The functions have no state, and read and write no files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Float32s, Float64s
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.niches import Niche
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.confidence import CLEAR, is_too_close, percent
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.schemas.answer import Engagement, Verdict
from thumblab_serving.scoring.intake import ExaminedPicture

if TYPE_CHECKING:  # Only type checkers import the ranker here, because it imports torch, which is slow to import.
    from thumblab_core.ranking.trained_ranker import TrainedRanker

_ROUNDING = 1e-5
"""Two scores count as equal if their difference is at most this, times the size of the score if this size is over 1.

If a request has the same picture twice, a matrix product may round the scores of the two copies differently. The copies
must still get equal scores.
"""


@dataclass(frozen=True)
class RankingContext:
    """What a ranking depends on besides the pictures: a title, a niche, and maybe a channel.

    `title_vector` is the unit vector [d] of the title by the title encoder.
    """

    title: str
    title_vector: Vectors
    niche: Niche
    channel: AdapterChoice | None = None

    @property
    def adapter(self) -> Adapter | None:
        """The channel adapter to rank with. None if the request names no channel, or a channel without an adapter."""
        return None if self.channel is None else self.channel.adapter


@dataclass(frozen=True)
class RankedPicture:
    """The result of the model for one picture. The fields are those of `ThumbnailScore`."""

    familiar: bool | None
    rank: int | None = None
    score: float | None = None
    win_probability: float | None = None
    predicted_engagement: Engagement | None = None


@dataclass(frozen=True)
class Ranking:
    """The results of the model for the pictures of a request, by the ids of the pictures.

    `unfamiliar` has the pictures that are unlike all training pictures, with their cosine to the nearest training
    picture. These pictures are not ranked.
    """

    pictures: Mapping[str, RankedPicture] = field(default_factory=dict)
    unfamiliar: Mapping[str, float] = field(default_factory=dict)
    winner: str | None = None
    verdict: Verdict | None = None
    confidence: float | None = None


def rank(pictures: Mapping[str, ExaminedPicture], query: RankingContext, ranker: "TrainedRanker") -> Ranking:
    """Rank pictures against each other. Pictures that are unlike all training pictures are left out.

    The verdict is `NO_VERDICT` if no picture is left, or if only one of several pictures is left.
    """
    if not pictures:
        return Ranking()
    names = list(pictures)
    encoder = ranker.model.config.image_encoder
    vectors = np.stack([picture.vectors[encoder] for picture in pictures.values()])
    familiar: dict[str, bool | None] = dict.fromkeys(names)
    unfamiliar: dict[str, float] = {}
    if ranker.familiar is not None:
        cosines = dict(zip(names, ranker.familiar.nearest(vectors).tolist(), strict=True))
        familiar = {name: cosine >= ranker.familiar.threshold for name, cosine in cosines.items()}
        unfamiliar = {name: cosine for name, cosine in cosines.items() if not familiar[name]}
    ranked = {name: RankedPicture(familiar[name]) for name in names}
    rows = [row for row, name in enumerate(names) if name not in unfamiliar]
    if not rows or (len(rows) == 1 and len(names) > 1):
        return Ranking(ranked, unfamiliar, verdict=Verdict.NO_VERDICT)

    titles = np.repeat(query.title_vector[None], len(rows), axis=0)
    in_pictures = [pictures[names[row]].measurement.evidence.words for row in rows]
    predictions = ranker.predict(vectors[rows], titles, [query.title] * len(rows), query.adapter, in_pictures)
    scores = merge_equal_scores(predictions.score)
    adapted = query.adapter is not None
    probabilities: list[float | None] = [None]
    if len(rows) > 1:
        probabilities = list(ranker.calibration.win_probabilities(scores, adapted).tolist())
    best_first = np.argsort(-scores, kind="stable")  # A stable sort keeps equal scores in the order of the request.
    ranks = np.argsort(best_first, kind="stable") + 1
    for position, row in enumerate(rows):
        ranked[names[row]] = replace(
            ranked[names[row]],
            rank=int(ranks[position]),
            score=_percentile(float(scores[position]), query, ranker),
            win_probability=probabilities[position],
            predicted_engagement=_engagement(float(predictions.engagement[position]), ranker),
        )
    winner = names[rows[int(best_first[0])]]
    if len(rows) == 1:
        return Ranking(ranked, unfamiliar, winner, Verdict.ONLY_ONE)
    confidence = winner_confidence(scores, ranker.calibration.slope_of(adapted))
    return Ranking(ranked, unfamiliar, winner, verdict_of(confidence), confidence)


def _percentile(score: float, query: RankingContext, ranker: "TrainedRanker") -> float | None:
    """Return the percentile of a score, 0 to 100, among the scores of the niche's videos.

    With a channel adapter, return the percentile among the scores of the channel's own videos. Return None if the model
    or the adapter has no percentiles, usually because there were too few videos.
    """
    if query.adapter is None:
        return ranker.calibration.percentile(score, query.niche)
    return query.adapter.percentile(score)


def _engagement(value: float, ranker: "TrainedRanker") -> Engagement | None:
    """Return the predicted engagement, or None if the model has a reason not to show it (`why_no_engagement`)."""
    return None if ranker.why_no_engagement else Engagement.of(value, ranker.absolute)


def merge_equal_scores(scores: Float32s) -> Float64s:
    """Return the scores [n], after scores that differ only by rounding (`_ROUNDING`) were made equal."""
    merged = scores.astype(np.float64)
    order = np.argsort(merged, kind="stable")
    for lower, higher in pairwise(order.tolist()):
        if merged[higher] - merged[lower] <= _ROUNDING * max(1.0, abs(merged[lower])):
            merged[higher] = merged[lower]
    return merged


def winner_confidence(scores: Float64s, slope: float) -> float:
    """Return the probability that the best of two or more scores beats the second, by the Bradley-Terry model."""
    best, second = np.sort(scores)[::-1][:2].tolist()
    return 1.0 / (1.0 + math.exp(-slope * (best - second)))  # The exponent is 0 or less, so it cannot overflow.


def verdict_of(confidence: float) -> Verdict:
    """Return the verdict for a win probability, which is first rounded to the whole percentage that people see."""
    if is_too_close(confidence):
        return Verdict.TOO_CLOSE_TO_CALL
    return Verdict.CLEAR if percent(confidence) >= CLEAR else Verdict.LEANING

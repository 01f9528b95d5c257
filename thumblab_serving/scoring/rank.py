"""Rank examined pictures by a model. The functions have no state, and read and write no files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from thumblab_core.arrays import Float32s, Float64s
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.architecture import Predictions
from thumblab_core.ranking.confidence import CLEAR, is_too_close, percent
from thumblab_core.ranking.skill import ONE_TITLE, PACKAGE
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.schemas.answer import Engagement
from thumblab_serving.schemas.verdict import OrderedBy, Question, Verdict
from thumblab_serving.schemas.why import WhyOut
from thumblab_serving.scoring.intake import ExaminedPicture
from thumblab_serving.scoring.near_identical import count_groups_once

_ROUNDING = 1e-5
"""Two scores count as equal if their difference is at most this number. If the lower score is above 1 or below -1, the
number is multiplied by the absolute value of this score.

If a request has the same picture twice, a matrix product may round the scores of the two copies differently. The copies
must still get equal scores.
"""


@dataclass(frozen=True)
class EncodedTitle:
    """A title, and the unit vector [d] that the title encoder has made of it."""

    text: str
    vector: Vectors


@dataclass(frozen=True)
class RankingContext:
    """Everything that a ranking depends on besides the pictures: the titles, the niche and, if given, the channel.

    `titles` has the title of each picture, by the picture's id. `as_packages` says that packages are compared, even if
    all of them have the same title.
    """

    titles: Mapping[str, EncodedTitle]
    niche: str
    channel: AdapterChoice | None = None
    as_packages: bool = False

    @property
    def question(self) -> Question:
        """The question that the ranking answers: `one_title` if all pictures have the same title, or `package` if the
        titles differ.
        """
        if self.as_packages:
            return PACKAGE
        return ONE_TITLE if len({title.text for title in self.titles.values()}) < 2 else PACKAGE

    @property
    def adapter(self) -> Adapter | None:
        """The channel adapter to rank with. None if the request has no channel, or if the channel has no adapter."""
        return None if self.channel is None else self.channel.adapter


@dataclass(frozen=True)
class RankedPicture:
    """The result for one picture. The fields mean the same as the fields of `ThumbnailScore`."""

    familiar: bool | None
    rank: int | None = None
    score: float | None = None
    win_probability: float | None = None
    evidence_mean: float | None = None
    predicted_engagement: Engagement | None = None
    why: WhyOut | None = None


@dataclass(frozen=True)
class Ranking:
    """The results for the pictures of a request, by the ids of the pictures.

    `unfamiliar` has the pictures that are unlike all training pictures, with their cosine to the nearest training
    picture. The model does not rank these pictures. `near_identical` has the groups of near-identical pictures.
    `ordered_by` is None if no picture has a rank. `evidence` lists the percentiles that the order by evidence uses, or
    is None if the model's order is used. `strengths` has a number for each picture that the model ranks. By the
    Bradley-Terry model, the difference of two strengths is the log odds that one of the two pictures beats the other.
    `strengths` is empty if the model's order is not used. `inputs` has the model's inputs [d] of each picture that the
    model ranks.
    """

    pictures: Mapping[str, RankedPicture] = field(default_factory=dict)
    unfamiliar: Mapping[str, float] = field(default_factory=dict)
    winner: str | None = None
    verdict: Verdict | None = None
    confidence: float | None = None
    ordered_by: OrderedBy | None = None
    near_identical: Sequence[Sequence[str]] = ()
    evidence: Sequence[str] | None = None
    strengths: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, Float32s] = field(default_factory=dict, compare=False, repr=False)


def rank(
    pictures: Mapping[str, ExaminedPicture],
    near_identical: Sequence[Sequence[str]],
    query: RankingContext,
    ranker: TrainedRanker,
) -> Ranking:
    """Rank pictures against each other by the model. Pictures that are unlike all training pictures are left out.

    A group of near-identical pictures counts as one candidate, whose score is the mean score of its members. All
    members have the same rank, and an equal part of the win probability.

    The verdict is `NO_VERDICT` if no picture is left, or if only one of several pictures is left. The win probabilities
    are calibrated for the question of `query`.
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
        return Ranking(ranked, unfamiliar, verdict=Verdict.NO_VERDICT, near_identical=near_identical)

    titles = [query.titles[names[row]] for row in rows]
    in_pictures = [pictures[names[row]].measurement.evidence.words for row in rows]
    title_vectors, texts = np.stack([title.vector for title in titles]), [title.text for title in titles]
    inputs = ranker.inputs(vectors[rows], title_vectors, texts, in_pictures)
    predictions = ranker.predict_inputs(inputs, query.adapter)
    scores = merge_equal_scores(predictions.score)
    candidates = count_groups_once([names[row] for row in rows], near_identical)
    candidate_scores = merge_equal_scores(np.array([scores[members].mean() for members in candidates]))
    adapted = query.adapter is not None
    chances = ranker.calibration.win_probabilities(candidate_scores, adapted, query.question).tolist()
    places = places_of(candidate_scores)
    for members, place, chance in zip(candidates, places, chances, strict=True):
        for position in members:
            name = names[rows[position]]
            ranked[name] = replace(
                ranked[name],
                rank=place,
                score=_percentile(float(scores[position]), query, ranker),
                win_probability=chance / len(members) if len(rows) > 1 else None,
                predicted_engagement=_engagement(predictions, position, ranker),
            )
    winner = names[rows[candidates[places.index(1)][0]]]
    made = Ranking(ranked, unfamiliar, winner, ordered_by=OrderedBy.MODEL, near_identical=near_identical)
    if len(rows) == 1:
        return replace(made, verdict=Verdict.ONLY_ONE)
    slope = ranker.calibration.slope_of(adapted, query.question)
    confidence = winner_confidence(candidate_scores, slope)
    strengths = {
        names[rows[position]]: slope * float(score)
        for members, score in zip(candidates, candidate_scores, strict=True)
        for position in members
    }
    by_name = {names[row]: row_of_inputs for row, row_of_inputs in zip(rows, inputs, strict=True)}
    return replace(made, verdict=verdict_of(confidence), confidence=confidence, strengths=strengths, inputs=by_name)


def places_of(values: Float64s) -> list[int]:
    """Return the place of each of n candidates, from their values [n]. The highest value has place 1.

    Equal values keep their order.
    """
    best_first = np.argsort(-values, kind="stable")
    places: list[int] = (np.argsort(best_first, kind="stable") + 1).tolist()
    return places


def _percentile(score: float, query: RankingContext, ranker: TrainedRanker) -> float | None:
    """Return the percentile of a score, 0 to 100, among the scores of the niche's videos.

    With a channel adapter, return the percentile among the scores of the channel's own videos. Return None if the model
    or the adapter has no percentiles, usually because there were too few videos.
    """
    if query.adapter is None:
        return ranker.calibration.percentile(score, query.niche)
    return query.adapter.percentile(score)


def _engagement(predictions: Predictions, row: int, ranker: TrainedRanker) -> Engagement | None:
    """Return the engagement in a row of the predictions, or None if the model has a reason not to show it
    (`why_no_engagement`).
    """
    return None if ranker.why_no_engagement else Engagement.of(float(predictions.engagement[row]), ranker.absolute)


def merge_equal_scores(scores: Float32s | Float64s) -> Float64s:
    """Return the scores [n]. Scores that differ only by rounding (`_ROUNDING`) are made equal."""
    merged = scores.astype(np.float64)
    order = np.argsort(merged, kind="stable")
    for lower, higher in pairwise(order.tolist()):
        if merged[higher] - merged[lower] <= _ROUNDING * max(1.0, abs(merged[lower])):
            merged[higher] = merged[lower]
    return merged


def winner_confidence(scores: Float64s, slope: float) -> float:
    """Return the probability that the best score beats the second-best score, by the Bradley-Terry model.

    If there is only one score, it is the score of a group of near-identical pictures. Two members of the group are
    equally likely to win, so the result is 0.5.
    """
    if len(scores) == 1:
        return 0.5
    best, second = np.sort(scores)[::-1][:2].tolist()
    return 1.0 / (1.0 + math.exp(-slope * (best - second)))  # The exponent is 0 or less, so it cannot overflow.


def verdict_of(confidence: float) -> Verdict:
    """Return the verdict for a win probability. The probability is first rounded to the percentage that the page shows."""
    if is_too_close(confidence):
        return Verdict.TOO_CLOSE_TO_CALL
    return Verdict.CLEAR if percent(confidence) >= CLEAR else Verdict.LEANING

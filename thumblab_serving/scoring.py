"""Scoring itself: examined pictures, a title, a model and perhaps a library in; the answer out. No I/O, no state."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import Neighbour, NicheIndex
from thumblab_core.niches import Niche
from thumblab_core.sub_scores import SubScore
from thumblab_serving.intake import Candidate, Examined
from thumblab_serving.schemas import (
    Engagement,
    NeighbourOut,
    Releases,
    ScoreAnswer,
    SimilaritySource,
    SubScoreOut,
    ThumbnailScore,
    Verdict,
)
from thumblab_serving.slot import Loaded

if TYPE_CHECKING:  # importing the ranker imports torch
    from thumblab_core.ranker import Predictions, TrainedRanker

NEIGHBOURS = 5
CLEAR = 0.75
LEANING = 0.60
DEFAULT_SIMILARITY = 50.0


def rank(
    candidates: Sequence[Candidate],
    title_vector: Vectors,
    niche: Niche,
    model: "Loaded[TrainedRanker]",
    index: Loaded[NicheIndex] | None,
    no_index: str | None = None,
) -> ScoreAnswer:
    """Rank candidates against each other and place each in the niche.

    `title_vector` is the title encoder's, float32 [d]. `no_index` says why `index` is None. Candidates with an error
    are answered with it; the others are ranked without them.
    """
    readable = [(c.id, c.examined) for c in candidates if c.examined is not None]
    degraded: list[str] = []
    scores: dict[str, ThumbnailScore] = {}
    if readable:
        pictures = np.stack([examined.vector for _, examined in readable])
        predictions = model.value.model.predict(pictures, np.repeat(title_vector[None], len(readable), axis=0))
        scores = _scores(readable, predictions, niche, model.value, index, no_index, degraded)
    order = sorted(scores.values(), key=lambda score: score.rank or 0)
    confidence, verdict = None, None
    if len(order) == 1:
        verdict = Verdict.ONLY_ONE
    elif order:
        # Only the two best matter, and only their difference: this is the pairwise model's own question.
        best, second = sorted(predictions.score.tolist(), reverse=True)[:2]
        confidence = _sigmoid(model.value.calibration.slope * (best - second))
        verdict = _verdict(confidence)
    return ScoreAnswer(
        niche=niche,
        winner=order[0].id if order else None,
        verdict=verdict,
        confidence=confidence,
        thumbnails=[scores.get(c.id) or ThumbnailScore(id=c.id, error=c.error) for c in candidates],
        releases=Releases(model=model.release_id, index=index.release_id if index else None),
        degraded=degraded,
    )


def _scores(
    readable: Sequence[tuple[str, Examined]],
    predictions: "Predictions",
    niche: Niche,
    model: "TrainedRanker",
    index: Loaded[NicheIndex] | None,
    no_index: str | None,
    degraded: list[str],
) -> dict[str, ThumbnailScore]:
    if niche not in model.calibration.quantiles:
        degraded.append(f"the model was trained without {niche}: thumbnails are ranked, but have no score in it")
    library = None if index is None else index.value
    if library is None:
        degraded.append(f"{no_index or f'no index of {niche} is served'}: every similarity is the default of 50")
    elif len(library) < 2:
        degraded.append(f"the library of {niche} holds too few thumbnails: every similarity is the default of 50")
        library = None
    chances = model.calibration.win_probabilities(predictions.score)
    # Stable, so that equal scores keep the order of the request.
    ranks = {row: place for place, row in enumerate(np.argsort(-predictions.score, kind="stable").tolist(), start=1)}
    return {
        name: ThumbnailScore(
            id=name,
            rank=ranks[row],
            score=model.calibration.percentile(float(predictions.score[row]), niche),
            win_probability=float(chances[row]),
            predicted_engagement=Engagement(value=float(predictions.engagement[row])),
            sub_scores={key: _sub_score(value) for key, value in examined.sub_scores.items()},
            similarity_score=DEFAULT_SIMILARITY if library is None else library.percentile(examined.vector),
            similarity_source=SimilaritySource.DEFAULT if library is None else SimilaritySource.FAISS,
            neighbours=[] if library is None else [_neighbour(n) for n in library.winners(examined.vector, NEIGHBOURS)],
        )
        for row, (name, examined) in enumerate(readable)
    }


def _sigmoid(logit: float) -> float:
    """For logits of 0 and more, which cannot overflow."""
    return 1.0 / (1.0 + math.exp(-logit))


def _verdict(confidence: float) -> Verdict:
    if confidence >= CLEAR:
        return Verdict.CLEAR
    return Verdict.LEANING if confidence >= LEANING else Verdict.TOO_CLOSE_TO_CALL


def _sub_score(measured: SubScore) -> SubScoreOut:
    return SubScoreOut(value=measured.value, reason=measured.reason, fix=measured.fix)


def _neighbour(neighbour: Neighbour) -> NeighbourOut:
    item = neighbour.item
    return NeighbourOut(
        video_id=item.video_id,
        title=item.title,
        channel=item.channel,
        url=item.url,
        views_per_hour=item.views_per_hour,
        outlier_multiple=item.outlier_multiple,
        similarity=neighbour.similarity,
    )

"""Scoring itself: examined pictures, a title, a model and perhaps a library in; the answer out. No I/O, no state."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import Neighbour, NicheIndex
from thumblab_core.niches import Niche
from thumblab_core.score_distribution import ScoreDistribution
from thumblab_serving.histories import Known
from thumblab_serving.intake import Candidate, Examined
from thumblab_serving.judging import judged, shown
from thumblab_serving.schemas import (
    ChannelOut,
    Engagement,
    NeighbourOut,
    Releases,
    ScoreAnswer,
    SimilaritySource,
    ThumbnailScore,
    Verdict,
)
from thumblab_serving.slot import Loaded
from thumblab_serving.stored import Place

if TYPE_CHECKING:  # importing the ranker imports torch
    from thumblab_core.ranker import Predictions
    from thumblab_core.trained_ranker import TrainedRanker

NEIGHBOURS = 5
CLEAR = 0.75
LEANING = 0.60
DEFAULT_SIMILARITY = 50.0


@dataclass(frozen=True)
class Words:
    """The title of a request, and its unit vector by the title encoder, float32 [d]."""

    title: str
    vector: Vectors


def rank(
    candidates: Sequence[Candidate],
    words: Words,
    niche: Niche,
    model: "Loaded[TrainedRanker]",
    index: Loaded[NicheIndex] | None,
    meter: str,
    no_index: str | None = None,
    stored: Mapping[str, Place] | str | None = None,
    history: Known | None = None,
) -> ScoreAnswer:
    """Rank candidates against each other and place each in the niche.

    `meter` is the version of what measured the candidates. `no_index` says why `index` is None; `stored` is then the place
    of each by the database, or says why that is None too. `history` is what is known of the channel that was named, if one
    was. Candidates with an error are answered with it; the others are ranked without them.
    """
    readable = [(c.id, c.examined) for c in candidates if c.examined is not None]
    adapter = None if history is None else history.adapter
    degraded = [] if history is None or history.reason is None else [history.reason]
    scores: dict[str, ThumbnailScore] = {}
    if readable:
        encoder = model.value.model.config.image_encoder
        pictures = np.stack([examined.vectors[encoder] for _, examined in readable])
        titles = np.repeat(words.vector[None], len(readable), axis=0)
        predictions = model.value.predict(pictures, titles, [words.title] * len(readable), adapter)
        chances = model.value.calibration.win_probabilities(predictions.score, adapter is not None)
        scores = _scores(readable, predictions, chances, niche, model.value, index, meter, no_index, stored, degraded)
    order = sorted(scores.values(), key=lambda score: score.rank or 0)
    confidence, verdict = None, None
    if len(order) == 1:
        verdict = Verdict.ONLY_ONE
    elif order:
        # Only the two best matter, and only their difference: this is the pairwise model's own question.
        best, second = sorted(predictions.score.tolist(), reverse=True)[:2]
        confidence = _sigmoid(model.value.calibration.slope_of(adapter is not None) * (best - second))
        verdict = _verdict(confidence)
    return ScoreAnswer(
        niche=niche,
        winner=order[0].id if order else None,
        verdict=verdict,
        confidence=confidence,
        channel=None if history is None else _channel(history),
        thumbnails=[scores.get(c.id) or ThumbnailScore(id=c.id, error=c.error) for c in candidates],
        releases=Releases(model=model.release_id, index=index.release_id if index else None),
        degraded=degraded,
    )


def _scores(
    readable: Sequence[tuple[str, Examined]],
    predictions: "Predictions",
    chances: npt.NDArray[np.float64],
    niche: Niche,
    model: "TrainedRanker",
    index: Loaded[NicheIndex] | None,
    meter: str,
    no_index: str | None,
    stored: Mapping[str, Place] | str | None,
    degraded: list[str],
) -> dict[str, ThumbnailScore]:
    if niche not in model.calibration.quantiles:
        degraded.append(f"the model was trained without {niche}: thumbnails are ranked, but have no score in it")
    library = None if index is None else index.value
    source, similar = _similar(readable, niche, library, no_index, stored, degraded)
    if source is not SimilaritySource.FAISS:
        library = None
    places = None if library is None else _places(library, niche, meter, degraded)
    degraded.extend(dict.fromkeys(sentence for _, one in readable for sentence in one.measurement.evidence.missing))
    # Stable, so that equal scores keep the order of the request.
    ranks = {row: place for place, row in enumerate(np.argsort(-predictions.score, kind="stable").tolist(), start=1)}
    return {
        name: ThumbnailScore(
            id=name,
            rank=ranks[row],
            score=model.calibration.percentile(float(predictions.score[row]), niche),
            win_probability=float(chances[row]),
            predicted_engagement=Engagement.of(float(predictions.engagement[row]), model.absolute),
            sub_scores=judged(examined.measurement, places),
            evidence=shown(examined.measurement.evidence, examined.width, examined.height),
            similarity_score=similar[name].percentile,
            similarity_source=source,
            neighbours=[_neighbour(neighbour) for neighbour in similar[name].winners],
        )
        for row, (name, examined) in enumerate(readable)
    }


def _channel(history: Known) -> ChannelOut:
    return ChannelOut(
        channel_id=history.channel_id,
        adapted=history.adapter is not None,
        videos=0 if history.adapter is None else history.adapter.videos,
        reason=history.reason,
        release=history.release,
    )


def _sigmoid(logit: float) -> float:
    """For logits of 0 and more, which cannot overflow."""
    return 1.0 / (1.0 + math.exp(-logit))


def _verdict(confidence: float) -> Verdict:
    if confidence >= CLEAR:
        return Verdict.CLEAR
    return Verdict.LEANING if confidence >= LEANING else Verdict.TOO_CLOSE_TO_CALL


def _places(library: NicheIndex, niche: Niche, meter: str, degraded: list[str]) -> ScoreDistribution | None:
    """How the library is spread over the sub-scores; None, and said, where these were not measured in the same way."""
    found = library.scores
    if found is not None and found.version == meter:
        return found
    why = "holds no sub-scores" if found is None else "was measured by another version of the sub-scores"
    degraded.append(
        f"the library of {niche} {why}: they have no place in it until visual_features and faiss_index are made again"
    )
    return None


def _similar(
    readable: Sequence[tuple[str, Examined]],
    niche: Niche,
    library: NicheIndex | None,
    no_index: str | None,
    stored: Mapping[str, Place] | str | None,
    degraded: list[str],
) -> tuple[SimilaritySource, Mapping[str, Place]]:
    """The place of each in the niche by its index, or else by the database, or else the default; what is missing is said."""
    if library is not None and library.calibrated:
        return SimilaritySource.FAISS, {name: _place(library, examined) for name, examined in readable}
    missing = no_index or f"no index of {niche} is served"
    if library is not None:
        missing = f"the library of {niche} holds too few thumbnails"
    if isinstance(stored, Mapping):
        degraded.append(f"{missing}: similarities and neighbours were looked up in the database")
        return SimilaritySource.PGVECTOR, stored
    reasons = missing if stored is None else f"{missing}, and {stored}"
    degraded.append(f"{reasons}: every similarity is the default of {DEFAULT_SIMILARITY:g}")
    return SimilaritySource.DEFAULT, {name: Place(DEFAULT_SIMILARITY, []) for name, _ in readable}


def _place(library: NicheIndex, examined: Examined) -> Place:
    vector = examined.vectors[library.encoder]
    return Place(library.percentile(vector), library.winners(vector, NEIGHBOURS))


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

"""Scoring itself: examined pictures, a title, a model and perhaps a library in; the answer out. No I/O, no state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import Neighbour, NicheIndex
from thumblab_core.niches import Niche
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_serving.loading.channel_adapters import Known
from thumblab_serving.loading.slot import Loaded
from thumblab_serving.loading.stored_library import Place
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
from thumblab_serving.scoring import claims
from thumblab_serving.scoring.intake import Candidate, Examined
from thumblab_serving.scoring.sub_scores import judged, shown

if TYPE_CHECKING:  # importing the ranker imports torch
    from thumblab_core.ranking.trained_ranker import TrainedRanker

NEIGHBOURS = 5
DEFAULT_SIMILARITY = 50.0


@dataclass(frozen=True)
class Words:
    """The title of a request, and its unit vector by the title encoder, float32 [d]."""

    title: str
    vector: Vectors


@dataclass(frozen=True)
class Ranking:
    """What the model says of each picture, by its id: those it can judge as fields of `ThumbnailScore`, best first."""

    of: Mapping[str, dict[str, object]]
    winner: str | None
    verdict: Verdict | None
    confidence: float | None


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
    was. Candidates with an error are answered with it; the others are ranked without them, and so are those that are unlike
    everything that the model has learnt.
    """
    readable = [(c.id, c.examined) for c in candidates if c.examined is not None]
    degraded = [] if history is None or history.reason is None else [history.reason]
    ranking, scores = Ranking({}, None, None, None), dict[str, ThumbnailScore]()
    if readable:
        ranking = _ranking(readable, words, niche, model.value, history, degraded)
        scores = _scores(readable, ranking, niche, index, meter, no_index, stored, degraded)
    return ScoreAnswer(
        niche=niche,
        winner=ranking.winner,
        verdict=ranking.verdict,
        confidence=ranking.confidence,
        skill=claims.skill(model.value, history),
        score_among="niche" if history is None or history.adapter is None else "channel",
        channel=None if history is None else _channel(history),
        thumbnails=[scores.get(c.id) or ThumbnailScore(id=c.id, error=c.error) for c in candidates],
        releases=Releases(model=model.release_id, index=index.release_id if index else None),
        degraded=degraded,
    )


def _ranking(
    readable: Sequence[tuple[str, Examined]],
    words: Words,
    niche: Niche,
    model: "TrainedRanker",
    history: Known | None,
    degraded: list[str],
) -> Ranking:
    adapter = None if history is None else history.adapter
    encoder = model.model.config.image_encoder
    names = [name for name, _ in readable]
    pictures = np.stack([examined.vectors[encoder] for _, examined in readable])
    degraded.extend(claims.doubts(model, niche, history))
    known: dict[str, bool | None] = dict.fromkeys(names)
    if model.familiar is not None:
        cosines = dict(zip(names, model.familiar.nearest(pictures).tolist(), strict=True))
        known = {name: cosine >= model.familiar.least for name, cosine in cosines.items()}
        degraded.extend(claims.strange(model, {name: cosines[name] for name in names if not known[name]}))
    rows = [row for row, name in enumerate(names) if known[name] is not False]
    answers: dict[str, dict[str, object]] = {name: {"familiar": known[name]} for name in names}
    if not rows or (len(rows) == 1 and len(names) > 1):
        return Ranking(answers, None, Verdict.NO_VERDICT, None)
    titles = np.repeat(words.vector[None], len(rows), axis=0)
    predictions = model.predict(pictures[rows], titles, [words.title] * len(rows), adapter)
    scores = claims.levelled(predictions.score)
    chances: list[float | None] = [None]
    if len(rows) > 1:
        chances = list(model.calibration.win_probabilities(scores, adapter is not None).tolist())
    best = np.argsort(-scores, kind="stable")  # so that equal ones keep the order of the request
    places = np.argsort(best, kind="stable") + 1
    for at, row in enumerate(rows):
        score, expected = float(scores[at]), float(predictions.engagement[at])
        answers[names[row]] |= {
            "rank": int(places[at]),
            "score": model.calibration.percentile(score, niche) if adapter is None else adapter.percentile(score),
            "win_probability": chances[at],
            "predicted_engagement": None if model.uninformed else Engagement.of(expected, model.absolute),
        }
    winner = names[rows[int(best[0])]]
    if len(rows) == 1:
        return Ranking(answers, winner, Verdict.ONLY_ONE, None)
    confidence = claims.confidence(scores, model.calibration.slope_of(adapter is not None))
    return Ranking(answers, winner, claims.verdict(confidence), confidence)


def _scores(
    readable: Sequence[tuple[str, Examined]],
    ranking: Ranking,
    niche: Niche,
    index: Loaded[NicheIndex] | None,
    meter: str,
    no_index: str | None,
    stored: Mapping[str, Place] | str | None,
    degraded: list[str],
) -> dict[str, ThumbnailScore]:
    library = None if index is None else index.value
    source, similar = _similar(readable, niche, library, no_index, stored, degraded)
    if source is not SimilaritySource.FAISS:
        library = None
    places = None if library is None else _places(library, niche, meter, degraded)
    degraded.extend(_without_winners(niche, similar))
    degraded.extend(dict.fromkeys(sentence for _, one in readable for sentence in one.measurement.evidence.missing))
    return {
        name: ThumbnailScore.model_validate(
            {
                "id": name,
                **ranking.of[name],
                "sub_scores": judged(examined.measurement, places),
                "evidence": shown(examined.measurement.evidence, examined.width, examined.height),
                "similarity_score": similar[name].percentile,
                "similarity_source": source,
                "neighbours": [_neighbour(neighbour) for neighbour in similar[name].examples],
            }
        )
        for name, examined in readable
    }


def _without_winners(niche: Niche, similar: Mapping[str, Place]) -> Sequence[str]:
    """The sentence on the pictures whose neighbours had to be others than winners."""
    names = [name for name, place in similar.items() if place.examples and not place.examples[0].item.winner]
    if not names:
        return []
    return [
        f"none of the thumbnails of {niche} that are most like {', '.join(name[:60] for name in names)} is a winner: the "
        "nearest of any kind are given"
    ]


def _channel(history: Known) -> ChannelOut:
    return ChannelOut(
        channel_id=history.channel_id,
        adapted=history.adapter is not None,
        videos=0 if history.adapter is None else history.adapter.videos,
        reason=history.reason,
        release=history.release,
    )


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
    return Place(library.percentile(vector), library.examples(vector, NEIGHBOURS))


def _neighbour(neighbour: Neighbour) -> NeighbourOut:
    item = neighbour.item
    return NeighbourOut(
        video_id=item.video_id,
        title=item.title,
        channel=item.channel,
        url=item.url,
        views_per_hour=item.views_per_hour,
        outlier_multiple=item.outlier_multiple,
        winner=item.winner,
        similarity=neighbour.similarity,
    )

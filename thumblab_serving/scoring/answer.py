"""Compose the answer to a request from the ranking and the placements of its pictures."""

from collections.abc import Mapping, Sequence

from thumblab_core.given_text import shown
from thumblab_core.index import Neighbour
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.loading.served_releases import Resolved
from thumblab_serving.schemas.answer import ChannelOut, NeighbourOut, Releases, ScoreAnswer, ThumbnailScore
from thumblab_serving.schemas.evidence import EvidenceOut
from thumblab_serving.scoring import degraded_sentences
from thumblab_serving.scoring.intake import Candidate, ExaminedPicture
from thumblab_serving.scoring.rank import Ranking, RankingContext
from thumblab_serving.scoring.similarity import Placements
from thumblab_serving.scoring.sub_scores import present_evidence, present_sub_scores


def compose_answer(
    candidates: Sequence[tuple[Candidate, str]],
    query: RankingContext,
    releases: Resolved,
    ranking: Ranking,
    placements: Placements,
    evidence: Cache[EvidenceOut],
) -> ScoreAnswer:
    """Return the answer to a request. `candidates` has each candidate with its title, in the order of the request.
    `evidence` caches the evidence of pictures as answers show it. Several answers share an entry of this cache, so
    nothing may change the entry.

    A candidate that could not be read has its error in the answer. The answer has no test plan and no packages.
    """
    ranker, index = releases.model.value, releases.index
    pictures = {candidate.id: candidate.picture for candidate, _ in candidates if candidate.picture is not None}
    return ScoreAnswer(
        niche=query.niche,
        winner=ranking.winner,
        verdict=ranking.verdict,
        confidence=ranking.confidence,
        ordered_by=ranking.ordered_by,
        near_identical=[list(group) for group in ranking.near_identical],
        skill=degraded_sentences.skill(ranker, query.channel, query.question),
        probabilities_from=None
        if ranking.confidence is None
        else ranker.calibration.fitted_to(query.adapter is not None, query.question),
        score_among="niche" if query.adapter is None else "channel",
        channel=None if query.channel is None else _channel(query.channel),
        thumbnails=[
            ThumbnailScore(id=candidate.id, error=candidate.error, title=title)
            if candidate.picture is None
            else _thumbnail(candidate.id, candidate.picture, query, ranking, placements, evidence)
            for candidate, title in candidates
        ],
        releases=Releases(model=releases.model.release_id, index=None if index is None else index.release_id),
        degraded=_degraded(pictures, query, ranker, ranking, placements),
        question=query.question,
    )


def _degraded(
    pictures: Mapping[str, ExaminedPicture],
    query: RankingContext,
    ranker: TrainedRanker,
    ranking: Ranking,
    placements: Placements,
) -> list[str]:
    """Return the sentences of `degraded`: one for each part that was missing, and one for each limit of the answer."""
    sentences = [] if query.channel is None or query.channel.reason is None else [query.channel.reason]
    if not pictures:
        return sentences
    sentences += degraded_sentences.model_limits(ranker, query)
    sentences += degraded_sentences.evidence_order(query.niche, ranking)
    sentences += degraded_sentences.unfamiliar_pictures(ranker, ranking)
    sentences += degraded_sentences.near_identical_pictures(ranking)
    sentences += degraded_sentences.first_frames([name for name, picture in pictures.items() if picture.animated])
    sentences += placements.degraded
    no_winner = [name for name, at in placements.by_id.items() if at.examples and not at.examples[0].item.winner]
    sentences += degraded_sentences.no_winners(query.niche, no_winner)
    missing = [sentence for picture in pictures.values() for sentence in picture.measurement.evidence.missing]
    return sentences + list(dict.fromkeys(missing))


def _thumbnail(
    name: str,
    picture: ExaminedPicture,
    query: RankingContext,
    ranking: Ranking,
    placements: Placements,
    evidence: Cache[EvidenceOut],
) -> ThumbnailScore:
    placement = placements.by_id[name]
    found = picture.measurement.evidence, picture.width, picture.height
    return ThumbnailScore(
        id=name,
        **vars(ranking.pictures[name]),
        sub_scores=present_sub_scores(picture.measurement, placements.sub_scores),
        evidence=evidence.get(found, lambda: present_evidence(*found)),
        similarity_score=placement.percentile,
        similarity_source=placements.source,
        neighbours=[_neighbour(neighbour) for neighbour in placement.examples],
        title=query.titles[name].text,
    )


def _channel(choice: AdapterChoice) -> ChannelOut:
    return ChannelOut(
        channel_id=shown(choice.channel_id),  # If the lab does not know the channel, this is any text of the request.
        adapted=choice.adapter is not None,
        videos=0 if choice.adapter is None else choice.adapter.videos,
        reason=choice.reason,
        release=choice.release,
        title=choice.title,
    )


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

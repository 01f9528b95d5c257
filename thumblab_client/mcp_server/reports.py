"""The answers of the tools. Each answer has those parts of a service's answer that an assistant needs.

The classes are dataclasses, because the SDK of MCP makes a schema of a tool's answer from its dataclass.
"""

from dataclasses import dataclass

from thumblab_client.errors import ThumblabError
from thumblab_client.models.answer import NeighbourOut, ScoreAnswer, ThumbnailScore
from thumblab_client.models.health import HealthOut
from thumblab_client.models.lab import LabOut

_VERDICTS = {
    "clear": "The winner is expected to beat the second in at least 75 of 100 cases.",
    "leaning": "The winner is expected to beat the second in 60 to 74 of 100 cases.",
    "too_close_to_call": "The best candidates are too close to call. Test them, or choose by taste.",
    "only_one": "There is only one candidate, so it has nothing to win against.",
    "no_verdict": "Fewer than two candidates are similar to the pictures that the model was trained on.",
    "no_skill": "The model was not shown to be better than chance at this question, so there is no winner. The "
    "candidates are ordered by measured evidence, which was not shown to predict views.",
}

_APART = "The sub-scores are measured in the picture. They do not explain the rank, but `why` explains the score."

_NOT_REPORTED = ["what its winners have in common; the tool similar gives the winners nearest to a picture"]


@dataclass(frozen=True)
class SubScore:
    """A measured property of a picture. `niche_percentile` is the percentile of `value` in the niche. `fix` says what
    to change.
    """

    name: str
    value: float | None
    niche_percentile: float | None
    weak: bool
    reason: str
    fix: str | None


@dataclass(frozen=True)
class Ranked:
    """A candidate. If `error` is set, the picture could not be read, and only the other candidates were ranked.

    `why` says why its score differs from the winner's score. If the reason is unknown, `why` says so.
    """

    id: str
    error: str | None
    rank: int | None
    score: float | None
    win_probability: float | None
    evidence_mean: float | None
    similarity_score: float | None
    familiar: bool | None
    why: str | None
    weak_sub_scores: list[SubScore]


@dataclass(frozen=True)
class Ranking:
    """The ranking of the candidates. `meaning` explains the verdict in words. `degraded` says what the answer lacks."""

    niche: str
    verdict: str | None
    meaning: str
    winner: str | None
    confidence: float | None
    ordered_by: str | None
    skill: str | None
    candidates: list[Ranked]
    near_identical: list[list[str]]
    adapted_to_channel: bool
    channel_note: str | None
    test_plan: str | None
    degraded: list[str]
    model_release: str
    index_release: str | None


@dataclass(frozen=True)
class Neighbour:
    """A thumbnail of the niche's library. `outlier_multiple` is the views of its video, divided by the usual views of
    the channel.
    """

    title: str
    channel: str
    url: str | None
    winner: bool
    similarity: float
    views_per_hour: float
    outlier_multiple: float | None


@dataclass(frozen=True)
class Similar:
    """The nearest thumbnails of the library. `similarity_score` is a percentile in the niche. `source` says where the
    score comes from.
    """

    id: str
    niche: str
    similarity_score: float | None
    source: str | None
    neighbours: list[Neighbour]
    degraded: list[str]


@dataclass(frozen=True)
class Contribution:
    """What one part contributes to a difference of two scores. The part is the picture, the title, the match of picture
    and title, or the channel's history.

    `share` is positive if this part raises the score of the picture, and negative if it lowers the score. The absolute
    values of all shares add up to 1.
    """

    of: str
    difference: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """The reasons why a picture scores higher or lower than another picture, what was found in the first picture, and
    what to change.

    `why` is a sentence with the reasons, or says that they are unknown. `against` is the other picture. The
    `contributions` add up to the difference of the two scores. `note` says what the sub-scores do not explain.
    """

    id: str
    why: str
    against: str | None
    contributions: list[Contribution]
    note: str
    sub_scores: list[SubScore]
    texts_read: list[str]
    lines_not_read: int
    faces: int | None
    covered_by_length_badge: float
    readable_at_120_pixels: float | None
    missing: list[str]
    degraded: list[str]


@dataclass(frozen=True)
class NicheReport:
    """The library and the model that are served for a niche. `library_state` is `serving`, `loading` or `none`.

    `videos` and `winners` are the size of the library. `made_at` and `newest_video` say how fresh the library is.
    """

    niche: str
    library_state: str
    index_release: str | None
    videos: int | None
    winners: int | None
    made_at: str | None
    newest_video: str | None
    refused: str | None
    model_release: str | None
    can_score: bool
    library_note: str | None
    not_reported: list[str]


def ranking(answer: ScoreAnswer) -> Ranking:
    """Return the parts of an answer that an assistant needs."""
    channel = answer.channel
    return Ranking(
        niche=answer.niche,
        verdict=answer.verdict,
        meaning=meaning(answer.verdict),
        winner=answer.winner,
        confidence=answer.confidence,
        ordered_by=answer.ordered_by,
        skill=None if answer.skill is None else answer.skill.summary,
        candidates=[_ranked(thumbnail) for thumbnail in answer.thumbnails],
        near_identical=answer.near_identical,
        adapted_to_channel=channel is not None and channel.adapted,
        channel_note=None if channel is None else channel.reason,
        test_plan=_test_plan(answer),
        degraded=answer.degraded,
        model_release=answer.releases.model,
        index_release=answer.releases.index,
    )


def similar(answer: ScoreAnswer) -> Similar:
    """Return the neighbours of the only picture of an answer. Raises `ThumblabError` if the picture could not be read."""
    thumbnail = _only(answer)
    return Similar(
        id=thumbnail.id,
        niche=answer.niche,
        similarity_score=thumbnail.similarity_score,
        source=thumbnail.similarity_source,
        neighbours=[_neighbour(neighbour) for neighbour in thumbnail.neighbours],
        degraded=answer.degraded,
    )


def explanation(answer: ScoreAnswer) -> Explanation:
    """Return why the first picture of an answer has its score, and what was found in this picture.

    Raises `ThumblabError` if this picture could not be read.
    """
    thumbnail = _readable(answer.thumbnails[0])
    evidence, why = thumbnail.evidence, thumbnail.why
    if evidence is None or why is None:
        raise ThumblabError(f"{thumbnail.id}: the service measured nothing in the picture")
    unread = [f"{other.id} was not compared: {other.error}" for other in answer.thumbnails if other.error is not None]
    return Explanation(
        id=thumbnail.id,
        why=why.summary,
        against=why.against,
        contributions=[Contribution(part.of, part.difference, part.share) for part in why.contributions],
        note=_APART,
        sub_scores=_sub_scores(thumbnail),
        texts_read=[line.text for line in evidence.texts or []],
        lines_not_read=len(evidence.unread),
        faces=None if evidence.faces is None else len(evidence.faces),
        covered_by_length_badge=evidence.badge_overlap,
        readable_at_120_pixels=evidence.legibility,
        missing=evidence.missing,
        degraded=[*unread, *answer.degraded],
    )


def niche_report(niche: str, health: HealthOut, lab: LabOut) -> NicheReport:
    """Return what the service has for a niche. Raises `ThumblabError` if there is no such niche."""
    served = health.indices.get(niche)
    if served is None:
        raise ThumblabError(f"{niche}: there is no such niche; the niches are {', '.join(health.indices)}")
    library = lab.libraries[niche]
    return NicheReport(
        niche=niche,
        library_state=served.state,
        index_release=served.release,
        videos=library.videos,
        winners=library.winners,
        made_at=None if library.made_at is None else library.made_at.isoformat(),
        newest_video=None if library.newest_video is None else library.newest_video.isoformat(),
        refused=None if served.refused is None else served.refused.reason,
        model_release=health.model.release,
        can_score=health.ready,
        library_note=health.library_note,
        not_reported=_NOT_REPORTED,
    )


def meaning(verdict: str | None) -> str:
    """Return in words what a verdict means."""
    return _VERDICTS.get(verdict or "", "None of the pictures could be read.")


def _only(answer: ScoreAnswer) -> ThumbnailScore:
    (thumbnail,) = answer.thumbnails
    return _readable(thumbnail)


def _readable(thumbnail: ThumbnailScore) -> ThumbnailScore:
    if thumbnail.error is not None:
        raise ThumblabError(f"{thumbnail.id}: {thumbnail.error}")
    return thumbnail


def _ranked(thumbnail: ThumbnailScore) -> Ranked:
    return Ranked(
        id=thumbnail.id,
        error=thumbnail.error,
        rank=thumbnail.rank,
        score=thumbnail.score,
        win_probability=thumbnail.win_probability,
        evidence_mean=thumbnail.evidence_mean,
        similarity_score=thumbnail.similarity_score,
        familiar=thumbnail.familiar,
        why=None if thumbnail.why is None else thumbnail.why.summary,
        weak_sub_scores=[sub_score for sub_score in _sub_scores(thumbnail) if sub_score.weak],
    )


def _sub_scores(thumbnail: ThumbnailScore) -> list[SubScore]:
    return [
        SubScore(name, sub.value, sub.niche_percentile, sub.weak, sub.reason, sub.fix)
        for name, sub in thumbnail.sub_scores.items()
    ]


def _neighbour(neighbour: NeighbourOut) -> Neighbour:
    return Neighbour(
        title=neighbour.title,
        channel=neighbour.channel,
        url=neighbour.url,
        winner=neighbour.winner,
        similarity=neighbour.similarity,
        views_per_hour=neighbour.views_per_hour,
        outlier_multiple=neighbour.outlier_multiple,
    )


def _test_plan(answer: ScoreAnswer) -> str | None:
    plan = answer.test_plan
    if plan is None:
        return None
    if plan.pair is None:
        return plan.advice
    return (
        f"Test {plan.pair.first} against {plan.pair.second}: {plan.impressions_per_variant:,} impressions of each are "
        f"needed to find a difference of {plan.lift:.0%}."
    )

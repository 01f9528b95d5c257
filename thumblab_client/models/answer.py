"""The answer of `POST /v1/score`. The command `thumblab score --json` prints the same answer.

This file is generated: change `thumblab_serving/schemas/answer.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from typing import Literal

from thumblab_client.models.evidence import EvidenceOut, SubScoreOut
from thumblab_client.models.packages import PackagesOut
from thumblab_client.models.people_seen import PeopleSeenOut
from thumblab_client.models.plan import PlanOut
from thumblab_client.models.verdict import SkillOut
from thumblab_client.models.why import WhyOut


@dataclass(frozen=True, kw_only=True)
class Engagement:
    """The predicted engagement of a picture. `meaning` says what `value` is.

    True click-through rates are not public. `value` is a click-through rate only if the model was trained on true
    rates from owners of channels. Otherwise, `value` is a percentile, which is used in place of the click-through
    rate.
    """

    value: float
    kind: Literal["proxy", "click_through_rate"] = "proxy"
    meaning: str = "expected percentile among the channel's own videos"


@dataclass(frozen=True, kw_only=True)
class NeighbourOut:
    """A thumbnail of the niche's library that is similar to the picture.

    Only thumbnails of winners are listed. If none of the most similar thumbnails belongs to a winner, the most
    similar thumbnails are listed.
    """

    video_id: str
    title: str
    channel: str
    url: str | None
    views_per_hour: float
    outlier_multiple: float | None
    """Views divided by the channel's median views in the same age band. If this median is not known: views per hour
    divided by the channel's median views per hour at any age. Null if the channel has no baseline.
    """

    winner: bool
    """At least 2 times what its channel usually gets, and 10 views an hour; where the channel has no baseline yet,
    1,000 views an hour.
    """

    similarity: float
    """The cosine of the vectors of the two pictures, -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class ThumbnailScore:
    """The answer for one candidate. If `error` is set, all other fields except `id` and `title` are null or empty.

    If `familiar` is false, the candidate is measured, but the model does not rank it. The candidate then has no
    score, win probability or engagement. The candidate has a rank only if `ordered_by` is `evidence`.
    """

    id: str
    error: str | None = None
    familiar: bool | None = None
    """Whether the picture resembles a picture that the model was trained on. Null if the model cannot tell."""

    rank: int | None = None
    """The rank; 1 is best. `ordered_by` says on what the ranks are based. Equal candidates keep their order.
    Near-identical candidates share a rank and count as one. Null if the candidate is not ranked.
    """

    score: float | None = None
    """Percentile of the model's score among other scores (see `score_among`). Null if there are too few of these
    scores. The percentile is also given if the skill of the model is not proven.
    """

    win_probability: float | None = None
    """Probability that the candidate is the best of the ranked candidates. Near-identical candidates share one
    probability in equal parts. Null if only one candidate is ranked, or if `ordered_by` is not `model`.
    """

    evidence_mean: float | None = None
    """The mean of the percentiles that the candidate's sub-scores and similarity have in the niche's library. Only
    percentiles that every candidate has are used. The mean was not shown to predict views. Null unless `ordered_by`
    is `evidence`.
    """

    predicted_engagement: Engagement | None = None
    """The predicted engagement. Null unless it is proven that the model's predictions agree with the results of real
    videos.
    """

    sub_scores: dict[str, SubScoreOut] = field(default_factory=dict)
    evidence: EvidenceOut | None = None
    similarity_score: float | None = None
    """How similar the picture is to the niche's library, as a percentile."""

    similarity_source: Literal["faiss", "pgvector", "default"] | None = None
    neighbours: list[NeighbourOut] = field(default_factory=list)
    title: str | None = None
    """The title with which the picture was scored: its own title, or the first title of the request."""

    why: WhyOut | None = None
    """Why the candidate's score differs from the winner's score. The winner is compared with the second-best
    candidate. The sub-scores are measured in the picture, and do not explain the rank.
    """


@dataclass(frozen=True, kw_only=True)
class ChannelOut:
    """The channel of the request, and whether the answer is adapted to it."""

    channel_id: str
    """The channel of the request. Invisible characters are escaped, and an unknown name is cut to 100 characters.
    """

    adapted: bool
    """Whether a channel adapter is used. If not, the candidates are ranked as for an unseen channel."""

    videos: int
    """How many of the channel's videos the channel adapter was fitted to."""

    reason: str | None
    """Why no channel adapter is used, or why the added adapter is not used, and what to do. Null if nothing is wrong.
    """

    release: str | None
    """The release of the added channel adapter. Null if the answer does not use an added adapter."""

    title: str | None = None
    """The title of the channel. Null if the lab does not know the title or cannot read it."""


@dataclass(frozen=True, kw_only=True)
class Releases:
    """The releases with which an answer was made."""

    model: str
    index: str | None


@dataclass(frozen=True, kw_only=True)
class ScoreAnswer:
    """The ranking. `thumbnails` keeps the order of the request. `degraded` says in plain sentences what was missing.

    In an answer for several titles, all fields except `packages` are about the first title.
    """

    niche: str
    winner: str | None
    """The id of the best candidate by the model. If the best candidates are near-identical, the id of the first of
    them. Null if the model can rank no candidate or if its skill is not proven.
    """

    verdict: Literal["clear", "leaning", "too_close_to_call", "only_one", "no_verdict", "no_skill"] | None
    """How sure the model is of the winner, according to `confidence`: `clear` from 75 %, `leaning` from 60 %.
    `no_verdict`: fewer than two candidates resemble a picture that the model was trained on. `no_skill`: the
    model's `skill` at this `question` is not proven, so there is no winner. The 95 % interval of `skill` includes
    chance, or was not measured. Null if no candidate could be read.
    """

    confidence: float | None
    """Probability that the winner beats the second-best candidate. Near-identical candidates count as one. Null if
    there is no winner or no second candidate.
    """

    ordered_by: Literal["model", "evidence"] | None = None
    """On what the ranks are based. `model`: the scores of the model, whose skill at this question is proven.
    `evidence`: `evidence_mean`, because the skill is not proven. Null if no candidate has a rank.
    """

    near_identical: list[list[str]] = field(default_factory=list)
    """The ids of the candidates in each near-identical group. The encoder, the perceptual hash and the colours decide
    which candidates are near-identical. A group counts as one candidate.
    """

    skill: SkillOut | None = None
    """The accuracy of the model's ranking. Null if it was not evaluated."""

    probabilities_from: Literal["videos", "experiments", "residuals", "packages"] | None = None
    """The data to which the win probabilities were fitted. `experiments`: tests of pictures on at least 50 videos of
    five channels. `videos`: views of whole videos, without the part that their titles and contexts explain. For the
    same difference of scores, probabilities from `videos` are never more certain than probabilities from
    `packages`. `packages`: views of whole videos. For the question `one_title`, models that were trained with few
    videos have `packages`, and models of an older version of the lab have `residuals` or `packages`. All of these
    mean: views of whole videos. Null if there are no win probabilities.
    """

    score_among: Literal["niche", "channel"] = "niche"
    """The scores with which a candidate's score is compared to get the percentile `score`. These are the scores of the
    niche's videos in the training pairs of the model. If the answer is adapted, these are the scores of the
    channel's own videos.
    """

    channel: ChannelOut | None = None
    """The channel of the request. Null if the request names no channel."""

    thumbnails: list[ThumbnailScore]
    test_plan: PlanOut | None = None
    """How to test two of the candidates on YouTube. Null if fewer than two candidates could be read, or if `question`
    is `package`. Also null if the request names a channel, but the database cannot give the channel's figures.
    """

    releases: Releases
    degraded: list[str]
    question: Literal["one_title", "package"] = "one_title"
    """The question that `winner` and `verdict` answer. The skill must be proven for this question. `one_title`: which
    picture is best if all pictures have the same title. `package`: which package of a title and a picture is best,
    because the thumbnails have titles of their own.
    """

    packages: PackagesOut | None = None
    """The ranked packages of titles and pictures. Null if `titles` has no second title."""

    people: PeopleSeenOut | None = None
    """Who is seen on the pictures. Null unless the service has `THUMBLAB_SCORE_PEOPLE`, the request names one of the
    lab's own channels, and its key has the scope `admin`. If only a part of the figures is missing, `degraded` says
    which part.
    """

    other_niches: list["ScoreAnswer"] = field(default_factory=list)
    """The answers for the other niches of `categories`, in their order. All other fields are the answer for the first
    niche.
    """

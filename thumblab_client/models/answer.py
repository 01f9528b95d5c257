"""The answer of `POST /v1/score`. The command `thumblab score --json` prints the same answer.

This file is generated: change `thumblab_serving/schemas/answer.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass, field
from typing import Literal

from thumblab_client.models.evidence import EvidenceOut, SubScoreOut
from thumblab_client.models.packages import PackagesOut
from thumblab_client.models.plan import PlanOut
from thumblab_client.models.verdict import SkillOut
from thumblab_client.models.why import WhyOut


@dataclass(frozen=True, kw_only=True)
class Engagement:
    """The predicted engagement of a picture. `meaning` says what `value` is.

    True click-through rates are not public. `value` is a click-through rate only if the model was trained on true
    rates from owners of channels. Otherwise it is a percentile, which stands in for the click-through rate.
    """

    value: float
    kind: Literal["proxy", "click_through_rate"] = "proxy"
    meaning: str = "expected percentile among the channel's own videos"


@dataclass(frozen=True, kw_only=True)
class NeighbourOut:
    """A thumbnail of the niche's library that is similar to the picture.

    It belongs to a winner, unless none of the most similar thumbnails does.
    """

    video_id: str
    title: str
    channel: str
    url: str | None
    views_per_hour: float
    outlier_multiple: float | None
    """Views over the median of the channel's videos of the same age band, or else views per hour over the channel's
    median at any age; null where the channel has no baseline.
    """

    winner: bool
    """At least 2 times what its channel usually gets, and 10 views an hour; where the channel has no baseline yet,
    1,000 views an hour.
    """

    similarity: float
    """Cosine, -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class ThumbnailScore:
    """The answer for one candidate. If `error` is set, all other fields except `id` and `title` are null or empty.

    If `familiar` is false, the candidate is measured, but the model does not rank it. It then has no score, win
    probability or engagement, and a rank only where `ordered_by` is `evidence`.
    """

    id: str
    error: str | None = None
    familiar: bool | None = None
    """False: unlike every picture that the model was trained on. Null where the model cannot tell."""

    rank: int | None = None
    """1 is best; `ordered_by` says by what. Equal candidates keep the order of the request. Near-identical candidates
    share a rank and count as one. Null where nothing is ranked.
    """

    score: float | None = None
    """Percentile of the model's score among the scores that `score_among` names; null where these are too few. It is
    also given where the skill of the model is not proven.
    """

    win_probability: float | None = None
    """Probability of being the best of the ranked candidates. Near-identical candidates have one chance together, of
    which each has an equal share. Null where only one is ranked, and where `ordered_by` is not `model`.
    """

    evidence_mean: float | None = None
    """Null unless `ordered_by` is `evidence`: the mean of the percentiles in the niche's library that every candidate
    has, of its sub-scores and of its similarity. It was not shown to predict views.
    """

    predicted_engagement: Engagement | None = None
    """Null where the prediction was not shown to say anything about real results."""

    sub_scores: dict[str, SubScoreOut] = field(default_factory=dict)
    evidence: EvidenceOut | None = None
    similarity_score: float | None = None
    """How similar the picture is to the niche's library, as a percentile."""

    similarity_source: Literal["faiss", "pgvector", "default"] | None = None
    neighbours: list[NeighbourOut] = field(default_factory=list)
    title: str | None = None
    """The title under which it was scored: its own, or else the first title of the request."""

    why: WhyOut | None = None
    """What moved its score in comparison with the winner's; of the winner, with the second's. The sub-scores are
    measured in the picture, and do not explain the rank.
    """


@dataclass(frozen=True, kw_only=True)
class ChannelOut:
    """The channel of the request, and whether the answer is adapted to it."""

    channel_id: str
    adapted: bool
    """False: ranked like an unseen channel."""

    videos: int
    """How many of the channel's videos the answer is adapted to."""

    reason: str | None
    """Why no channel adapter is used, or not the one that was added, and what to do. Null where the answer is adapted
    as it should be.
    """

    release: str | None
    """The release of the added channel adapter; null where the model's own adapter is used, or none."""

    title: str | None = None
    """The title of the channel. Null where the lab does not know it, or cannot look it up."""


@dataclass(frozen=True, kw_only=True)
class Releases:
    """The releases that made an answer."""

    model: str
    index: str | None


@dataclass(frozen=True, kw_only=True)
class ScoreAnswer:
    """The ranking. `thumbnails` keeps the order of the request. `degraded` says in plain sentences what was missing.

    In an answer for several titles, everything beside `packages` is about the first title.
    """

    niche: Literal["tech", "gaming", "education", "entertainment", "people", "beauty", "news"]
    winner: str | None
    """The id of the best candidate by the model. If the best are a near-identical group, the first of the group. Null
    when the model could rank no candidate, and when its skill is not proven.
    """

    verdict: Literal["clear", "leaning", "too_close_to_call", "only_one", "no_verdict", "no_skill"] | None
    """How sure the winner is, by the percentage of `confidence`: `clear` from 75 %, `leaning` from 60 %. `no_verdict`:
    fewer than two candidates are like anything that the model was trained on. `no_skill`: the 95 % interval of
    `skill` for this `question` reaches chance, or was not measured; there is no winner. Null when no candidate
    could be read.
    """

    confidence: float | None
    """Probability that the winner beats the second; a near-identical group counts as one. Null without a second, and
    without a winner.
    """

    ordered_by: Literal["model", "evidence"] | None = None
    """What the ranks follow. `model`: the scores of the model, whose skill at this question is proven. `evidence`:
    `evidence_mean`, because the skill is not proven. Null where no candidate has a rank.
    """

    near_identical: list[list[str]] = field(default_factory=list)
    """Groups of candidates, by id, that the encoder, the perceptual hash and the colours call near-identical. A group
    counts as one candidate.
    """

    skill: SkillOut | None = None
    """Null where it was not evaluated."""

    probabilities_from: Literal["videos", "experiments", "residuals", "packages"] | None = None
    """What the win probabilities were fitted to. `experiments`: tests of pictures on at least 50 videos of five
    channels. `videos`: views of whole videos, after what their titles and contexts explain. Such probabilities are
    never more certain than for whole videos. `packages`: views of whole videos, if `question` is `package`.
    `residuals` and `packages` under one title: views of whole videos, in older models. Null where there are no win
    probabilities.
    """

    score_among: Literal["niche", "channel"] = "niche"
    """What each `score` is a percentile of: the scores of the niche's library or, when adapted, those of the channel's
    own videos.
    """

    channel: ChannelOut | None = None
    """Null where the request names no channel."""

    thumbnails: list[ThumbnailScore]
    test_plan: PlanOut | None = None
    """How to test two of the candidates on YouTube. Null where fewer than two could be read, or where the request
    names a channel and the database with its figures cannot be asked. Also null where `question` is `package`.
    """

    releases: Releases
    degraded: list[str]
    question: Literal["one_title", "package"] = "one_title"
    """What `winner` and `verdict` decide between, and whose skill is needed. `one_title`: pictures under one title.
    `package`: packages, because the thumbnails have different titles of their own.
    """

    packages: PackagesOut | None = None
    """The grid of titles and pictures. Null where the request has no second title in `titles`."""

    other_niches: list["ScoreAnswer"] = field(default_factory=list)
    """The answers for the other niches of `categories`, in their order. All other fields are the answer for the first
    niche.
    """

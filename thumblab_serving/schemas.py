"""What goes in and what comes out of `POST /v1/score`; also what `thumblab score --json` prints."""

import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from thumblab_core.images import MAX_BYTES
from thumblab_core.index import WINNER
from thumblab_core.niches import Niche
from thumblab_core.ranking.channel_adapters import CHANNEL_ID

MAX_THUMBNAILS = 20
MAX_TITLE = 300
_MAX_URL = 2048
_MOST_UNKNOWN = 5

_JOINERS = "\u200c\u200d"
"""They show nothing, and hold emoji and letters of some scripts together."""

_FLAG = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)")
"""The flag of a part of a country, such as England: a black flag, tags that show nothing, and the tag that ends them."""

_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and a symbol that show nothing."""


def _title(given: str) -> str:
    """Without characters that show nothing: controls, marks of direction, and the like."""
    kept = "".join(part if _FLAG.fullmatch(part) else _without_marks(part) for part in _FLAG.split(given))
    if not any(_shows(one) for one in kept):
        raise ValueError("give a title that can be seen: letters, digits or symbols")
    return kept.strip().strip(_JOINERS).strip()


def _without_marks(part: str) -> str:
    kinds = [(one, unicodedata.category(one)) for one in part]
    return "".join(" " if kind == "Cc" else one for one, kind in kinds if kind != "Cf" or one in _JOINERS)


def _shows(one: str) -> bool:
    kind = unicodedata.category(one)
    # Emoji that are younger than Python's tables have no category yet.
    return (kind[0] in "LNPS" and one not in _BLANKS) or (kind == "Cn" and "\U0001f000" <= one <= "\U0001faff")


Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE), AfterValidator(_title)
]

CHANNEL = rf"(?:https?://)?(?:www\.|m\.)?youtube\.com/channel/({CHANNEL_ID})(?:[/?#].*)?|({CHANNEL_ID})"
"""What names a channel: its id, or a URL that holds it."""


def _channel_id(given: str) -> str:
    found = re.fullmatch(CHANNEL, given)
    if found is None:
        raise ValueError(
            "give the id of a channel (1 to 64 letters, digits, - and _; UC... on YouTube) or its URL with /channel/; "
            "`thumblab channel add @handle` prints the id of a @handle"
        )
    return found[1] or found[2]


ChannelId = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=_MAX_URL),
    AfterValidator(_channel_id),
    WithJsonSchema({"type": "string", "pattern": f"^({CHANNEL})$"}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few(cls, given: object) -> object:
        """One sentence where there are many unknown fields: each would be an error of its own."""
        if isinstance(given, dict) and len(given) > len(cls.model_fields) + _MOST_UNKNOWN:
            raise ValueError(f"{len(given)} fields were sent; use only {', '.join(cls.model_fields)}")
        return given


class ScoreForm(_Strict):
    """What every request says, whichever way its pictures travel."""

    title: Title = Field(description="The title of the video.", examples=["I tested every phone under $200"])
    category: Niche = Field(default=Niche.TECH, description="The niche to compare with.", examples=["tech"])
    channel_id: ChannelId | None = Field(
        default=None,
        description="Your channel, by its id or its URL: where its history is known, the answer is adapted to it.",
        examples=["UCBJycsmduvYEL83R_U4JriQ"],
    )


class ThumbnailIn(_Strict):
    """One candidate: a URL of an allowed image host, or the picture itself."""

    id: str = Field(min_length=1, max_length=_MAX_URL, description="Your name for it, unique in the request.")
    url: str | None = Field(default=None, max_length=_MAX_URL, description="https URL of an allowed image host.")
    image_base64: str | None = Field(
        default=None,
        description=(
            "JPEG, PNG or WebP bytes in base64, with or without a `data:` prefix. More bytes than "
            f"{MAX_BYTES} are an error of this thumbnail."
        ),
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.url is None) == (self.image_base64 is None):
            raise ValueError("give either url or image_base64")
        return self


class ScoreRequest(ScoreForm):
    """Thumbnails to rank against each other and against a niche."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "I tested every phone under $200",
                    "category": "tech",
                    "thumbnails": [
                        {"id": "face", "url": "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg"},
                        {"id": "phones", "image_base64": "/9j/4AAQSkZJRgABAQAAAQABAAD…"},
                    ],
                }
            ]
        }
    )
    thumbnails: list[ThumbnailIn] = Field(min_length=1, max_length=MAX_THUMBNAILS)

    @field_validator("thumbnails")
    @classmethod
    def _distinct(cls, thumbnails: list[ThumbnailIn]) -> list[ThumbnailIn]:
        if len({thumbnail.id for thumbnail in thumbnails}) != len(thumbnails):
            raise ValueError("two thumbnails have the same id")
        return thumbnails


class SimilaritySource(StrEnum):
    """What a `similarity_score` was measured with."""

    FAISS = "faiss"
    PGVECTOR = "pgvector"
    DEFAULT = "default"


class Verdict(StrEnum):
    """How sure the ranking is of its winner."""

    CLEAR = "clear"
    LEANING = "leaning"
    TOO_CLOSE_TO_CALL = "too_close_to_call"
    ONLY_ONE = "only_one"
    NO_VERDICT = "no_verdict"


class Engagement(_Strict):
    """A predicted engagement: a proxy, because click-through rates are not public, or a click-through rate where the model
    has learnt those of its owner."""

    value: float = Field(ge=0, le=1)
    kind: Literal["proxy", "click_through_rate"] = "proxy"
    meaning: str = "expected percentile among the channel's own videos"

    @classmethod
    def of(cls, value: float, learnt: str) -> Self:
        """`learnt`: what the model's absolute head was taught, see `thumblab_core.ranking.trained_ranker`."""
        if learnt == "click_through_rate":
            return cls(value=value, kind="click_through_rate", meaning="expected share of impressions that are clicked")
        return cls(value=value)


class SubScoreOut(_Strict):
    """A measured property of the picture. `value` is null when it could not be measured; `reason` then says why."""

    value: float | None = Field(ge=0, le=1, description="By its formula: the same picture has it in every niche.")
    niche_percentile: float | None = Field(
        ge=0,
        le=100,
        description=(
            "The share of the niche's library that is below the value. Null where no library is served, or it was "
            "measured by another version of the formulas, or too few of it could be measured."
        ),
    )
    weak: bool = Field(
        description=(
            "In the lowest tenth of the niche's library; where it has no place there, below the lowest tenth of the "
            "thumbnails that the lab was tuned on."
        )
    )
    reason: str = Field(description="What was seen that makes the value what it is; may quote text from the picture.")
    fix: str | None = Field(description="What to change; null when nothing needs to.")


class BoxOut(_Strict):
    """A rectangle in fractions of the picture, from its upper left corner."""

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    width: float = Field(ge=0, le=1)
    height: float = Field(ge=0, le=1)


class TextLineOut(_Strict):
    """A line of text that was read in the picture. It is whatever somebody wrote there: show it as text only."""

    box: BoxOut
    text: str
    confidence: float = Field(ge=0, le=1)
    height_at_120: float = Field(ge=0, description="Its height in pixels when the picture is shown 120 pixels wide.")
    contrast: float = Field(ge=0, description="Of its light to its dark parts then, 1 to 21; letters need 3.")


class UnreadLineOut(_Strict):
    """A line of text that was found and cannot be read: in an alphabet that the reader does not know, or in odd letters."""

    box: BoxOut
    height_at_120: float = Field(ge=0)
    contrast: float = Field(ge=0)


class FaceOut(_Strict):
    """A face that was found."""

    box: BoxOut
    confidence: float = Field(ge=0, le=1)


class EvidenceOut(_Strict):
    """What the sub-scores were measured on. `texts` and `faces` are null where nothing could look for them."""

    width: int = Field(
        ge=1, description="Of the picture that was looked at, in pixels: upright and without black bars."
    )
    height: int = Field(ge=1)
    texts: list[TextLineOut] | None
    unread: list[UnreadLineOut] = Field(description="Text that counts for all but what it says.")
    faces: list[FaceOut] | None
    missing: list[str] = Field(description="What the measuring had to do without, in plain sentences.")
    subject: BoxOut | None = Field(description="The largest face with its hair, or else what is most salient.")
    badge: BoxOut = Field(description="The corner that YouTube covers with the length of the video.")
    saliency: list[list[float]] = Field(description="9 rows of 16 cells, 0 to 1; the most salient cell is 1.")
    sharpness: float = Field(ge=0, le=1)
    luminance_contrast: float = Field(ge=0, le=1, description="Between the subject and what is around it.")
    colour_contrast: float = Field(ge=0, le=1, description="Between the subject and what is around it.")
    legibility: float | None = Field(
        ge=0, le=1, description="The share of the characters that can be read 120 pixels wide; null without text."
    )
    badge_overlap: float = Field(
        ge=0, le=1, description="The largest share of a text, a face or the subject that the badge covers."
    )
    title_match_by: Literal["picture", "text"] | None = Field(
        description="What was compared with the title: the picture (a text tower), or the text that was read in it."
    )


class NeighbourOut(_Strict):
    """A thumbnail of the niche that looks alike: a winner, or where none is near, the nearest of any kind."""

    video_id: str
    title: str
    channel: str
    url: str | None
    views_per_hour: float
    outlier_multiple: float | None = Field(
        description=(
            "Views over the median of the channel's videos of the same age band, or else views per hour over the "
            "channel's median at any age; null where the channel has no baseline."
        )
    )
    winner: bool = Field(description=WINNER)
    similarity: float = Field(description="Cosine, -1 to 1.")


class ThumbnailScore(_Strict):
    """The answer for one thumbnail. With `error` set everything else is null or empty.

    One that is not `familiar` was measured but not ranked: it has neither rank nor score, win probability or engagement.
    """

    id: str
    error: str | None = None
    familiar: bool | None = Field(
        default=None,
        description="False: unlike every picture that the model has learnt. Null where the model cannot tell.",
    )
    rank: int | None = Field(
        default=None, description="1 is best; equal ones keep the order of the request. Null where nothing is ranked."
    )
    score: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Percentile among scores of its own kind, see `score_among`; null where these are too few.",
    )
    win_probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of being the best of those that are ranked; null where it is the only one.",
    )
    predicted_engagement: Engagement | None = Field(
        default=None, description="Null where the model was not shown to know anything of it."
    )
    sub_scores: dict[str, SubScoreOut] = Field(default_factory=dict)
    evidence: EvidenceOut | None = None
    similarity_score: float | None = Field(default=None, ge=0, le=100, description="How at home it is in the niche.")
    similarity_source: SimilaritySource | None = None
    neighbours: list[NeighbourOut] = Field(default_factory=list)


class ChannelOut(_Strict):
    """The channel of the request, and whether the answer is adapted to its history."""

    channel_id: str
    adapted: bool = Field(description="False: ranked as for a channel that is not known.")
    videos: int = Field(ge=0, description="How many of the channel's videos the answer is adapted to.")
    reason: str | None = Field(
        description="Why it is not adapted, or not to the history that was added, and what to do; null where all is well."
    )
    release: str | None = Field(description="The history that was added; null where the model's own is used, or none.")


class SkillOut(_Strict):
    """What such a ranking was measured to be worth when the model was made: the share of held-out pairs, of two videos of a
    channel each, that it ordered rightly, with its 95 % interval. 0.5 is chance."""

    measured_on: str = Field(
        description=(
            "`future`: later videos of channels that it had learnt; `new_channels`: channels that it had not learnt; "
            "`adapted`: such channels once their history was added."
        )
    )
    auc: float = Field(ge=0, le=1)
    low: float | None
    high: float | None
    pairs: int
    channels: int


class Releases(_Strict):
    """The releases that made an answer."""

    model: str
    index: str | None


class ScoreAnswer(_Strict):
    """The ranking. `thumbnails` stand in the order of the request; `degraded` says in plain sentences what was missing."""

    niche: Niche
    winner: str | None = Field(description="The id of the best; null when no thumbnail could be ranked.")
    verdict: Verdict | None = Field(
        description=(
            "How sure the winner is, by the percentage of `confidence`: `clear` from 75 %, `leaning` from 60 %. "
            "`no_verdict`: fewer than two are like anything that the model has learnt. Null when none could be read."
        )
    )
    confidence: float | None = Field(
        ge=0, le=1, description="Probability that the winner beats the second; null alone."
    )
    skill: SkillOut | None = Field(default=None, description="Null where it was not measured.")
    score_among: Literal["niche", "channel"] = Field(
        default="niche",
        description="Where each `score` is a percentile: the niche's library, or, adapted, the channel's own videos.",
    )
    channel: ChannelOut | None = Field(default=None, description="Null where the request names no channel.")
    thumbnails: list[ThumbnailScore]
    releases: Releases
    degraded: list[str]

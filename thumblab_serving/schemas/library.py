"""The answers about the videos of the library: their pictures, similar videos, and the data that the lab has about a
video.
"""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from thumblab_core.experiments.rules import LONGEST_TEXT
from thumblab_core.index import WINNER_RULE
from thumblab_serving.schemas.evidence import EvidenceOut, SubScoreOut
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.strict import StrictModel

MOST_PICTURES = 24
"""Maximum number of videos in a request. An answer then has about a megabyte."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the id of a video must not contain a NUL character")
    return text


VideoId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(_without_nul),
    WithJsonSchema({"type": "string", "pattern": r"^[^\x00]*$", "minLength": 1, "maxLength": LONGEST_TEXT}),
]
"""The id of a video. PostgreSQL stores no NUL characters, so no id has a NUL character."""


class LibraryPicturesQuery(StrictModel):
    """The query of `GET /v1/library/pictures`."""

    video_id: list[VideoId] = Field(
        min_length=1,
        max_length=MOST_PICTURES,
        description="Ids of videos, such as the ids of the `neighbours` in an answer.",
    )


class LibraryPictureOut(StrictModel):
    """The thumbnail of a video of the library, reduced and cropped to 16:9."""

    video_id: str
    media_type: Literal["image/jpeg"] = "image/jpeg"
    image_base64: str


class LibraryPicturesOut(StrictModel):
    """The thumbnails that the lab has. `degraded` says in plain sentences why thumbnails of the lab could not be read."""

    pictures: list[LibraryPictureOut]
    missing: list[str] = Field(description="The ids of the videos whose thumbnail is not in this answer.")
    degraded: list[str]


class SimilarItemOut(StrictModel):
    """A video of the library whose thumbnail is similar to the query. All its facts come from the index release."""

    video_id: str
    title: str
    channel: str
    channel_id: str | None = Field(
        description="The id of the channel. Null if the release is of an older version of the lab."
    )
    niche: Niche
    similarity: float = Field(ge=-1, le=1, description="The cosine of the vectors of the query and of this video.")
    similarity_percentile: float | None = Field(
        ge=0,
        le=100,
        description=(
            "The percentage of videos that are less similar to the query, among all videos that the filters "
            "admit. Null if the number of these videos is not known or is less than 20."
        ),
    )
    views: int | None = Field(
        description="The views at the latest observation. Null if the release is of an older version of the lab."
    )
    views_per_hour: float
    outlier_multiple: float | None = Field(
        description="Views compared with the channel's baseline. Null if the channel has no baseline."
    )
    winner: bool = Field(description=WINNER_RULE)
    published_on: date | None
    age_days: int | None = Field(description="Days since the day of publication.")
    picture_url: str | None = Field(description="The URL of the thumbnail on YouTube.")


class SearchedLibraryOut(StrictModel):
    """A library that was searched. All facts of its items come from `release`."""

    niche: Niche
    release: str | None = Field(
        description="The index release, which `/v1/score` also uses. Null if the niche has no index."
    )
    source: Literal["faiss", "pgvector"] = Field(
        description="Where the similarities were computed: in the FAISS index, or in the database."
    )
    videos: int | None = Field(description="How many videos the filters admit. Null if they were not counted.")
    recall: float | None = Field(
        description=(
            "The share of the nearest vectors that a search of this release finds. 1 if each admitted video was compared. "
            "Null if it was not measured."
        )
    )
    similarity_score: float | None = Field(
        ge=0,
        le=100,
        description=(
            "How similar the query is to the library, as a percentile, as in `/v1/score`. Null for texts, for searches "
            "with filters, and for a library without an index."
        ),
    )


class SimilarQueryOut(StrictModel):
    """How the service interpreted the query."""

    kind: Literal["video", "picture", "text", "vector"]
    matched_by: Literal["picture", "title"] = Field(
        description="What the query was compared with: the pictures of the library, or the titles of its videos."
    )
    encoder: str = Field(description="The fingerprint of the encoder that made the compared vectors.")
    dimension: int = Field(ge=1, description="The length of the compared vectors.")


class SimilarOut(StrictModel):
    """The videos of the library that are similar to a query. `degraded` says in plain sentences what was missing."""

    query: SimilarQueryOut
    items: list[SimilarItemOut]
    total: int | None = Field(
        description="How many videos the filters admit in all searched libraries. Null if they were not counted."
    )
    next_offset: int | None = Field(
        description="Send this number as `offset` to get more videos. Null if there are no more videos."
    )
    searched: list[SearchedLibraryOut]
    degraded: list[str]


class ViewsOut(StrictModel):
    """An observation of a video. A count that YouTube did not report is null."""

    observed_at: datetime
    views: int | None
    likes: int | None
    comments: int | None
    era: str = Field(
        description="The definition of a view that YouTube used. Counts by different definitions cannot be compared."
    )


class ThumbnailVersionOut(StrictModel):
    """A thumbnail that a video had, with the title at that time, and the views of the video during that time."""

    sha256: str
    title: str
    first_seen: datetime
    last_seen: datetime
    current: bool = Field(description="Whether the video has this thumbnail now.")
    earlier_deleted: bool = Field(description="Whether earlier versions of the thumbnail were deleted.")
    views: int | None = Field(
        description="Views of the video between the first and the last observation with this thumbnail. Null if there "
        "are fewer than two such observations."
    )
    views_per_hour: float | None


class ClickThroughOut(StrictModel):
    """The true click-through rate, from reports of the channel's owner."""

    click_through_rate: float = Field(ge=0, le=1, description="The fraction of the impressions that were clicked.")
    impressions: int
    source: str = Field(
        description="Where the figures come from. `studio`: an export of YouTube Studio. `reach`: the Reporting API."
    )
    until: date = Field(description="The last day of the reports.")


class MeasuredPictureOut(StrictModel):
    """The stored sub-scores of the present thumbnail, with their evidence."""

    version: str = Field(description="The version of the formulas that computed the sub-scores.")
    sub_scores: dict[str, SubScoreOut]
    evidence: EvidenceOut | None = Field(
        description="The evidence of the sub-scores. Null if an old version of the lab measured the thumbnail."
    )


class VideoOut(StrictModel):
    """The data that the lab has about a video. `degraded` says in plain sentences what was missing."""

    video_id: str
    title: str
    channel_id: str
    channel: str
    niche: Niche = Field(description="The niche in which the lab collected the video.")
    searched_in: list[Niche] = Field(description="The niches whose served index has the video.")
    format: str = Field(description="`video`, `short`, `live` or `upcoming`.")
    published_at: datetime
    age_days: int
    duration_s: int | None
    language: str | None
    tags: list[str]
    views: int | None = Field(description="The views at the latest observation.")
    observed_at: datetime | None
    views_per_hour: float | None
    outlier_multiple: float | None = Field(
        description="Views compared with the channel's baseline. Null if the channel has no baseline."
    )
    winner: bool | None = Field(description=f"{WINNER_RULE} Null if no views are known.")
    picture_url: str | None
    history: list[ViewsOut] = Field(description="The observations of the video, at most 1,000, the oldest first.")
    views_at_age: dict[str, float] = Field(
        description="The estimated views at each age, by the age in hours, such as 24 and 168."
    )
    thumbnails: list[ThumbnailVersionOut] = Field(description="The versions of the thumbnail, the oldest first.")
    measured: MeasuredPictureOut | None = Field(
        description="The sub-scores of the present thumbnail. Null if it was not measured."
    )
    neighbours: list[SimilarItemOut] = Field(description="The eight most similar thumbnails of the niche's library.")
    index_release: str | None = Field(description="The index release in which the neighbours were found.")
    click_through: ClickThroughOut | None = Field(
        description=(
            "The true click-through rate. Only the channel's owner and keys with the scope `admin` may see it. Null if "
            "the rate is not known, or if the key may not see it."
        )
    )
    degraded: list[str]

"""The answers about the videos of the library: their pictures, similar videos, and the data that the lab has about a

This file is generated: change `thumblab_serving/schemas/library.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from thumblab_client.models.evidence import EvidenceOut, SubScoreOut


@dataclass(frozen=True, kw_only=True)
class LibraryPictureOut:
    """The thumbnail of a video of the library, reduced and cropped to 16:9."""

    video_id: str
    media_type: Literal["image/jpeg"] = "image/jpeg"
    image_base64: str


@dataclass(frozen=True, kw_only=True)
class LibraryPicturesOut:
    """The thumbnails that the lab has. `degraded` says in plain sentences why thumbnails of the lab could not be read."""

    pictures: list[LibraryPictureOut]
    missing: list[str]
    """The ids of the videos whose thumbnail is not in this answer."""

    degraded: list[str]


@dataclass(frozen=True, kw_only=True)
class SimilarItemOut:
    """A video of the library whose thumbnail is similar to the query. All its facts come from the index release."""

    video_id: str
    title: str
    channel: str
    channel_id: str | None
    """The id of the channel. Null if the release is of an older version of the lab."""

    niche: str
    similarity: float
    """The cosine of the vectors of the query and of this video."""

    similarity_percentile: float | None
    """The percentage of videos that are less similar to the query, among all videos that the filters admit. Null if
    the number of these videos is not known or is less than 20.
    """

    views: int | None
    """The views at the latest observation. Null if the release is of an older version of the lab."""

    views_per_hour: float
    outlier_multiple: float | None
    """Views compared with the channel's baseline. Null if the channel has no baseline."""

    winner: bool
    """At least 2 times what its channel usually gets, and 10 views an hour; where the channel has no baseline yet,
    1,000 views an hour.
    """

    published_on: date | None
    age_days: int | None
    """Days since the day of publication."""

    picture_url: str | None
    """The URL of the thumbnail on YouTube."""


@dataclass(frozen=True, kw_only=True)
class SearchedLibraryOut:
    """A library that was searched. All facts of its items come from `release`."""

    niche: str
    release: str | None
    """The index release, which `/v1/score` also uses. Null if the niche has no index."""

    source: Literal["faiss", "pgvector"]
    """Where the similarities were computed: in the FAISS index, or in the database."""

    videos: int | None
    """How many videos the filters admit. Null if they were not counted."""

    recall: float | None
    """The share of the nearest vectors that a search of this release finds. 1 if each admitted video was compared.
    Null if it was not measured.
    """

    similarity_score: float | None
    """How similar the query is to the library, as a percentile, as in `/v1/score`. Null for texts, for searches with
    filters, and for a library without an index.
    """


@dataclass(frozen=True, kw_only=True)
class SimilarQueryOut:
    """How the service interpreted the query."""

    kind: Literal["video", "picture", "text", "vector"]
    matched_by: Literal["picture", "title"]
    """What the query was compared with: the pictures of the library, or the titles of its videos."""

    encoder: str
    """The fingerprint of the encoder that made the compared vectors."""

    dimension: int
    """The length of the compared vectors."""


@dataclass(frozen=True, kw_only=True)
class SimilarOut:
    """The videos of the library that are similar to a query. `degraded` says in plain sentences what was missing."""

    query: SimilarQueryOut
    items: list[SimilarItemOut]
    total: int | None
    """How many videos the filters admit in all searched libraries. Null if they were not counted."""

    next_offset: int | None
    """Send this number as `offset` to get more videos. Null if there are no more videos."""

    searched: list[SearchedLibraryOut]
    degraded: list[str]


@dataclass(frozen=True, kw_only=True)
class ViewsOut:
    """An observation of a video. A count that YouTube did not report is null."""

    observed_at: datetime
    views: int | None
    likes: int | None
    comments: int | None
    era: str
    """The definition of a view that YouTube used. Counts by different definitions cannot be compared."""


@dataclass(frozen=True, kw_only=True)
class ThumbnailVersionOut:
    """A thumbnail that a video had, with the title at that time, and the views of the video during that time."""

    sha256: str
    title: str
    first_seen: datetime
    last_seen: datetime
    current: bool
    """Whether the video has this thumbnail now."""

    earlier_deleted: bool
    """Whether earlier versions of the thumbnail were deleted."""

    views: int | None
    """Views of the video between the first and the last observation with this thumbnail. Null if there are fewer than
    two such observations.
    """

    views_per_hour: float | None


@dataclass(frozen=True, kw_only=True)
class ClickThroughOut:
    """The true click-through rate, from reports of the channel's owner."""

    click_through_rate: float
    """The fraction of the impressions that were clicked."""

    impressions: int
    source: str
    """Where the figures come from. `studio`: an export of YouTube Studio. `reach`: the Reporting API."""

    until: date
    """The last day of the reports."""


@dataclass(frozen=True, kw_only=True)
class MeasuredPictureOut:
    """The stored sub-scores of the present thumbnail, with their evidence."""

    version: str
    """The version of the formulas that computed the sub-scores."""

    sub_scores: dict[str, SubScoreOut]
    evidence: EvidenceOut | None
    """The evidence of the sub-scores. Null if an old version of the lab measured the thumbnail."""


@dataclass(frozen=True, kw_only=True)
class VideoOut:
    """The data that the lab has about a video. `degraded` says in plain sentences what was missing."""

    video_id: str
    title: str
    channel_id: str
    channel: str
    niche: str
    """The niche in which the lab collected the video."""

    searched_in: list[str]
    """The niches whose served index has the video."""

    format: str
    """`video`, `short`, `live` or `upcoming`."""

    published_at: datetime
    age_days: int
    duration_s: int | None
    language: str | None
    tags: list[str]
    views: int | None
    """The views at the latest observation."""

    observed_at: datetime | None
    views_per_hour: float | None
    outlier_multiple: float | None
    """Views compared with the channel's baseline. Null if the channel has no baseline."""

    winner: bool | None
    """At least 2 times what its channel usually gets, and 10 views an hour; where the channel has no baseline yet,
    1,000 views an hour. Null if no views are known.
    """

    picture_url: str | None
    history: list[ViewsOut]
    """The observations of the video, at most 1,000, the oldest first."""

    views_at_age: dict[str, float]
    """The estimated views at each age, by the age in hours, such as 24 and 168."""

    thumbnails: list[ThumbnailVersionOut]
    """The versions of the thumbnail, the oldest first."""

    measured: MeasuredPictureOut | None
    """The sub-scores of the present thumbnail. Null if it was not measured."""

    neighbours: list[SimilarItemOut]
    """The eight most similar thumbnails of the niche's library."""

    index_release: str | None
    """The index release in which the neighbours were found."""

    click_through: ClickThroughOut | None
    """The true click-through rate. Only the channel's owner and keys with the scope `admin` may see it. Null if the
    rate is not known, or if the key may not see it.
    """

    degraded: list[str]
